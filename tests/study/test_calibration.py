"""Scores, thresholds and groups on hand-made boxes whose counts were worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from pose_utils.study.calibration import calibrate
from pose_utils.study.failure_groups import costliest_conditions, flow_from_clean, losses_by_group
from pose_utils.study.records import RunFolder
from tests.study.scenes import truth_of

POINTS = np.column_stack([np.linspace(10, 90, 17), np.linspace(10, 190, 17), np.full(17, 2)])
PERSON = {"keypoints": POINTS, "box": [0, 0, 100, 200]}
OTHER = {"keypoints": POINTS + np.array([300, 0, 0]), "box": [300, 0, 400, 200]}


def row(image, score, x=0, condition="clean", boxes="detected"):
    return {
        "models": "m", "backend": "b", "precision": "fp32", "image": image, "condition": condition,
        "severity": 0, "boxes": boxes, "person": 0, "x1": x, "y1": 0, "x2": x + 100, "y2": 200,
        "box_score": score, "instance_score": score,
    }  # fmt: skip


@pytest.fixture
def tables(tmp_path):
    """Two pictures of two persons: one is scored .9, two .2 (below the threshold), one box is on nobody."""
    run = RunFolder.create({}, tmp_path / "run")
    rows = [
        row("0001.png", 0.9), row("0001.png", 0.2, x=300, boxes="candidate"),
        row("0002.png", 0.2, boxes="candidate"), row("0002.png", 0.1, x=500, boxes="candidate"),
        row("0001.png", 0.9, x=500, condition="fog"),
        row("0001.png", 0.99, boxes="truth"),
    ]  # fmt: skip
    run.write("persons.parquet", pd.DataFrame(rows))
    truth = truth_of([[PERSON, OTHER], [PERSON, OTHER]])
    thresholds, bins = calibrate(run, truth, ["0001.png", "0002.png"], used=0.3, bootstrap=50, seed=0)
    return thresholds.set_index("condition"), bins.set_index("condition")


def test_the_best_threshold_and_its_price(tables):
    clean = tables[0].loc["clean"]
    # Above .2 nothing but the .9 box; from .1 on three hits and no false box: F1 = 6 / (3 + 4).
    assert 0.1 <= clean["best"] < 0.2
    assert clean["f1_best"] == pytest.approx(6 / 7) and clean["f1_used"] == pytest.approx(2 / 5)
    assert clean["persons_gained"] == 2 and clean["false_persons"] == 0 and clean["persons"] == 4


def test_a_sure_box_on_nobody_is_a_calibration_error(tables):
    assert tables[0].loc["clean", "error"] == pytest.approx(0.1)  # .9, and always right
    assert tables[0].loc["fog", "error"] == pytest.approx(0.9)  # .9, and never right
    bins = tables[1].loc[["clean"]]
    assert bins["boxes"].tolist() == [1, 2, 1] and bins["right"].tolist() == [0, 1, 1]
    assert bins["score"].to_numpy() == pytest.approx([0.1, 0.2, 0.9])


def failures(*rows):
    columns = ["image", "person", "condition", "category", "area", "overlap", "visible_keypoints"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(models="m", backend="b", precision="fp32", severity=0, kind="person")


TABLE = failures(
    ("a", 0, "clean", "found", 500, 0.0, 17), ("a", 1, "clean", "jitter", 50_000, 0.4, 3),
    ("a", 0, "fog", "missed_no_box", 500, 0.0, 17), ("a", 1, "fog", "found", 50_000, 0.4, 3),
    ("a", 0, "noise", "swap", 500, 0.0, 17), ("a", 1, "noise", "miss", 50_000, 0.4, 3),
)  # fmt: skip


def test_persons_are_followed_from_clean_to_corrupted():
    flow = flow_from_clean(TABLE, "fog").set_index(["before", "after"])["persons"].to_dict()
    assert flow == {("found", "no box"): 1, ("keypoints wrong", "found"): 1}
    assert costliest_conditions(TABLE, 1) == [("noise", 0)]


def test_losses_by_size_crowding_and_keypoints():
    table = losses_by_group(TABLE, bootstrap=20, seed=0).set_index(["group", "value", "pictures"])
    small = table.loc[("size", "small, below 32² px", "corrupted")]
    assert (small["persons"], small["lost"], small["share"]) == (2, 2, 1)
    assert table.loc[("crowding", "overlap above .3", "corrupted"), "share"] == 0.5
    assert table.loc[("visible keypoints", "1 to 5", "clean"), "share"] == 1
    assert ("size", "medium", "clean") not in table.index
    for _, part in table.groupby(level=["group", "pictures"]):
        assert part["persons"].sum() == {"clean": 2, "corrupted": 4}[part.index[0][2]]
