"""Keypoints to learn from: names map to names, truth corrects the teacher, and a user's COCO file is read."""

import json

import numpy as np
import pytest

from training.labels import COCO_KEYPOINTS, MIRRORED, Labels, around, correct, owner_of, read_joints, reliance
from training.teaching import label

JOINTS = ["right_ankle", "left_wrist", "neck", "head_top", "right_shoulder"]


def test_the_order_of_keypoints_and_their_mirror_image_are_mmpose_s():
    from mmengine.config import Config
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    meta = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    assert Config  # mmpose reads its own file through it
    assert list(COCO_KEYPOINTS) == [meta["keypoint_id2name"][index] for index in range(17)]
    assert list(MIRRORED) == meta["flip_indices"]


def test_true_joints_land_at_the_coco_keypoint_of_their_name(tmp_path):
    rows = [[10, 20, 1], [30, 40, 0], [1, 1, 1], [2, 2, 1], [50, 60, 1]]
    (tmp_path / "joints.json").write_text(json.dumps({"joints": JOINTS, "images": {"a.jpg": rows}}))
    found = read_joints(tmp_path / "joints.json")["a.jpg"]
    assert found[COCO_KEYPOINTS.index("right_ankle")].tolist() == [10, 20, 1]
    assert found[COCO_KEYPOINTS.index("left_wrist")].tolist() == [30, 40, 0]
    assert found[COCO_KEYPOINTS.index("right_shoulder")].tolist() == [50, 60, 1]
    assert found.sum() == 10 + 20 + 1 + 30 + 40 + 50 + 60 + 1, "neck and head have no place in COCO's order"


def test_truth_goes_before_the_teacher_where_they_disagree_and_meets_it_where_they_agree():
    keypoints = np.zeros((17, 2), "float32")
    scores = np.full(17, 0.9, "float32")
    scores[3] = 0.1
    truth = np.zeros((17, 3), "float32")
    truth[0] = 4, 0, 1  # 4 px apart in a box of 100 x 100: the same place
    truth[1] = 40, 0, 1  # another place
    placed, weights, sure = correct(keypoints, scores, truth, np.array([0, 0, 100, 100]))
    assert placed[0].tolist() == [2, 0] and weights[0] == 1
    assert placed[1].tolist() == [40, 0] and weights[1] == pytest.approx(0.7)
    assert placed[2].tolist() == [0, 0] and weights[2] == 1, "no truth: the teacher's word"
    assert weights[3] == 0 and sure[3] == pytest.approx(0.1)


def test_a_teacher_that_is_unsure_counts_for_less():
    assert reliance(np.array([0.1, 0.3, 0.6, 0.9])).tolist() == pytest.approx([0, 0.5, 1, 1])


def test_true_joints_belong_to_the_box_that_holds_most_of_them():
    truth = np.zeros((17, 3))
    truth[:4] = [[10, 10, 1], [20, 20, 1], [30, 30, 1], [200, 200, 1]]
    boxes = np.array([[150, 150, 250, 250], [0, 0, 100, 100], [0, 0, 50, 50]], float)
    assert owner_of(truth, boxes) == 2, "the smaller of the two that hold three of four"
    assert owner_of(truth, boxes[:1]) is None
    assert owner_of(truth, np.empty((0, 4))) is None


def test_a_box_around_joints_stays_inside_the_picture():
    box = around(np.array([[0.0, 10.0], [100.0, 60.0]]), (64, 200))
    assert box.tolist() == pytest.approx([0, 0, 112, 64])


def test_labels_survive_a_file(tmp_path):
    rng = np.random.default_rng(0)
    made = Labels(
        np.array(["a/x.jpg", "b/y.jpg"]),
        *(rng.random(s, "float32") for s in [(2, 4), (2, 17, 2), (2, 17), (2, 17)]),
    )
    made.save(tmp_path / "labels.npz")
    read = Labels.load(tmp_path / "labels.npz")
    assert all((vars(read)[name] == value).all() for name, value in vars(made).items())
    assert Labels.joined([read, made.rows(np.array([True, False]))]).files.tolist() == [
        "a/x.jpg",
        "b/y.jpg",
        "a/x.jpg",
    ]


class KnowingTeachers:
    """Find one person, and all keypoints at its centre with a score of their own."""

    def boxes(self, image):
        return np.array([[10, 10, 60, 80]], "float32")

    def keypoints(self, image, boxes):
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        return np.repeat(centres[:, None], 17, 1), np.full((len(boxes), 17), 0.4, "float32")


def test_persons_are_labelled_by_the_teachers_and_the_one_with_true_joints_is_corrected(drawn_pictures):
    truth = np.zeros((17, 3), "float32")
    truth[5:13] = [30, 30, 1]
    far = truth.copy()
    far[5:13, :2] = [110, 85]
    joints = {drawn_pictures[1].name: truth, drawn_pictures[2].name: far}
    made = label(drawn_pictures, drawn_pictures[0].parent, joints, KnowingTeachers())
    assert made.files.tolist() == ["picture0.png", "picture1.png", "picture2.png", "picture2.png"]
    assert made.weights[0] == pytest.approx(0.4 / 0.6) and made.weights[1, 5] == 1
    assert made.keypoints[1, 5].tolist() == [30, 30] and made.keypoints[1, 0].tolist() == [35, 45]
    assert made.boxes[3].tolist() == pytest.approx([110, 85, 110, 85]), (
        "nobody was found there: a box of its own"
    )
    assert len(label(drawn_pictures[:0], drawn_pictures[0].parent, None, KnowingTeachers())) == 0
