"""Names and numbers of annotations and pictures that would lead outside, overflow, or be no text."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_utils.errors import InputError
from pose_utils.study.annotations import load_coco_keypoints
from pose_utils.study.predictions import PHANTOM
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import picture_names, run_robustness
from tests.study.known_pipeline import PLACES, ByBrightness
from tests.study.scenes import coco_of

PERSON = {"keypoints": np.column_stack([np.arange(17) * 5.0, np.arange(17) * 7.0, np.full(17, 2)])}


def loaded(folder, change, images=None):
    raw = coco_of([[PERSON], [PERSON]])
    change(raw)
    (folder / "truth.json").write_text(json.dumps(raw))
    return load_coco_keypoints(folder / "truth.json", images)


@pytest.mark.parametrize(
    "way", ["../secret.png", "x/../../secret.png", "absolute", "/dev/zero", "a\0b", "n" * 5000]
)
def test_a_name_never_leads_outside_the_folder_of_pictures(tmp_path, way):
    images = tmp_path / "images"
    images.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (images / "0002.png").write_bytes(b"x")
    name = str(tmp_path / "secret.png") if way == "absolute" else way
    truth = loaded(tmp_path, lambda raw: raw["images"][0].update(file_name=name), images)
    assert [image.path for image in truth.images] == [images / "0002.png"]
    assert truth.skipped["image not found"] == 1


@pytest.mark.parametrize("place", ["id", "width"])
@pytest.mark.parametrize("value", [10**400, 2**63, -(2**70)])
def test_numbers_that_no_table_holds_are_refused_with_the_place(tmp_path, place, value):
    with pytest.raises(InputError, match=rf"images\[0\]: {place}"):
        loaded(tmp_path, lambda raw: raw["images"][0].update({place: value}))
    with pytest.raises(InputError, match=r"annotations\[1\]: bbox"):
        loaded(tmp_path, lambda raw: raw["annotations"][1].update(bbox=[0, 0, value, 5]))


def odd_pictures(folder):
    """Pictures whose names are no text, or several lines of markup."""
    names = [b"a\xff\xfe.png", b"new\nline.png", b"<b>'\"&.png", b"comma, and \xe4.png"]
    for name, places in zip(names, PLACES, strict=True):
        image = np.zeros((180, 240, 3), np.uint8)
        for x, y in places:
            image[y : y + 100, x : x + 80] = 255
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(cv2.imencode(".png", image)[1].tobytes())
    return sorted(folder.iterdir())


def test_a_study_of_oddly_named_pictures_is_recorded_and_read_back(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    pictures = odd_pictures(folder)
    names = list(picture_names(pictures))
    assert sorted(names) == sorted(
        ["a\\udcff\\udcfe.png", "new\nline.png", "<b>'\"&.png", "comma, and \\udce4.png"]
    )
    run = RunFolder.create({}, tmp_path / "run")
    run_robustness(
        ByBrightness(), pictures, ["noise_heavy"], truth=None, seed=1, run=run, bootstrap=20, progress=False
    )
    persons = run.read("persons.parquet")
    assert set(persons["image"]) == set(names)
    found = persons[persons["boxes"] != PHANTOM]
    assert len(set(found["image"])) == 3, "one of the four shows nobody"


def test_truth_is_found_for_a_picture_whose_name_is_no_text(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    pictures = odd_pictures(folder)
    layout = [[PERSON]] * len(pictures)
    raw = coco_of(layout)
    for entry, path in zip(raw["images"], pictures, strict=True):
        entry["file_name"] = path.name  # JSON keeps the bytes that are no text as lone surrogates
    (tmp_path / "truth.json").write_text(json.dumps(raw))
    truth = load_coco_keypoints(tmp_path / "truth.json", folder)
    assert len(truth.images) == 4 and set(truth.by_name()) == set(picture_names(pictures))
    run = RunFolder.create({}, tmp_path / "run")
    run_robustness(
        ByBrightness(), pictures, ["noise_heavy"], truth=truth, seed=1, run=run, bootstrap=20, progress=False
    )
    assert Path(run.path / "metrics.csv").is_file()
