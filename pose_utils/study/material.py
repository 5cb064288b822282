"""Which pictures a run is made on, with ground truth where there is any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_utils import paths
from pose_utils.errors import InputError, UsageError
from pose_utils.runtime.media import open_source, read_image
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study.annotations import GroundTruth, load_coco_keypoints
from pose_utils.study.benchmark import Workload
from pose_utils.zoo.samples import sample_pictures

COCO_IMAGES, COCO_ANNOTATIONS = "coco/val2017", "coco/annotations/person_keypoints_val2017.json"
ANNOTATIONS_NAME = "person_keypoints.json"


@dataclass(frozen=True, eq=False)
class Material:
    """Pictures of a study.

    Attributes:
        paths: The files.
        truth: Their annotations, or None.
        origin: One phrase for captions that says what they are, with how many.
    """

    paths: tuple[Path, ...]
    truth: GroundTruth | None
    origin: str


def choose_material(images: str = "", annotations: str = "", limit: int | None = None) -> Material:
    """Finds the pictures of a study: the user's, else a COCO-format set that is here, else the samples.

    Args:
        images: A folder or glob of the user's; empty to choose.
        annotations: COCO keypoint annotations of those pictures; empty for none.
        limit: At most so many pictures, the first ones.

    Raises:
        InputError, AssetError: There is no picture, or the annotations cannot be used.
        UsageError: Annotations without images.
    """
    if annotations and not images:
        raise UsageError("annotations are given without images: name the folder of their pictures as well")
    if images and not annotations:
        files = open_source(images).paths[:limit]
        if not files:
            raise InputError(f"{images} holds no picture")
        return Material(tuple(files), None, f"{len(files)} pictures of your own, without ground truth")
    if images:
        return _annotated(Path(images), Path(annotations), limit, "your own")
    for folder, table, name in _known_sets():
        if folder.is_dir() and table.is_file():
            return _annotated(folder, table, limit, name)
    files = sample_pictures()[:limit]
    return Material(tuple(files), None, f"{len(files)} sample pictures, without ground truth")


def find_people(
    files: Sequence[Path], finder: PosePipeline, limit: int
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Returns (name, image, boxes that `finder` found) of the first `limit` pictures."""
    images = [(path.name, read_image(path)) for path in files[:limit]]
    return [(name, image, finder(image).boxes) for name, image in images]


def people_workloads(files: Sequence[Path], finder: PosePipeline, limit: int) -> list[Workload]:
    """Returns the pictures that show somebody, each with everybody in it."""
    return [Workload(*entry) for entry in find_people(files, finder, limit) if len(entry[2])]


def _annotated(folder: Path, table: Path, limit: int | None, name: str) -> Material:
    truth = load_coco_keypoints(table, folder)
    # As published: pictures that show a person, crowds included.
    peopled = [image.id for image in truth.images if len(image.persons.boxes)]
    truth = truth.restricted(peopled[:limit])
    files = tuple(image.path for image in truth.images)
    return Material(files, truth, f"{len(files)} pictures of {name} with {truth.persons} annotated persons")


def _known_sets() -> list[tuple[Path, Path, str]]:
    """COCO val2017 as `assets coco` leaves it, then annotated folders inside POSE_ASSETS_DIR."""
    sets = [(paths.DATA / COCO_IMAGES, paths.DATA / COCO_ANNOTATIONS, "COCO val2017")]
    shared = paths.assets_dir()
    for table in sorted(shared.glob(f"*/{ANNOTATIONS_NAME}")) if shared else []:
        sets.append((table.parent / "images", table, table.parent.name))
    return sets
