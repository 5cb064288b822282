"""Every category on a scene made for it, worked out by hand."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_utils.study import failure_rules, failures
from pose_utils.study.failure_rules import GOOD_KS, JITTER_KS, References
from pose_utils.types import FLIP_PAIRS, OKS_SIGMAS, Detections, Poses

AREA = 10_000.0
GRID = np.array([(60.0 * (i % 3), 45.0 * (i // 3)) for i in range(17)])  # 120 x 225, 45 px apart or more
MIRROR = np.arange(17)
for LEFT, RIGHT in FLIP_PAIRS:
    MIRROR[[LEFT, RIGHT]] = RIGHT, LEFT


def people(*offsets, labelled=range(17), crowd=()):
    keypoints = np.zeros((len(offsets), 17, 3))
    for index, offset in enumerate(offsets):
        keypoints[index, :, :2] = GRID + offset
        keypoints[index, list(labelled), 2] = 2
    low = np.array(offsets, float).reshape(-1, 2)
    boxes = np.hstack([low, low + np.array([120, 225])])
    return References(keypoints, np.full(len(offsets), AREA), boxes, np.array(crowd, float).reshape(-1, 4))


def found(*poses):
    """Poses from (keypoints, box, score)."""
    if not poses:
        return Poses.empty()
    keypoints, boxes, scores = zip(*poses, strict=True)
    return Poses(keypoints, np.ones((len(poses), 17)), boxes, scores)


def low(*boxes):
    return Detections(np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.2))


def moved(similarity):
    """Pixels to the right for each joint at which its keypoint similarity is `similarity`."""
    return np.column_stack([np.sqrt(-2 * AREA * np.log(similarity)) * 2 * OKS_SIGMAS, np.zeros(17)])


BOX = [0, 0, 120, 225]


def category(persons, poses, candidates=None):
    outcomes, _ = failure_rules.classify_references(persons, poses, candidates or low())
    return outcomes[0]


def test_found():
    outcome = category(people((0, 0)), found((GRID, BOX, 0.9)))
    assert (outcome.category, outcome.oks, outcome.iou, outcome.joints) == ("found", 1, 1, "g" * 17)
    assert outcome.score == pytest.approx(0.9)


def test_missed_with_and_without_a_low_scored_box():
    outcome = category(people((0, 0)), found())
    assert (outcome.category, outcome.joints) == ("missed_no_box", "x" * 17)
    assert category(people((0, 0)), found(), low([5, 5, 120, 225])).category == "missed_below_threshold"
    assert category(people((0, 0)), found(), low([100, 0, 220, 225])).category == "missed_no_box"


def test_box_poor_is_told_from_wrong_keypoints():
    # The box covers the upper 40 % (IoU .4); the legs' joints are squeezed into it.
    squeezed = GRID * [1, 0.4]
    outcome = category(people((0, 0)), found((squeezed, [0, 0, 120, 90], 0.9)))
    assert outcome.category == "box_poor" and outcome.iou == pytest.approx(0.4)
    assert category(people((0, 0)), found((squeezed, BOX, 0.9))).category not in ("box_poor", "found")


def test_jitter_by_hand():
    # Every joint at similarity .6: OKS .6, between the bounds, in its own place.
    outcome = category(people((0, 0)), found((GRID + moved(0.6), BOX, 0.9)))
    assert outcome.category == "jitter" and outcome.oks == pytest.approx(0.6, abs=1e-4)
    assert outcome.joints == "j" * 17


def test_inversion_by_hand():
    outcome = category(people((0, 0)), found((GRID[MIRROR], BOX, 0.9)))
    assert outcome.category == "inversion" and outcome.joints == "g" + "i" * 16


def test_swap_by_hand():
    # Everything below the eyes lies exactly on the other person; the other has its own prediction.
    mixed = GRID.copy()
    mixed[5:] += (400, 0)
    both = people((0, 0), (400, 0))
    outcomes, owner = failure_rules.classify_references(
        both, found((GRID + np.array([400, 0]), [400, 0, 520, 225], 0.9), (mixed, BOX, 0.8)), low()
    )
    assert owner == {1: 0, 0: 1}
    assert outcomes[1].category == "found"
    assert outcomes[0].category == "swap" and outcomes[0].joints == "g" * 5 + "s" * 12
    assert outcomes[0].oks == pytest.approx(5 / 17, abs=1e-6)


def test_miss_by_hand():
    far = GRID.copy()
    far[5:] += (0, 2000)
    outcome = category(people((0, 0)), found((far, BOX, 0.9)))
    assert outcome.category == "miss" and outcome.joints == "g" * 5 + "m" * 12


def test_the_error_that_costs_most_names_the_person():
    mixed = GRID + moved(0.7)  # 17 jitters cost 17 * .3; after five misses, 12 * .3 = 3.6 against 5
    mixed[:5] += 3000
    outcome = category(people((0, 0)), found((mixed, BOX, 0.9)))
    assert Counter(outcome.joints) == {"m": 5, "j": 12} and outcome.category == "miss"
    mixed = GRID + moved(0.55)  # 14 * .45 = 6.3 against 3
    mixed[:3] += 3000
    assert category(people((0, 0)), found((mixed, BOX, 0.9))).category == "jitter"


def test_keypoint_bounds_are_those_of_coco_analyze():
    for similarity, letter in (
        (GOOD_KS + 1e-3, "g"),
        (GOOD_KS - 1e-3, "j"),
        (JITTER_KS + 1e-3, "j"),
        (JITTER_KS - 1e-3, "m"),
    ):
        letters, own = failure_rules.joint_errors(people((0, 0)), 0, GRID + moved(similarity))
        assert letters == letter * 17 and own == pytest.approx(similarity)


def test_unlabelled_joints_are_not_judged():
    far = GRID + 5000.0
    far[5:] = GRID[5:]
    outcome = category(people((0, 0), labelled=range(5, 17)), found((far, BOX, 0.9)))
    assert outcome.category == "found" and outcome.joints == "-" * 5 + "g" * 12


def test_a_person_without_keypoints_is_judged_by_its_box():
    nobody = people((0, 0), labelled=())
    outcome = category(nobody, found((GRID, BOX, 0.9)))
    assert outcome.category == "found" and np.isnan(outcome.oks)
    assert category(nobody, found((GRID, [60, 0, 180, 225], 0.9))).category == "box_poor"  # IoU 1/3
    assert category(nobody, found((GRID, [500, 0, 620, 225], 0.9))).category == "missed_no_box"


def test_extras():
    persons = people((0, 0), crowd=[[800, 0, 1000, 400]])
    poses = found(
        (GRID, BOX, 0.9),
        (GRID + 5, [5, 5, 125, 230], 0.8),
        (GRID + np.array([850, 0]), [850, 0, 970, 225], 0.7),
        (GRID + np.array([400, 600]), [400, 600, 520, 825], 0.6),
    )
    _, owner = failure_rules.classify_references(persons, poses, low())
    extras = failure_rules.classify_extras(persons, poses, owner)
    assert [(pose, kind) for pose, kind, _ in extras] == [(1, "duplicate"), (2, "crowd"), (3, "background")]


def test_a_second_box_on_one_person_is_no_poor_box_of_a_missed_neighbour():
    # The neighbour stands 60 px to the right (IoU 1/3 with the first); only the first is found, twice.
    both = people((0, 0), (60, 0))
    poses = found((GRID, BOX, 0.9), (GRID + 2, [2, 2, 122, 227], 0.8))
    outcomes, owner = failure_rules.classify_references(both, poses, low())
    assert outcomes[0].category == "found"
    assert owner == {0: 0} and outcomes[1].category == "missed_no_box"
    assert [kind for _, kind, _ in failure_rules.classify_extras(both, poses, owner)] == ["duplicate"]


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_everyone_and_every_prediction_is_accounted_for_once(seed):
    rng = np.random.default_rng(seed)
    persons = people(
        *rng.uniform(0, 500, (rng.integers(0, 5), 2)),
        labelled=np.flatnonzero(rng.random(17) < 0.6),
        crowd=rng.uniform(0, 400, (rng.integers(0, 2), 4)),
    )
    count = rng.integers(0, 6)
    corners = rng.uniform(0, 500, (count, 2))
    poses = Poses(
        GRID + corners[:, None] + rng.normal(0, 15, (count, 17, 2)),
        rng.uniform(0, 1, (count, 17)),
        np.hstack([corners, corners + rng.uniform(60, 240, (count, 2))]),
        rng.uniform(0.3, 1, count),
    )
    rows = failures.failure_rows(["a"], [persons], [poses], [low()])
    kinds = rows["kind"].value_counts() if len(rows) else {}
    assert kinds.get("person", 0) == len(persons)
    if len(rows):
        of_person = rows[rows["kind"] == "person"]
        assert set(of_person["category"]) <= set(failures.CATEGORIES)
        assert set(rows.loc[rows["kind"] == "extra", "category"]) <= set(failures.EXTRAS)
        missed = of_person["category"].str.startswith("missed").sum()
        assert kinds.get("extra", 0) + len(persons) - missed == count
        assert (of_person["joints"].str.len() == 17).all()


def test_losses_are_ranked():
    def row(category, area, joints, condition="noise"):
        return {
            "models": "m",
            "condition": condition,
            "severity": 3,
            "kind": "person",
            "category": category,
            "area": area,
            "joints": joints,
        }

    table = pd.DataFrame(
        [
            row("found", 100.0, "g" * 17),
            row("missed_no_box", 100.0, "x" * 17),
            row("missed_no_box", 50.0, "x" * 17),
            row("jitter", 50_000.0, "j" * 10 + "g" * 7),
            row("found", 50_000.0, "-" + "g" * 16),
            row("background", 1.0, "") | {"kind": "extra"},
        ]
    )
    ranked = failures.rank_losses(table)
    top = ranked[ranked["group"] == "category"].iloc[0]
    assert (top["value"], top["persons"], top["lost"], top["share"]) == ("missed_no_box", 5, 2, 0.4)
    sizes = ranked[ranked["group"] == "size"].set_index("value")["share"]
    assert sizes["small"] == pytest.approx(2 / 3) and sizes["large"] == 0.5
    joints = ranked[ranked["group"] == "joint"].set_index("value")
    assert tuple(joints.loc["nose", ["persons", "lost"]]) == (4, 3)
    assert tuple(joints.loc["right_ankle", ["persons", "lost"]]) == (5, 2)
