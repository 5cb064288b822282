"""How alike two persons are, and who goes with whom."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_utils.types import OKS_SIGMAS

SEEN_SCORE = 0.3
"""Keypoints above it count for similarity; a pose whose mean is lower is no sight of anybody."""


def keypoint_similarity(keypoints: np.ndarray, reference: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Returns float64 (n, m, 17): similarity of each keypoint of n poses with those of m references.

    exp(-d^2 / (2 * area * k^2)) with k = 2 * OKS_SIGMAS (cocodataset.org, keypoints-eval).

    Args:
        keypoints: (n, 17, 2) pixels.
        reference: (m, 17, 2 or more) pixels.
        areas: (m,) square pixels.
    """
    offset = keypoints[:, None, :, :2].astype(float) - reference[None, :, :, :2].astype(float)
    spread = (2 * OKS_SIGMAS) ** 2 * (np.asarray(areas, float)[:, None] + np.spacing(1)) * 2
    return np.exp(-(offset**2).sum(axis=-1) / spread)


def oks_table(
    first: np.ndarray,
    second: np.ndarray,
    first_scores: np.ndarray,
    second_scores: np.ndarray,
    areas: np.ndarray,
) -> np.ndarray:
    """Returns the object keypoint similarity of every pose with every other, float64 (n, m).

    Joints count whose score is above SEEN_SCORE in both; fewer than three tell nothing: 0.

    Args:
        first: (n, 17, 2) in pixels.
        second: (m, 17, 2) in pixels.
        first_scores: (n, 17).
        second_scores: (m, 17).
        areas: (n,), square pixels of each person of `first`.
    """
    shown = (first_scores[:, None] > SEEN_SCORE) & (second_scores[None] > SEEN_SCORE)
    each = keypoint_similarity(second, first, np.maximum(areas, 1.0)).swapaxes(0, 1)
    counts = shown.sum(axis=2)
    sums = (each * shown).sum(axis=2)
    return np.where(counts >= 3, sums / np.maximum(counts, 1), 0.0)


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns intersection over union float64 (n, m) of xyxy boxes; 0 where both have no area."""
    shared, area, other_area = _overlap(boxes, others)
    union = area[:, None] + other_area[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the intersection over union of two boxes, xyxy."""
    return float(box_iou(np.asarray(first, float)[None], np.asarray(second, float)[None])[0, 0])


def share_inside(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Returns float64 (n, m): the share of each box that lies in each region (COCO's crowd overlap)."""
    shared, area, _ = _overlap(boxes, regions)
    return np.divide(shared, area[:, None], out=np.zeros_like(shared), where=area[:, None] > 0)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    others = np.asarray(others, float).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    return shared, *(np.maximum(some[:, 2:] - some[:, :2], 0).prod(axis=1) for some in (boxes, others))


def pair_up(similarity: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Returns (row, column) pairs of the one-to-one matching with the greatest total similarity.

    Only pairs of at least `least` count (scipy's linear_sum_assignment, the Hungarian method).
    """
    worth = np.where(similarity >= least, similarity, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if similarity[r, c] >= least]
