"""Parity finds agreement where there is some, and every kind of disagreement."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pose_utils.errors import AssetError
from pose_utils.study import parity
from pose_utils.study.benchmark import Workload
from pose_utils.study.parity import NO_BOX_PX, box_differences, compare, run_parity
from pose_utils.study.records import RunFolder
from pose_utils.study.references import Reference
from pose_utils.zoo import artifacts
from pose_utils.zoo.checkpoints import load_module
from pose_utils.zoo.specs import SPECS

TINY, NANO = SPECS["rtmpose-t"], SPECS["rtmdet-nano"]
BOXES = np.float32([[0, 0, 10, 10], [100, 100, 150, 180], [300, 10, 330, 90]])
SCORES = np.float32([0.9, 0.8, 0.7])


@pytest.fixture
def workloads(smooth_picture):
    boxes = np.float32([[20, 30, 120, 200], [150, 10, 300, 230], [-20, -10, 60, 100], [0, 0, 320, 240]])
    return [Workload("waves", smooth_picture, boxes)]


def test_the_same_boxes_in_another_order_do_not_differ():
    assert (box_differences(BOXES, SCORES, BOXES[::-1], SCORES[::-1]) == 0).all()


def test_the_worst_corner_counts():
    moved = BOXES.copy()
    moved[1, 3] += 3
    moved[1, 0] -= 1
    assert sorted(box_differences(BOXES, SCORES, moved, SCORES)) == [0, 0, 3]


@pytest.mark.parametrize("kept", [[0], [0, 1], []])
def test_a_box_that_only_one_side_has_never_passes(kept):
    for pair in ((BOXES, SCORES, BOXES[kept], SCORES[kept]), (BOXES[kept], SCORES[kept], BOXES, SCORES)):
        differences = box_differences(*pair)
        assert len(differences) == 3 and (differences == NO_BOX_PX).sum() == 3 - len(kept)


def test_boxes_of_low_score_are_not_compared_and_nothing_is_nothing():
    assert len(box_differences(BOXES, SCORES * 0.3, BOXES + 50, SCORES * 0.3)) == 0
    empty = np.empty((0, 4), "float32"), np.empty(0, "float32")
    assert len(box_differences(*empty, *empty)) == 0


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_a_pose_model_agrees_with_mmposes_own_inference(workloads, backend):
    (row,) = compare(TINY, backend, "fp32", workloads, "random")
    assert (row["status"], row["passed"], row["reference"]) == (
        "ok",
        "yes",
        "mmpose inference_topdown, flip off",
    )
    assert row["n"] == 4 * 17 and row["weights"] == "random"
    assert row["max_diff"] <= 0.5


@pytest.mark.parametrize(
    "mistake",
    [
        {"padding": 1.3},
        {"mean": (0.0, 0.0, 0.0)},
        {"std": (1.0, 1.0, 1.0)},
        {"channels": "bgr"},
        {"mean": (123.675 / 255, 116.28 / 255, 103.53 / 255)},
    ],
    ids=str,
)
def test_a_mistake_in_preprocessing_is_seen(workloads, mistake):
    (row,) = compare(replace(TINY, **mistake), "onnxruntime", "fp32", workloads, "random")
    assert row["status"] == "ok" and row["passed"] == "no"


def test_a_detector_with_random_weights_is_compared_by_its_raw_outputs(workloads):
    (row,) = compare(NANO, "onnxruntime", "fp32", workloads, "random")
    assert (row["unit"], row["passed"], row["weights"]) == ("1", "yes", "random")
    assert (row["quantity"], row["n"]) == ("raw outputs, noise", 6)
    assert row["max_diff"] < row["tolerance"] <= 0.1


@pytest.mark.parametrize("mistake", [{"mean": (0.0, 0.0, 0.0)}, {"channels": "rgb"}], ids=str)
def test_a_mistake_before_a_random_detector_is_seen(workloads, monkeypatch, mistake):
    """The reference keeps the right preprocessing; only what the network is fed differs."""
    real = parity.open_backend

    class Wrong:
        def __init__(self, backend):
            self._backend, self.artifact, self.precision = backend, backend.artifact, backend.precision

        def run(self, inputs):
            mean, std = (np.float32(v).reshape(3, 1, 1) for v in (NANO.mean, NANO.std))
            pixels = (inputs * std + mean).transpose(0, 2, 3, 1)
            return self._backend.run(parity.to_network_input(pixels, replace(NANO, **mistake)))

    def opened(name, model, *rest, **options):
        backend = real(name, model, *rest, **options)
        return Wrong(backend) if name == "onnxruntime" else backend

    monkeypatch.setattr(parity, "open_backend", opened)
    (row,) = compare(NANO, "onnxruntime", "fp32", workloads, "random")
    assert row["status"] == "ok" and row["passed"] == "no" and row["max_diff"] > 10 * row["tolerance"]


@pytest.fixture(scope="module")
def in_eight_bits():
    return lambda workloads: compare(TINY, "onnxruntime", "int8", workloads, "random")


def test_a_lower_precision_of_random_weights_is_judged_by_its_simcc_vectors(workloads, in_eight_bits):
    pixels, vectors = in_eight_bits(workloads)
    assert (pixels["unit"], pixels["passed"]) == ("px", "") and "flat vectors" in pixels["reason"]
    assert np.isnan(pixels["tolerance"]) and pixels["n"] == 4 * 17
    assert (vectors["quantity"], vectors["passed"], vectors["reason"]) == ("SimCC vectors, noise", "yes", "")
    assert vectors["n"] == 2 * 4 and 0 < vectors["max_diff"] < vectors["tolerance"]


def test_a_broken_int8_file_fails(workloads, monkeypatch):
    """One layer that clips what it should not: its outputs are no longer those of the model."""
    from pose_utils.zoo import quantize

    whole = quantize.activation_ranges
    monkeypatch.setattr(quantize, "VARIANT_VERSION", -1)
    monkeypatch.setattr(
        quantize,
        "activation_ranges",
        lambda *given: {name: (low, high / 50) for name, (low, high) in whole(*given).items()},
    )
    _, vectors = compare(TINY, "onnxruntime", "int8", workloads, "random")
    assert vectors["passed"] == "no" and vectors["max_diff"] > vectors["tolerance"]


def test_weights_that_magnify_any_rounding_are_not_judged_and_say_so():
    found = parity.Quantity("r", "raw outputs, noise", "1", np.array([0.9]), 3.0, "not judged: rounding")
    row = parity._figures(found)
    assert row["passed"] == "" and row["reason"].startswith("not judged") and np.isnan(row["tolerance"])


def test_noise_is_a_share_of_what_the_picture_changes():
    """Most of what an untrained network says is the same for every picture, and does not count."""
    same = 1000 * np.random.default_rng(2).normal(0, 1, (1, 17, 384))
    theirs = same + np.random.default_rng(0).normal(0, 1, (3, 17, 384))
    ours = theirs + 0.1 * np.random.default_rng(1).normal(0, 1, theirs.shape)
    shares = parity.noise_shares([ours], [theirs], [same])
    assert shares.shape == (3,) and shares == pytest.approx(0.1, rel=0.2)
    assert parity.noise_shares([same.repeat(3, axis=0)], [theirs], [same]) == pytest.approx(1.0)


def test_one_wrong_joint_of_a_person_is_seen_and_the_noise_of_a_flat_one_is_not():
    theirs = np.random.default_rng(0).normal(0, 1, (2, 17, 384))
    theirs[1, 4] *= 1e-3
    ours = theirs.copy()
    ours[0, 4] = np.random.default_rng(1).normal(0, 1, 384)
    ours[1, 4] += np.random.default_rng(1).normal(0, 1e-3, 384)
    wrong, flat = parity.noise_shares([ours], [theirs], [np.zeros((1, 17, 384))])
    assert wrong > parity.TOLERANCE_NOISE["int8"] > parity.TOLERANCE_NOISE["fp16"] > flat


@pytest.fixture
def lively_detector(monkeypatch, tmp_path):
    """Weights of a detector that finds something: the random ones with louder scores and wider boxes."""
    module = load_module(NANO, None)
    with torch.no_grad():
        for level, (scores, distances) in enumerate(
            zip(module.bbox_head.rtm_cls, module.bbox_head.rtm_reg, strict=True)
        ):
            scores.weight *= 20
            distances.weight *= 0.1
            distances.bias.fill_(2.0 + level)
    path = tmp_path / "rtmdet-nano.pth"
    torch.save({"state_dict": module.state_dict()}, path)
    files = {"rtmdet-nano.pth": path}

    def fetch(name):
        if name not in files:
            raise AssetError(f"{name} cannot be had")
        return files[name]

    monkeypatch.setattr(artifacts.assets, "fetch", fetch)
    monkeypatch.setattr(artifacts.assets, "locate", files.get)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_a_detector_that_finds_boxes_agrees_with_mmdets_own_inference(lively_detector, workloads, backend):
    noise = np.random.default_rng(0).integers(0, 256, (333, 500, 3), dtype=np.uint8)
    (row,) = compare(NANO, backend, "fp32", [*workloads, Workload("noise", noise, np.empty((0, 4)))])
    assert (row["reference"], row["unit"], row["weights"]) == ("mmdet inference_detector", "px", "trained")
    assert row["n"] >= 5 and row["passed"] == "yes", row


@pytest.mark.parametrize(
    "change", [{"mean": (0.0, 0.0, 0.0)}, {"channels": "rgb"}, {"input_size": (352, 352)}], ids=str
)
def test_a_mistake_before_the_detector_is_seen(lively_detector, workloads, change):
    (row,) = compare(replace(NANO, **change), "torch", "fp32", workloads)
    assert row["status"] == "ok" and row["passed"] == "no"


def test_what_cannot_be_compared_is_a_row_with_its_reason(workloads, monkeypatch):
    assert "NVIDIA" in compare(TINY, "tensorrt", "fp16", workloads, "random")[0]["reason"]
    nobody = [Workload("empty", workloads[0].image, np.empty((0, 4), "float32"))]
    (row,) = compare(TINY, "onnxruntime", "fp32", nobody, "random")
    assert row["status"] == "skipped" and row["reason"]


def test_rows_fit_the_record(workloads, tmp_path):
    rows = run_parity([TINY], [("onnxruntime", "fp32"), ("tensorrt", "fp16")], workloads, "random")
    frame = RunFolder.create({}, tmp_path / "run").write("parity.csv", rows)
    assert list(frame["status"]) == ["ok", "skipped"]


@pytest.mark.parametrize(("wrong", "passed"), [(0, "yes"), (1, "yes"), (2, "no")])
def test_the_share_within_the_tolerance_decides(wrong, passed):
    differences = np.zeros(1000)
    differences[:wrong] = 9.0
    row = parity._figures(parity.Quantity("r", "q", "px", differences, parity.TOLERANCE_PX))
    assert row["passed"] == passed and row["share_within"] == 1 - wrong / 1000


def test_a_reference_is_asked_once_for_each_source_of_weights():
    """One model may run PyTorch's random weights on one back end and a trained file on another."""
    reference, asked = Reference(), []
    random = artifacts.find_artifact(TINY, "torch", "random")
    for source in (random, random, replace(random, digest="a" * 64), None, None):
        answer = reference.once(source, lambda source=source: asked.append(source) or source, "keypoints")
        assert answer == source
    assert asked == [random, replace(random, digest="a" * 64), None]
    assert reference.once(random, lambda: "another", "boxes") == "another"
