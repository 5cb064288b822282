"""AP of pipelines whose every answer is known."""

import json

import numpy as np
import pytest
from PIL import Image

from pose_utils.errors import InputError, UsageError
from pose_utils.study.evaluation import evaluate
from pose_utils.types import Detections, Poses
from tests.runtime.fakes import standing
from tests.study.scenes import coco_of

PERSONS = [[standing(20, 20)], [standing(30, 40), standing(200, 60, 200)], []]


class Oracle:
    """Knows the persons by the grey of the picture; `shift` moves keypoints, `first_only` loses people."""

    models, backend, takes_boxes = "oracle", "none", True

    def __init__(self, shift=0.0, first_only=False):
        self.shift, self.first_only, self.given = shift, first_only, []

    def __call__(self, image, boxes=None):
        persons = PERSONS[image[0, 0, 0] // 50]
        persons = persons[:1] if self.first_only else persons
        if boxes is not None:
            self.given.append(boxes)
        if not persons:
            return Poses.empty()
        keypoints, scores, own, box_scores = zip(*persons, strict=True)
        keypoints = np.array(keypoints) + self.shift
        return Poses(keypoints, scores, own if boxes is None else boxes, box_scores)

    def detect_and_pose(self, image):
        poses = self(image)
        return poses, Detections(poses.boxes, poses.box_scores)


@pytest.fixture
def dataset(tmp_path):
    layout = [
        [{"keypoints": [[*point, 2] for point in person[0]], "box": list(person[2]),
          "area": float(np.prod(np.subtract(person[2][2:], person[2][:2])))} for person in persons]
        for persons in PERSONS
    ]  # fmt: skip
    content = coco_of(layout)
    for index in range(len(PERSONS)):
        Image.new("L", (640, 640), 50 * index).save(tmp_path / f"{index + 1:04d}.png")
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    return tmp_path, path


def test_perfect_answers_have_an_ap_of_one(dataset):
    found = evaluate(Oracle(), *dataset, progress=False)
    assert (found.keypoint_ap, found.keypoint_ar, found.person_ap) == (1, 1, 1)
    assert (found.images, found.persons, found.models, found.backend) == (3, 3, "oracle", "none")
    assert found.skipped == {}


def test_lost_persons_and_moved_keypoints_cost_ap(dataset):
    lost = evaluate(Oracle(first_only=True), *dataset, progress=False)
    # Two of three found, none wrong: precision 1 up to recall 2/3, which is 67 of 101 recall points.
    assert lost.keypoint_ap == pytest.approx(67 / 101, abs=1e-3)
    assert lost.keypoint_ar == pytest.approx(2 / 3)
    moved = evaluate(Oracle(shift=6.0), *dataset, progress=False)
    assert moved.keypoint_ap < 0.9 and moved.person_ap == 1


def test_true_boxes_are_those_of_the_annotated_persons(dataset):
    oracle = Oracle()
    found = evaluate(oracle, *dataset, boxes="truth", progress=False)
    assert found.keypoint_ap == 1 and found.person_ap is None
    given = [boxes for boxes in oracle.given if len(boxes)]
    np.testing.assert_allclose(
        np.concatenate(given), [person[2] for persons in PERSONS for person in persons]
    )


def test_a_crowd_region_is_no_box_to_pose(dataset):
    folder, path = dataset
    content = json.loads(path.read_text())
    crowd = {
        "id": 99, "image_id": 1, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 600, 600],
        "area": 360000, "keypoints": [0] * 51, "num_keypoints": 0,
    }  # fmt: skip
    content["annotations"].append(crowd)
    path.write_text(json.dumps(content))
    oracle = Oracle()
    assert evaluate(oracle, folder, path, boxes="truth", progress=False).persons == 3
    assert max(len(boxes) for boxes in oracle.given) == 2


def test_a_picture_that_cannot_be_read_is_counted_and_left_out(dataset):
    folder, path = dataset
    (folder / "0002.png").write_bytes(b"broken")
    found = evaluate(Oracle(), folder, path, progress=False)
    assert found.skipped == {"image unreadable": 1}
    assert (found.images, found.persons) == (2, 1) and found.keypoint_ap == pytest.approx(1)


def test_no_picture_at_all_is_an_error(dataset):
    folder, path = dataset
    for picture in folder.glob("*.png"):
        picture.write_bytes(b"broken")
    with pytest.raises(InputError, match="none of the 3 pictures"):
        evaluate(Oracle(), folder, path, progress=False)


def test_wrong_usage_is_said(dataset):
    with pytest.raises(UsageError, match="allowed: detected, truth"):
        evaluate(Oracle(), *dataset, boxes="some", progress=False)
    oracle = Oracle()
    oracle.takes_boxes = False
    with pytest.raises(UsageError, match="finds boxes itself"):
        evaluate(oracle, *dataset, boxes="truth", progress=False)
