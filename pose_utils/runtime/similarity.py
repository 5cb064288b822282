"""How alike two persons are, and who goes with whom."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_utils.types import OKS_SIGMAS

SEEN_SCORE = 0.3
"""Keypoints above it count for similarity; a pose whose mean is lower is no sight of anybody."""


def oks(first: np.ndarray, second: np.ndarray, scores: np.ndarray, area: float) -> float:
    """Returns the object keypoint similarity of two poses over the joints whose score is above SEEN_SCORE.

    Fewer than three such joints tell nothing: 0.
    """
    shown = scores > SEEN_SCORE
    if shown.sum() < 3:
        return 0.0
    squares = np.square(first[shown] - second[shown]).sum(axis=1)
    return float(np.exp(-squares / (2 * max(area, 1.0) * np.square(2 * OKS_SIGMAS[shown]))).mean())


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the intersection over union of two boxes, xyxy."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    whole = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])) - common
    return common / whole if whole > 0 else 0.0


def assign(similarity: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Returns the pairs of the best one-to-one assignment whose similarity is at least `least`."""
    allowed = np.where(similarity >= least, similarity, 0.0)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]
    ]
