"""The teachers look at every picture once: RTMDet-nano for boxes, PP-TinyPose (flip test) for keypoints."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pose_utils.runtime import decode, geometry
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.pipeline import Detector
from pose_utils.zoo.specs import get_spec
from training import scenes
from training.labels import MIRRORED, Labels, around, correct, owner_of, reliance

LEAST_SCORE = 0.35
LEAST_SIDES = (16, 32)
"""Persons need this box score and these pixels of width and height."""


class Teachers:
    """Both teachers on one back end."""

    def __init__(
        self, detector: str = "rtmdet-nano", pose: str = "pp-tinypose", threads: int | None = None
    ) -> None:
        """Opens the trained models of these names."""
        self.detect = Detector(
            open_backend("onnxruntime", get_spec(detector), threads=threads, weights="trained")
        )
        self.pose = open_backend("onnxruntime", get_spec(pose), threads=threads, weights="trained")

    def boxes(self, image: np.ndarray) -> np.ndarray:
        """Returns float32 (n, 4) of the persons worth learning from."""
        found = self.detect(image)
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        return found.boxes[(found.scores > LEAST_SCORE) & (sides >= LEAST_SIDES).all(axis=1)]

    def keypoints(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns keypoints float32 (n, 17, 2) in image pixels and scores (n, 17), flip test on."""
        spec = self.pose.artifact.spec
        affines = geometry.person_affines(boxes, spec.input_size, spec.padding)
        crops = geometry.crop_persons(image, affines, spec.input_size)
        (maps,) = self.pose.run(geometry.to_network_input(crops, spec))
        (turned,) = self.pose.run(geometry.to_network_input(np.ascontiguousarray(crops[:, :, ::-1]), spec))
        maps = (maps + turned[:, MIRRORED, :, ::-1]) / 2
        found, scores = decode.heatmap([maps], spec.input_size)
        return geometry.crop_to_image(found, affines), scores


_own = threading.local()


def _teachers() -> Teachers:
    """This thread's own, on one core: pieces of the pictures, not the networks, share the cores."""
    if not hasattr(_own, "teachers"):
        _own.teachers = Teachers(threads=1)
    return _own.teachers


def label(
    paths: Sequence[Path],
    folder: Path,
    joints: Mapping[str, np.ndarray] | None = None,
    teachers: Teachers | None = None,
) -> Labels:
    """Labels every person of the pictures.

    Args:
        paths: The pictures.
        folder: What file names are relative to.
        joints: True joints by file name, of one person a picture; see `labels.read_joints`.
        teachers: See `Teachers`; None for the trained ones.
    """
    teachers = teachers or _teachers()
    rows: list[tuple] = []
    for path in paths:
        image = scenes.read(path)
        boxes = teachers.boxes(image)
        truth = (joints or {}).get(path.name)
        owner = None
        if truth is not None and (truth[:, 2] > 0).sum() >= 6:
            owner = owner_of(truth, boxes)
            if owner is None:
                given = around(truth[truth[:, 2] > 0, :2], image.shape)
                owner, boxes = len(boxes), np.concatenate([boxes, given[None]])
        if not len(boxes):
            continue
        found, scores = teachers.keypoints(image, boxes)
        for index, box in enumerate(boxes):
            if index == owner:
                row = correct(found[index], scores[index], truth, box)
            else:
                row = found[index], reliance(scores[index]), np.clip(scores[index], 0, 1)
            if row[1].sum() >= 3:
                rows.append((path.relative_to(folder).as_posix(), box, *row))
    shapes = {"boxes": (4,), "keypoints": (17, 2), "weights": (17,), "confidences": (17,)}
    columns = {
        name: np.array([row[1 + index] for row in rows], "float32").reshape(-1, *shape)
        for index, (name, shape) in enumerate(shapes.items())
    }
    return Labels(files=np.array([row[0] for row in rows], str), **columns)
