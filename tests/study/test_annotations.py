"""What the reader of COCO keypoint files accepts, counts and refuses."""

import json

import numpy as np
import pytest

from pose_utils.errors import InputError
from pose_utils.study.annotations import load_coco_keypoints
from tests.study.scenes import coco_of

PERSON = {"keypoints": np.column_stack([np.arange(17) * 5.0, np.arange(17) * 7.0, np.r_[0, [2] * 16]])}


def write(folder, content):
    path = folder / "truth.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_good_file_becomes_persons(tmp_path):
    crowd = PERSON | {"crowd": True}
    truth = load_coco_keypoints(write(tmp_path, coco_of([[PERSON, crowd], []])))
    assert [len(image.persons) for image in truth.images] == [2, 0]
    persons = truth.images[0].persons
    assert persons.boxes[0].tolist() == [0, 0, 80, 112] and persons.areas[0] == 0.5 * 80 * 112
    assert persons.num_keypoints.tolist() == [16, 16] and persons.posed.tolist() == [True, False]
    assert truth.persons == 1 and truth.skipped == {}
    assert truth.restricted([2]).dataset["annotations"] == [] and len(truth.restricted([2]).images) == 1


def test_annotation_ids_from_zero_are_numbered_from_one_for_cocoeval(tmp_path):
    raw = coco_of([[PERSON]])
    raw["annotations"][0]["id"] = 0
    truth = load_coco_keypoints(write(tmp_path, raw))
    assert truth.images[0].persons.ids.tolist() == [0] and truth.dataset["annotations"][0]["id"] == 1


@pytest.mark.parametrize(
    "change,reason",
    [
        ({"bbox": [5, 5, 0, 10]}, "annotation without area"),
        ({"area": 0}, "annotation without area"),
        ({"bbox": [float("nan"), 5, 10, 10]}, "annotation with NaN or infinity"),
        ({"category_id": 7}, "annotation of another category"),
    ],
)
def test_what_cannot_be_used_is_counted(tmp_path, change, reason):
    raw = coco_of([[PERSON, PERSON]])
    raw["annotations"][1] |= change
    truth = load_coco_keypoints(write(tmp_path, raw))
    assert truth.skipped == {reason: 1} and truth.persons == 1


def test_pictures_that_are_not_there_are_counted(tmp_path):
    (tmp_path / "0002.png").write_bytes(b"x")
    truth = load_coco_keypoints(write(tmp_path, coco_of([[PERSON], [PERSON]])), tmp_path)
    assert [image.id for image in truth.images] == [2]
    assert truth.skipped == {"image not found": 1, "annotation of an image not found": 1}
    assert [image["id"] for image in truth.dataset["images"]] == [2]
    with pytest.raises(InputError, match="none of its 2 images"):
        load_coco_keypoints(write(tmp_path, coco_of([[PERSON], [PERSON]])), tmp_path / "elsewhere")


def breakage(path, value):
    def change(raw):
        *parents, last = path
        for step in parents:
            raw = raw[step]
        if value is ...:
            del raw[last]
        else:
            raw[last] = value

    return change


@pytest.mark.parametrize(
    "change,message",
    [
        (breakage(["annotations"], ...), "no list 'annotations'"),
        (breakage(["images"], {}), "no list 'images'"),
        (breakage(["categories"], [{"id": 1, "name": "dog"}]), "no category 'person'"),
        (breakage(["images", 0, "file_name"], ...), r"images\[0\] has no field 'file_name'"),
        (breakage(["images", 0, "width"], "640"), "width must be int"),
        (breakage(["images", 0, "width"], True), "width must be int"),
        (breakage(["images", 0, "height"], 0), "height must be above 0"),
        (breakage(["images", 1, "id"], 1), "image id 1 is used twice"),
        (breakage(["images", 1, "id"], "two"), "is not among the images|mix numbers and texts"),
        (breakage(["annotations", 0, "image_id"], 99), "image_id 99 is not among the images"),
        (breakage(["annotations", 1, "id"], 1), "annotation id 1 is used twice"),
        (breakage(["annotations", 0, "bbox"], [1, 2, 3]), "bbox must be a list of 4 numbers"),
        (breakage(["annotations", 0, "bbox"], [1, 2, 3, "4"]), "bbox must be a list of 4 numbers"),
        (breakage(["annotations", 0, "keypoints"], [0] * 50), "keypoints must be a list of 51 numbers"),
        (breakage(["annotations", 0, "keypoints"], ...), "no keypoint file"),
        (breakage(["annotations", 0, "keypoints", 2], 5), "visibility"),
        (breakage(["annotations", 0, "area"], None), "area must be"),
        (breakage(["annotations", 0], []), r"annotations\[0\] has no field"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, change, message):
    raw = coco_of([[PERSON], [PERSON]])
    change(raw)
    with pytest.raises(InputError, match=message):
        load_coco_keypoints(write(tmp_path, raw))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "3"])
def test_what_is_no_coco_json_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"is not JSON|is no COCO file"):
        load_coco_keypoints(write(tmp_path, text))
    with pytest.raises(InputError, match="cannot be read"):
        load_coco_keypoints(tmp_path / "nothing.json")
