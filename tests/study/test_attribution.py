"""The split of a loss between the stages, against numbers worked out by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_utils.study.attribution import CAUSES, attribution_table, count_causes, split_loss
from pose_utils.study.intervals import Estimate

SHARE = st.floats(0, 1)


def exactly(value, *samples):
    return Estimate(value, np.array(samples or (value,), float))


def test_both_orders_are_averaged_and_paired_sample_by_sample():
    # Clean .8; the pose model alone brings it to .7, the detector alone to .5, both together to .3.
    parts = split_loss(exactly(0.8, 0.8, 0.9), exactly(0.7), exactly(0.5, 0.5, 0.6), exactly(0.3))
    assert parts["lost_to_detector"].value == pytest.approx((0.3 + 0.4) / 2)
    assert parts["lost_to_pose"].value == pytest.approx((0.1 + 0.2) / 2)
    assert parts["detector_minus_pose"].value == pytest.approx(0.2)
    assert parts["lost_to_detector_first"].value == pytest.approx(0.3)
    assert parts["lost_to_detector_last"].value == pytest.approx(0.4)
    assert parts["lost_to_detector"].samples == pytest.approx([0.35, 0.35])


@given(SHARE, SHARE, SHARE, SHARE)
def test_the_parts_add_up_and_are_the_shapley_value(whole, pose, detector, both):
    parts = split_loss(*(exactly(value) for value in (whole, pose, detector, both)))
    worth = {frozenset(): whole, frozenset("p"): pose, frozenset("d"): detector, frozenset("pd"): both}
    lost = {"p": [], "d": []}
    for order in itertools.permutations("pd"):
        hurt = frozenset()
        for stage in order:
            lost[stage].append(worth[hurt] - worth[hurt | {stage}])
            hurt |= {stage}
    assert parts["lost_to_detector"].value == pytest.approx(np.mean(lost["d"]))
    assert parts["lost_to_pose"].value == pytest.approx(np.mean(lost["p"]))
    total = parts["lost_to_detector"].value + parts["lost_to_pose"].value
    assert math.isclose(total, whole - both, abs_tol=1e-12)


def test_every_lost_person_has_one_cause():
    #        kept  detector  pose   either  together  never found
    clean = [True, True, True, True, True, False]
    pose = [True, True, False, False, True, False]
    detector = [True, False, True, False, True, False]
    both = [True, False, False, False, False, True]
    worlds = (clean, pose, detector, both)
    tallies = count_causes(*([np.array(world), np.array([], bool)] for world in worlds))
    assert list(tallies) == list(CAUSES)
    for count, persons in tallies.values():
        assert count.tolist() == [1, 0] and persons.tolist() == [5, 0]


def rows(condition, **figures):
    maker = {"models": "m", "backend": "b", "precision": "fp32", "severity": 0, "boxes": "detected"}
    names = {"loss": "minus_clean", "detector": "lost_to_detector", "pose": "lost_to_pose",
             "difference": "detector_minus_pose"}  # fmt: skip
    return [
        maker | {"condition": condition, "metric": f"keypoint_ap_{names[part]}", "value": value, "low": low,
                 "high": high}
        for part, (value, low, high) in figures.items()
    ]  # fmt: skip


def test_a_stage_is_the_bottleneck_only_where_the_interval_says_so():
    part = (0.1, 0.05, 0.15)
    table = attribution_table(pd.DataFrame(
        rows("dark", loss=(-0.2, -0.3, -0.1), detector=part, pose=part, difference=(0.1, 0.02, 0.2))
        + rows("noise", loss=(-0.2, -0.3, -0.1), detector=part, pose=part, difference=(-0.1, -0.2, -0.02))
        + rows("blur", loss=(-0.2, -0.3, -0.1), detector=part, pose=part, difference=(0.01, -0.1, 0.1))
        + rows("fog", loss=(-0.02, -0.05, 0.01), detector=part, pose=part, difference=(0.1, 0.02, 0.2))
    ))  # fmt: skip
    assert table.set_index("condition")["verdict"].to_dict() == {
        "dark": "detector", "noise": "pose model", "blur": "undecided", "fog": "no loss",
    }  # fmt: skip
    assert table.iloc[0][["loss", "loss_low", "loss_high"]].tolist() == [0.2, 0.1, 0.3]


def test_a_run_that_split_nothing_has_no_table():
    assert attribution_table(pd.DataFrame(rows("dark", loss=(-0.2, -0.3, -0.1)))).empty
