"""How alike two persons are, and who goes with whom."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_utils.types import OKS_SIGMAS

SEEN_SCORE = 0.3
"""Keypoints above it count for similarity; a pose whose mean is lower is no sight of anybody."""


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
    squares = np.square(first[:, None] - second[None]).sum(axis=3)
    scale = 2 * np.maximum(areas, 1.0)[:, None, None] * np.square(2 * OKS_SIGMAS)
    counts = shown.sum(axis=2)
    sums = (np.exp(-squares / scale) * shown).sum(axis=2)
    return np.where(counts >= 3, sums / np.maximum(counts, 1), 0.0)


def iou_table(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the intersection over union of every box (n, 4) with every other (m, 4), xyxy."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    whole = (first[:, 2:] - first[:, :2]).prod(axis=1)[:, None] + (second[:, 2:] - second[:, :2]).prod(axis=1)
    union = whole - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the intersection over union of two boxes, xyxy."""
    return float(iou_table(np.asarray(first, float)[None], np.asarray(second, float)[None])[0, 0])


def assign(similarity: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Returns the pairs of the best one-to-one assignment whose similarity is at least `least`."""
    allowed = np.where(similarity >= least, similarity, 0.0)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]
    ]
