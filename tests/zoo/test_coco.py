import json
import zipfile

import pytest

from pose_utils.errors import AssetError, InputError
from pose_utils.zoo import coco
from pose_utils.zoo.archives import BadArchive
from pose_utils.zoo.coco import derive_person_lists, fetch_coco, unpack_pictures

ANNOTATIONS = {
    "images": [{"id": number, "file_name": f"{number:012d}.jpg"} for number in (9, 5, 7, 3)],
    "annotations": [
        {"image_id": 9, "category_id": 1, "num_keypoints": 4},
        {"image_id": 9, "category_id": 1, "num_keypoints": 0},
        {"image_id": 5, "category_id": 1, "num_keypoints": 0},
        {"image_id": 3, "category_id": 1, "iscrowd": 1},
        {"image_id": 7, "category_id": 18, "num_keypoints": 12},
    ],
}


def test_the_lists_hold_each_picture_once_and_only_persons():
    lists = derive_person_lists(ANNOTATIONS)
    assert lists.with_persons == ("000000000003.jpg", "000000000005.jpg", "000000000009.jpg")
    assert lists.with_keypoints == ("000000000009.jpg",)


def test_nobody_gives_empty_lists():
    lists = derive_person_lists({"images": ANNOTATIONS["images"], "annotations": []})
    assert lists.with_persons == lists.with_keypoints == ()


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"images": []},
        {"images": [], "annotations": [{"image_id": 1, "category_id": 1}]},
        {"images": None},
    ],
)
def test_other_forms_are_refused(broken):
    with pytest.raises(InputError, match="not of COCO's form"):
        derive_person_lists(broken)


def small_coco(server, make_asset, tmp_path, monkeypatch):
    monkeypatch.setattr(coco, "ALL_IMAGES", 4)
    monkeypatch.setattr(coco, "PERSON_IMAGES", 3)
    monkeypatch.setattr(coco, "KEYPOINT_IMAGES", 1)
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as archive:
        archive.writestr("val2017/", "")
        for image in ANNOTATIONS["images"]:
            archive.writestr(f"val2017/{image['file_name']}", b"jpg")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("annotations/instances_val2017.json", "{}")
        archive.writestr(coco.KEYPOINTS_MEMBER, json.dumps(ANNOTATIONS))
    for kind, name in (("images", "i.zip"), ("annotations", "a.zip")):
        content = (tmp_path / name).read_bytes()
        make_asset(f"coco-val2017-{kind}", content=content, sources=(server.gives(f"/{name}", content),))


def test_coco_is_fetched_unpacked_and_listed_once(server, make_asset, tmp_path, monkeypatch):
    small_coco(server, make_asset, tmp_path, monkeypatch)
    found = fetch_coco(tmp_path / "data" / "coco")
    assert sorted(path.name for path in found.images.iterdir()) == sorted(
        image["file_name"] for image in ANNOTATIONS["images"]
    )
    assert found.person_list == tmp_path / "data" / "coco_val2017_person_images.txt"
    assert found.person_list.read_text().split() == list(found.lists.with_persons)
    assert found.keypoint_list.read_text().split() == ["000000000009.jpg"]
    fetch_coco(tmp_path / "data" / "coco")
    assert len(server.requests) == 2


def test_a_set_that_is_not_the_published_one_is_refused(server, make_asset, tmp_path, monkeypatch):
    small_coco(server, make_asset, tmp_path, monkeypatch)
    monkeypatch.setattr(coco, "PERSON_IMAGES", 2693)
    with pytest.raises(AssetError, match="3 with persons"):
        fetch_coco(tmp_path / "data" / "coco")


def test_pictures_are_never_written_outside_their_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as archive:
        archive.writestr("../../evil.jpg", b"evil")
        archive.writestr("val2017/run.sh", b"evil")
    unpack_pictures(tmp_path / "i.zip", tmp_path / "a" / "b" / "val2017")
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(written) == ["a/b/val2017/evil.jpg", "i.zip"]


def test_a_damaged_archive_leaves_no_folder(tmp_path):
    (tmp_path / "i.zip").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(BadArchive):
        unpack_pictures(tmp_path / "i.zip", tmp_path / "val2017")
    assert [path.name for path in tmp_path.iterdir()] == ["i.zip"]


def test_the_published_counts_are_those_of_the_study():
    assert (coco.PERSON_IMAGES, coco.KEYPOINT_IMAGES) == (2693, 2346)
