"""What there is to train on: the project's training pictures, or a COCO-format folder of one's own.

The project's folder is `train/` in POSE_ASSETS_DIR: `scenes/*.jpg` unlabelled, `sports/*.jpg` with one person
each in `sports_joints.json`. Pictures of `coco_val75/` beside it are the test set: they and their near copies
are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pose_utils import paths
from pose_utils.cores import available_cores
from pose_utils.errors import InputError
from pose_utils.study.annotations import load_coco_keypoints
from training.labels import Labels, read_joints
from training.pictures import list_pictures, near_copies
from training.teaching import label

FOLDER = paths.DATA / "training"
"""Labels, checkpoints and learning curves; ignored by git."""
PIECE = 500
"""Pictures labelled at a time; an interrupted run loses at most so many."""


@dataclass(frozen=True)
class Material:
    """Pictures to train on.

    Attributes:
        root: What all file names are relative to.
        scenes, sports: Pictures of every kind; `sports` may be empty.
        annotations: COCO keypoint annotations where the pictures are a user's own, else None.
        left_out: Pictures that look like one of the test set.
    """

    root: Path
    scenes: tuple[Path, ...]
    sports: tuple[Path, ...] = ()
    annotations: Path | None = None
    left_out: tuple[Path, ...] = ()


def find_material(
    images: Path | None = None, annotations: Path | None = None, cache: Path = FOLDER
) -> Material:
    """Finds the pictures and leaves out near copies of the test set.

    Args:
        images: Pictures of one's own; None for `train/` in POSE_ASSETS_DIR.
        annotations: Their COCO keypoint annotations.
        cache: Where the outcome of the search for near copies is kept.

    Raises:
        InputError: There is nothing to train on.
    """
    assets = paths.assets_dir()
    if images is None:
        if assets is None or not (assets / "train" / "scenes").is_dir():
            raise InputError(
                "nothing to train on: set POSE_ASSETS_DIR to a folder with train/, or give --images"
            )
        root = assets / "train"
        groups = [list_pictures(root / "scenes"), list_pictures(root / "sports")]
    else:
        root, groups = images, [list_pictures(images), []]
        if not groups[0]:
            raise InputError(f"{images} holds no pictures")
    tests = list_pictures(assets / "coco_val75" / "images") if assets else []
    copies = _copies([*groups[0], *groups[1]], tests, root, cache)
    scenes, sports = (tuple(path for path in group if path not in copies) for group in groups)
    return Material(root, scenes, sports, annotations, tuple(sorted(copies)))


def _copies(candidates: list[Path], tests: list[Path], root: Path, cache: Path) -> set[Path]:
    note = cache / "near_copies.json"
    key = {"root": str(root), "candidates": len(candidates), "tests": len(tests)}
    if note.exists() and (kept := json.loads(note.read_text()))["of"] == key:
        return {root / name for name in kept["left out"]}
    copies = near_copies(candidates, tests)
    note.parent.mkdir(parents=True, exist_ok=True)
    names = [path.relative_to(root).as_posix() for path in copies]
    note.write_text(json.dumps({"of": key, "left out": names}, indent=1))
    return set(copies)


def find_labels(material: Material, cache: Path = FOLDER) -> Labels:
    """Returns the keypoints to learn from, asking the teachers once where there are no annotations.

    Args:
        material: See `find_material`.
        cache: Keeps the teachers' answers as labels-scenes.npz and labels-sports.npz; what is there is used.
    """
    if material.annotations is not None:
        return from_coco(material.annotations, material.root, {path.name for path in material.left_out})
    joints_file = material.root / "sports_joints.json"
    joints = {"sports": read_joints(joints_file)} if joints_file.exists() else {}
    parts = []
    for name, pictures in (("scenes", material.scenes), ("sports", material.sports)):
        file = cache / f"labels-{name}.npz"
        if pictures and not file.exists():
            pieces = _label_pieces(name, pictures, material.root, joints.get(name), cache)
            Labels.joined(pieces).save(file)
        if pictures:
            parts.append(Labels.load(file))
    return Labels.joined(parts)


def _label_pieces(
    name: str, pictures: Sequence[Path], root: Path, joints: Mapping[str, np.ndarray] | None, cache: Path
) -> list[Labels]:
    """Labels pictures piece by piece, one piece a core; a piece that is there is not made again."""

    def piece(start: int) -> Labels:
        file = cache / f"labels-{name}-{start:06d}.npz"
        if not file.exists():
            label(pictures[start : start + PIECE], root, joints).save(file)
        return Labels.load(file)

    starts = range(0, len(pictures), PIECE)
    with ThreadPoolExecutor(available_cores()) as pool:
        return list(tqdm(pool.map(piece, starts), f"labelling {name}", len(starts), unit="piece"))


def from_coco(annotations: Path, images: Path, left_out: set[str]) -> Labels:
    """Takes every posed person of a COCO keypoint file; hidden joints count, but a model may be less sure."""
    truth = load_coco_keypoints(annotations, images)
    rows = [
        (image.file_name, image.persons.boxes[index], image.persons.keypoints[index])
        for image in truth.images
        if image.file_name not in left_out
        for index in np.flatnonzero(image.persons.posed)
    ]
    if not rows:
        raise InputError(f"{annotations} has no person with keypoints")
    files, boxes, keypoints = (np.array(values) for values in zip(*rows, strict=True))
    visible = keypoints[..., 2]
    return Labels(
        files=files,
        boxes=boxes.astype("float32"),
        keypoints=keypoints[..., :2].astype("float32"),
        weights=(visible > 0).astype("float32"),
        confidences=np.select([visible > 1, visible > 0], [0.9, 0.6], 0.0).astype("float32"),
    )
