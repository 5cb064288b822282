"""AP in the row of the artefact that was timed, and what it gives up against FP32."""

import numpy as np
import pytest
from PIL import Image

from pose_utils.errors import Unavailable
from pose_utils.runtime.pipeline import Detector, PoseEstimator, PosePipeline
from pose_utils.study import artefact_accuracy
from pose_utils.study.annotations import load_coco_keypoints
from pose_utils.study.artefact_accuracy import measure_accuracy
from pose_utils.study.benchmark import Workload, run_benchmark
from pose_utils.study.configurations import POSE_ONLY, Config
from pose_utils.study.records import RunFolder
from pose_utils.types import Poses
from tests.runtime.fakes import FakeBackend, rtmdet_outputs, simcc_outputs, standing
from tests.study.scenes import coco_of

PAIR = "rtmdet-nano+rtmpose-t"
CONFIGS = [
    Config(PAIR, "torch"), Config(PAIR, "openvino", "bf16"), Config(PAIR, "tensorrt", "fp16", "cuda"),
    Config(PAIR, "torch", pipeline=POSE_ONLY),
    Config("rtmdet-m+rtmpose-t", "openvino", "bf16", other_models=True),
]  # fmt: skip
PERSONS = [standing(20 + 40 * index, 20) for index in range(6)]


class Knowing:
    """Poses the person of the picture as the truth has it, moved by `shift` pixels."""

    weights, provider_used, backends = "trained", "", ()

    def __init__(self, shift):
        self.shift, self.given = shift, 0
        self.detector = None
        self.pose = type("Stage", (), {"spec": type("Spec", (), {"ap_score": 0.05})})
        self.min_score = 0.3

    def __call__(self, image, boxes=None):
        keypoints, scores, box, box_score = PERSONS[image[0, 0, 0] // 20]
        self.given += boxes is not None
        return Poses(
            np.array([keypoints]) + self.shift, [scores], [box] if boxes is None else boxes, [box_score]
        )


@pytest.fixture
def truth(tmp_path):
    layout = [
        [{"keypoints": [[*point, 2] for point in person[0]], "box": list(person[2])}] for person in PERSONS
    ]
    path = tmp_path / "truth.json"
    path.write_text(__import__("json").dumps(coco_of(layout)))
    for index in range(len(PERSONS)):
        Image.new("L", (640, 640), 20 * index).save(tmp_path / f"{index + 1:04d}.png")
    return load_coco_keypoints(path, tmp_path)


@pytest.fixture
def timed(monkeypatch, tmp_path):
    def load(config, threads):
        if config.device == "cuda":
            raise Unavailable("no NVIDIA driver")
        detector = FakeBackend("rtmdet-nano", lambda inputs: rtmdet_outputs([]))
        return PosePipeline(Detector(detector), PoseEstimator(FakeBackend("rtmpose-t", simcc_outputs)))

    monkeypatch.setattr("pose_utils.study.benchmark.load", load)
    run = RunFolder.create({}, tmp_path / "run")
    work = Workload("w", np.zeros((64, 64, 3), np.uint8), np.float32([[1, 1, 40, 60]]))
    run_benchmark(CONFIGS, [work], run, runs=2, warmup=1, blocks=1)
    run.write("configs.csv", run.read("configs.csv").assign(weights="trained", digest="a+b"))
    return run


def measured(monkeypatch, run, truth, **shifts):
    opened = {}

    def load(config, threads):
        return opened.setdefault(config.name, Knowing(shifts.get(config.precision, 0.0)))

    monkeypatch.setattr(artefact_accuracy, "load", load)
    return measure_accuracy(CONFIGS, run, truth).set_index("config"), opened


def test_every_artefact_has_its_own_ap_and_its_loss_against_fp32(monkeypatch, timed, truth):
    table, opened = measured(monkeypatch, timed, truth, bf16=6.0)
    assert table.loc["torch-fp32-cpu", ["ap", "loss"]].tolist() == [1, 0]
    moved = table.loc["openvino-bf16-cpu"]
    assert moved["ap"] < 1 and moved["loss"] == pytest.approx(1 - moved["ap"])
    assert moved["loss_low"] <= moved["loss"] <= moved["loss_high"] and moved["against"] == "torch-fp32-cpu"
    assert moved["digest"] == "a+b", "the figure belongs to the files that were timed"
    assert opened["torch-fp32-cpu"].min_score == 0.05, "AP wants the whole ranking"


def test_the_pose_stage_alone_gets_true_boxes_and_is_no_reference_for_a_pipeline(monkeypatch, timed, truth):
    table, opened = measured(monkeypatch, timed, truth)
    assert table.loc["torch-fp32-cpu-pose", "boxes"] == "truth"
    assert opened["torch-fp32-cpu-pose"].given == len(PERSONS) and opened["torch-fp32-cpu"].given == 0
    other = table.loc["rtmdet-m+rtmpose-t-openvino-bf16-cpu"]
    assert other["ap"] == 1 and other["against"] == "" and np.isnan(other["loss"]), (
        "other models lose nothing"
    )


def test_what_did_not_run_or_has_random_weights_has_a_reason(monkeypatch, timed, truth):
    configs = timed.read("configs.csv")
    timed.write("configs.csv", configs.assign(weights=["random", *["trained"] * 4]))
    table, opened = measured(monkeypatch, timed, truth)
    assert table.loc["torch-fp32-cpu", "reason"] == "random weights have no accuracy"
    assert "no NVIDIA driver" in table.loc["tensorrt-fp16-cuda", "reason"]
    assert not {"torch-fp32-cpu", "tensorrt-fp16-cuda"} & set(opened), "nothing is run for them"


def test_without_annotated_pictures_every_row_says_so(monkeypatch, timed):
    table, opened = measured(monkeypatch, timed, None)
    assert (table["status"] == "skipped").all() and opened == {}
    assert table.loc["torch-fp32-cpu", "reason"] == "no annotated pictures here"
