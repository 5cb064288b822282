"""Object keypoint similarity with annotated persons, and with a prediction taken as reference."""

from __future__ import annotations

import numpy as np

from pose_utils.runtime.similarity import keypoint_similarity
from pose_utils.types import OKS_SIGMAS, Poses

AREA_OF_BOX = 0.53
"""Mean area of a person's outline over the area of the box, by which mmpose's CocoMetric estimates the
area where no outline is known."""

CONFIDENT = 0.3
"""Keypoint score above which a prediction serves as reference for another."""


def oks(
    keypoints: np.ndarray, reference: np.ndarray, areas: np.ndarray, boxes: np.ndarray | None = None
) -> np.ndarray:
    """Returns object keypoint similarity float64 (n, m), 0..1: the mean over labelled keypoints.

    Equals pycocotools' COCOeval.computeOks. A reference without any labelled keypoint is compared by
    how far the pose lies outside its box doubled about itself, where `boxes` are given, and is 0 otherwise.

    Args:
        keypoints: (n, 17, 2) pixels.
        reference: (m, 17, 3) x, y, visibility (above 0: labelled).
        areas: (m,) square pixels.
        boxes: (m, 4) xyxy pixels of the references.
    """
    keypoints = np.asarray(keypoints, float).reshape(-1, len(OKS_SIGMAS), 2)
    reference = np.asarray(reference, float).reshape(-1, len(OKS_SIGMAS), 3)
    labelled = reference[:, :, 2] > 0
    counts = labelled.sum(axis=1)
    each = keypoint_similarity(keypoints, reference, areas)
    similar = (each * labelled).sum(axis=-1) / np.maximum(counts, 1)
    if boxes is not None and (counts == 0).any():
        boxes = np.asarray(boxes, float)
        sizes = boxes[:, 2:] - boxes[:, :2]
        lowest, highest = boxes[:, :2] - sizes, boxes[:, 2:] + sizes
        points = keypoints[:, None]
        outside = np.maximum(0, lowest[:, None] - points) + np.maximum(0, points - highest[:, None])
        stand_in = np.concatenate([outside, np.zeros_like(outside[..., :1])], axis=-1)
        origin = np.zeros((len(reference), len(OKS_SIGMAS), 2))
        for column in np.flatnonzero(counts == 0):
            near = keypoint_similarity(stand_in[:, column], origin[[column]], np.asarray(areas)[[column]])
            similar[:, column] = near[:, 0].mean(axis=-1)
    return similar


def as_reference(poses: Poses) -> tuple[np.ndarray, np.ndarray]:
    """Turns a prediction into reference keypoints (n, 17, 3) and areas (n,).

    Keypoints scored above `CONFIDENT` count as labelled; of a person without any, all 17 do.
    """
    confident = poses.scores > CONFIDENT
    confident |= ~confident.any(axis=1, keepdims=True)
    keypoints = np.concatenate([poses.keypoints, 2.0 * confident[..., None]], axis=-1)
    sizes = np.maximum(poses.boxes[:, 2:] - poses.boxes[:, :2], 1).astype(float)
    return keypoints, AREA_OF_BOX * sizes.prod(axis=1)


def oks_between(poses: Poses, reference: Poses) -> np.ndarray:
    """Returns OKS float64 (n, m) of a prediction with another prediction taken as reference."""
    return oks(poses.keypoints, *as_reference(reference))
