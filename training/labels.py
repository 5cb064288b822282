"""Keypoints to learn from: the teacher's answers, corrected by true joints where there are any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_utils.atomic import write_atomic
from pose_utils.types import NUM_KEYPOINTS

COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
)  # fmt: skip
MIRRORED = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
"""Where each keypoint goes when a picture is mirrored."""
AGREE = 0.06
"""Truth and teacher agree where they are closer than this share of the square root of the box's area."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Persons to learn from, one row each.

    Attributes:
        files: File name of the picture, relative to its folder; (n,) strings.
        boxes: float32 (n, 4) xyxy in image pixels.
        keypoints: float32 (n, 17, 2) in image pixels.
        weights: float32 (n, 17), 0..1: how far the position can be relied on; 0 leaves it out.
        confidences: float32 (n, 17), 0..1: how sure a model should be of it.
    """

    files: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    weights: np.ndarray
    confidences: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def save(self, path: Path) -> None:
        """Writes the labels as a compressed .npz, whole or not at all."""
        write_atomic(path, lambda draft: np.savez_compressed(draft, **vars(self)))

    @classmethod
    def load(cls, path: Path) -> Labels:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(**{name: stored[name] for name in stored.files})

    def rows(self, chosen: np.ndarray) -> Labels:
        """Returns the rows that an index or a mask chooses."""
        return Labels(**{name: value[chosen] for name, value in vars(self).items()})

    @classmethod
    def joined(cls, parts: Sequence[Labels]) -> Labels:
        """Returns the rows of all `parts`."""
        return cls(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def read_joints(path: Path) -> dict[str, np.ndarray]:
    """Reads sports_joints.json: file name -> float32 (17, 3) of x, y and 1 where the joint is visible.

    Joints that COCO does not have (neck, top of the head) are left out; keypoints that the file does not have
    (nose, eyes, ears) get 0.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    names = content["joints"]
    source = [names.index(name) if name in names else -1 for name in COCO_KEYPOINTS]
    known = np.array(source) >= 0
    joints = {}
    for name, rows in content["images"].items():
        found = np.zeros((NUM_KEYPOINTS, 3), "float32")
        found[known] = np.asarray(rows, "float32")[[index for index in source if index >= 0]]
        joints[name] = found
    return joints


def reliance(scores: np.ndarray) -> np.ndarray:
    """Returns how far a teacher's position counts, from its score: 0 below .15, all of it from .6."""
    return np.where(scores < 0.15, 0.0, np.minimum(scores / 0.6, 1.0)).astype("float32")


def correct(
    keypoints: np.ndarray, scores: np.ndarray, truth: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corrects a teacher's keypoints of one person by true joints.

    Where both agree (see `AGREE`) the middle is taken, for the true joints are rough. Where they do not, the
    truth is; it counts for .7 where the teacher was sure of another place.

    Args:
        keypoints: float (17, 2), the teacher's, in image pixels.
        scores: float (17,), the teacher's.
        truth: float (17, 3): x, y, and 1 where known.
        box: float (4,) xyxy of the person.

    Returns:
        keypoints (17, 2), weights (17,) and confidences (17,), float32.
    """
    given = truth[:, 2] > 0
    size = np.sqrt(max(float(np.prod(box[2:] - box[:2])), 1.0))
    apart = np.linalg.norm(keypoints - truth[:, :2], axis=1) / size
    agreed = given & (apart < AGREE) & (scores > 0.3)
    placed = np.where(given[:, None], truth[:, :2], keypoints)
    placed[agreed] = (truth[agreed, :2] + keypoints[agreed]) / 2
    weights = np.where(given, np.where(~agreed & (scores > 0.5), 0.7, 1.0), reliance(scores))
    confidences = np.where(given, np.maximum(scores, np.where(agreed, 0.9, 0.6)), scores)
    return placed.astype("float32"), weights.astype("float32"), np.clip(confidences, 0, 1).astype("float32")


def owner_of(truth: np.ndarray, boxes: np.ndarray) -> int | None:
    """Returns which box the true joints belong to: the one that holds most, smallest first; None below half.

    Args:
        truth: float (17, 3).
        boxes: float (n, 4) xyxy.
    """
    points = truth[truth[:, 2] > 0, :2]
    if not len(points) or not len(boxes):
        return None
    inside = (points[:, None] >= boxes[:, :2]) & (points[:, None] <= boxes[:, 2:])
    held = inside.all(axis=2).mean(axis=0)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    best = np.lexsort((areas, -held))[0]
    return int(best) if held[best] > 0.5 else None


def around(points: np.ndarray, shape: tuple[int, ...], margin: float = 0.12) -> np.ndarray:
    """Returns a box float32 (4,) around points (n, 2), grown by `margin` of its larger side."""
    low, high = points.min(axis=0), points.max(axis=0)
    grown = margin * float((high - low).max())
    box = np.concatenate([low - grown, high + grown])
    return np.clip(box, 0, [shape[1], shape[0], shape[1], shape[0]]).astype("float32")
