"""COCO val2017 for the accuracy and robustness studies: photographs, keypoints, and the lists of persons."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from pose_utils import paths
from pose_utils.errors import AssetError, InputError
from pose_utils.zoo import assets
from pose_utils.zoo.archives import BadArchive, extract_member

PERSON = 1
"""COCO's category of persons."""
PERSON_IMAGES, KEYPOINT_IMAGES = 2693, 2346
"""Pictures of val2017 with a person, and with a person whose keypoints are labelled."""
ALL_IMAGES = 5000
KEYPOINTS_MEMBER = "annotations/person_keypoints_val2017.json"


@dataclass(frozen=True)
class PersonLists:
    """File names, sorted: pictures with any person, and those with at least one labelled keypoint."""

    with_persons: tuple[str, ...]
    with_keypoints: tuple[str, ...]


@dataclass(frozen=True)
class CocoFolder:
    """Where COCO val2017 lies.

    Attributes:
        images: Folder of the 5,000 photographs.
        annotations: person_keypoints_val2017.json.
        person_list, keypoint_list: Text files, one picture's name a line.
        lists: Their contents.
    """

    images: Path
    annotations: Path
    person_list: Path
    keypoint_list: Path
    lists: PersonLists


def derive_person_lists(annotations: dict) -> PersonLists:
    """Derives which pictures show persons.

    Args:
        annotations: Of COCO's form: "images" with id and file_name; "annotations" with image_id,
            category_id and, where labelled, num_keypoints. Crowd regions count as persons, as in the
            published list of 2,693.

    Raises:
        InputError: An annotation names a picture that is not listed, or parts are missing.
    """
    try:
        names = {image["id"]: image["file_name"] for image in annotations["images"]}
        persons = [each for each in annotations["annotations"] if each["category_id"] == PERSON]
        labelled = [each for each in persons if each.get("num_keypoints", 0) > 0]
        return PersonLists(_names(persons, names), _names(labelled, names))
    except (KeyError, TypeError) as error:
        raise InputError(f"these annotations are not of COCO's form: {error!r} is missing") from error


def fetch_coco(folder: Path | None = None) -> CocoFolder:
    """Downloads COCO val2017 (1.1 GB), unpacks it and writes the lists; what is done already is kept.

    Args:
        folder: Where to unpack, `data/coco` by default.

    Raises:
        AssetError: It cannot be had, stored or unpacked, or is not the published set.
    """
    folder = folder or paths.DATA / "coco"
    annotations = folder / "annotations" / PurePosixPath(KEYPOINTS_MEMBER).name
    images = folder / "val2017"
    try:
        if not annotations.is_file():
            archive = assets.fetch("coco-val2017-annotations")
            annotations.parent.mkdir(parents=True, exist_ok=True)
            temporary = annotations.with_suffix(f".{os.getpid()}")
            extract_member(archive, KEYPOINTS_MEMBER, temporary)
            os.replace(temporary, annotations)
        if not images.is_dir():
            unpack_pictures(assets.fetch("coco-val2017-images"), images)
        lists = derive_person_lists(json.loads(annotations.read_text(encoding="utf-8")))
        _check_counts(lists, images)
        # The lists stand beside the folder, where the study looks for them.
        person_list = folder.parent / "coco_val2017_person_images.txt"
        keypoint_list = folder.parent / "coco_val2017_keypoint_images.txt"
        person_list.write_text("\n".join(lists.with_persons) + "\n", encoding="utf-8")
        keypoint_list.write_text("\n".join(lists.with_keypoints) + "\n", encoding="utf-8")
    except (OSError, BadArchive, ValueError) as error:
        raise AssetError(f"COCO cannot be unpacked into {folder}: {error}") from error
    return CocoFolder(images, annotations, person_list, keypoint_list, lists)


def unpack_pictures(archive: Path, folder: Path) -> None:
    """Unpacks the .jpg files of a zip archive into `folder`, which appears only when all are there.

    Only the last part of each member's name is used, so nothing can be written elsewhere.

    Raises:
        zipfile.BadZipFile, OSError: As they come.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [each for each in opened.infolist() if each.filename.endswith(".jpg")]
            for member in tqdm(members, desc=f"unpacking {folder.name}", disable=None):
                with opened.open(member) as source:
                    (temporary / PurePosixPath(member.filename).name).write_bytes(source.read())
        os.replace(temporary, folder)
    except zipfile.BadZipFile as error:
        raise BadArchive(f"{archive.name} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _names(annotations: Iterable[dict], names: dict[int, str]) -> tuple[str, ...]:
    return tuple(sorted({names[each["image_id"]] for each in annotations}))


def _check_counts(lists: PersonLists, images: Path) -> None:
    found = (sum(1 for _ in images.glob("*.jpg")), len(lists.with_persons), len(lists.with_keypoints))
    if found != (ALL_IMAGES, PERSON_IMAGES, KEYPOINT_IMAGES):
        raise AssetError(
            f"{images.parent} is not COCO val2017: {found[0]} pictures, {found[1]} with persons, "
            f"{found[2]} with keypoints; expected {ALL_IMAGES}, {PERSON_IMAGES}, {KEYPOINT_IMAGES}. "
            "Delete the folder to begin anew."
        )
