"""Skeletons: what is drawn, where, and that the sides differ without colour."""

import numpy as np
import pytest

from pose_utils.palette import LEFT, RIGHT, bgr
from pose_utils.runtime.drawing import draw_poses
from pose_utils.types import KEYPOINT_NAMES, Poses
from tests.runtime.fakes import standing

GREY = np.full((400, 300, 3), 100, np.uint8)


def poses_of(*persons):
    return Poses(*zip(*persons, strict=True))


def test_the_picture_itself_is_not_drawn_on():
    before = GREY.copy()
    drawn = draw_poses(GREY, poses_of(standing(height=300)))
    np.testing.assert_array_equal(GREY, before)
    assert drawn.shape == GREY.shape and (drawn != GREY).any()


def test_nobody_leaves_the_picture_as_it_is():
    np.testing.assert_array_equal(draw_poses(GREY, Poses.empty()), GREY)


def test_left_joints_are_round_and_right_joints_are_square():
    person = standing(height=300)
    drawn = draw_poses(GREY, poses_of(person), boxes=False)

    def patch(name, colour):
        x, y = person[0][KEYPOINT_NAMES.index(name)].round().astype(int)
        return (drawn[y - 2 : y + 3, x - 2 : x + 3] == bgr(colour)).all(axis=2)

    left, right = patch("left_ankle", LEFT), patch("right_ankle", RIGHT)
    assert left[2, 2] and right[2, 2]
    assert right.sum() > left.sum(), "a square covers its corners, a disc does not"


def test_keypoints_below_the_threshold_are_left_out():
    keypoints, scores, box, score = standing(height=300)
    unsure = (keypoints, np.full(17, 0.2), box, score)
    np.testing.assert_array_equal(draw_poses(GREY, poses_of(unsure), boxes=False), GREY)
    scores = np.full(17, 0.2)
    scores[0] = 0.9
    alone = draw_poses(GREY, poses_of((keypoints, scores, box, score)), boxes=False)
    changed = np.argwhere((alone != GREY).any(axis=2))
    assert np.abs(changed - keypoints[0][::-1]).max() < 10, "one joint, no limb"


def test_boxes_are_drawn_on_request_with_the_identity():
    person = standing(height=300)
    with_box = draw_poses(GREY, poses_of(person))
    assert (with_box != draw_poses(GREY, poses_of(person), boxes=False)).any()
    tracked = poses_of(person)
    tracked = Poses(tracked.keypoints, tracked.scores, tracked.boxes, tracked.box_scores, [7])
    assert (draw_poses(GREY, tracked) != with_box).any()


@pytest.mark.parametrize("far", [1e9, -1e9, 40000.0])
def test_points_far_outside_do_not_break_the_drawing(far):
    keypoints, scores, _, score = standing()
    keypoints = keypoints + far
    draw_poses(GREY, poses_of((keypoints, scores, (far, far, far + 10, far + 10), score)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3000), (3000, 4000)])
def test_every_size_of_picture_can_be_drawn_on(shape):
    image = np.zeros((*shape, 3), np.uint8)
    assert draw_poses(image, poses_of(standing())).shape == image.shape
