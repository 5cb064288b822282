"""How far two results on the same frames agree."""

import numpy as np
import pytest

from pose_utils.study.tracks import agreement
from pose_utils.types import OKS_SIGMAS, Poses
from tests.runtime.fakes import standing


def frame(*persons):
    return Poses(*zip(*persons, strict=True)) if persons else Poses.empty()


def test_the_same_persons_in_another_order_agree_wholly():
    here, there = standing(20), standing(300)
    assert agreement([frame(here, there)], [frame(there, here)]).tolist() == [1, 1]


def test_who_is_lost_counts_nothing_and_who_is_too_many_costs_nothing():
    here, there = standing(20), standing(300)
    values = agreement(
        [frame(here, there), frame(here), frame()], [frame(here), frame(here, there), frame(here)]
    )
    assert values.tolist() == [1, 0, 1]


def test_a_shift_costs_what_the_coco_formula_says():
    here = standing(20, height=120)
    shift = 6.0
    moved = (here[0] + [shift, 0], *here[1:])
    area = 60 * 120
    expected = np.exp(-(shift**2) / (2 * area * (2 * OKS_SIGMAS) ** 2)).mean()
    assert agreement([frame(here)], [frame(moved)])[0] == pytest.approx(expected, rel=1e-5)


def test_joints_that_the_reference_does_not_show_do_not_count():
    points, scores, box, score = standing(20)
    scores = scores.copy()
    scores[:10] = 0.1
    wrong = points.copy()
    wrong[:10] += 500
    assert agreement([frame((points, scores, box, score))], [frame((wrong, scores, box, score))])[0] == 1
    hidden = (points, np.full(17, 0.1), box, score)
    assert len(agreement([frame(hidden)], [frame(hidden)])) == 0
