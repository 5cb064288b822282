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
    row = compare(TINY, backend, "fp32", workloads, "random")
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
    row = compare(replace(TINY, **mistake), "onnxruntime", "fp32", workloads, "random")
    assert row["status"] == "ok" and row["passed"] == "no"


def test_a_detector_with_random_weights_is_compared_by_its_raw_outputs(workloads):
    row = compare(NANO, "onnxruntime", "fp32", workloads, "random")
    assert (row["unit"], row["passed"], row["weights"]) == ("1", "yes", "random")
    assert row["n"] == 5 * (40**2 + 20**2 + 10**2)


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
    row = compare(NANO, backend, "fp32", [*workloads, Workload("noise", noise, np.empty((0, 4)))])
    assert (row["reference"], row["unit"], row["weights"]) == ("mmdet inference_detector", "px", "trained")
    assert row["n"] >= 5 and row["passed"] == "yes", row


@pytest.mark.parametrize(
    "change", [{"mean": (0.0, 0.0, 0.0)}, {"channels": "rgb"}, {"input_size": (352, 352)}], ids=str
)
def test_a_mistake_before_the_detector_is_seen(lively_detector, workloads, change):
    row = compare(replace(NANO, **change), "torch", "fp32", workloads)
    assert row["status"] == "ok" and row["passed"] == "no"


def test_what_cannot_be_compared_is_a_row_with_its_reason(workloads, monkeypatch):
    assert "NVIDIA" in compare(TINY, "tensorrt", "fp16", workloads, "random")["reason"]
    nobody = [Workload("empty", workloads[0].image, np.empty((0, 4), "float32"))]
    row = compare(TINY, "onnxruntime", "fp32", nobody, "random")
    assert row["status"] == "skipped" and row["reason"]


def test_rows_fit_the_record(workloads, tmp_path):
    rows = run_parity([TINY], [("onnxruntime", "fp32"), ("tensorrt", "fp16")], workloads, "random")
    frame = RunFolder.create({}, tmp_path / "run").write("parity.csv", rows)
    assert list(frame["status"]) == ["ok", "skipped"]


def test_the_share_within_the_tolerance_decides(monkeypatch, workloads):
    for wrong, passed in ((0, "yes"), (1, "yes"), (2, "no")):
        differences = np.zeros(1000)
        differences[:wrong] = 9.0
        monkeypatch.setattr(parity, "_differences", lambda *a, found=differences: ("r", "q", "px", found))
        row = compare(TINY, "torch", "fp32", workloads, "random")
        assert row["passed"] == passed and row["share_within"] == 1 - wrong / 1000
