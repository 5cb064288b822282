"""The one figure by which ways are compared: keypoint AP with truth, else agreement with a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pose_utils.study import accuracy, tallies
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.intervals import Estimate, estimate
from pose_utils.types import Poses


def headline_metric(truth: GroundTruth | None) -> str:
    """Returns the figure's name in the records."""
    return "keypoint_ap" if truth else "consistency"


def headline(
    poses: Sequence[Poses],
    names: Sequence[str],
    truth: GroundTruth | None,
    reference: Sequence[Poses],
    weights: np.ndarray,
) -> Estimate:
    """Returns keypoint AP over .5:.95; without truth the mean OKS with `reference`, lost persons counting 0.

    Args:
        poses: What was found in each picture.
        names: The pictures' names, as in the records.
        truth: Annotations that cover them, or None.
        reference: What is taken for right where nobody knows.
        weights: (1 + resamples, pictures), as `intervals.resampling_weights` draws them.
    """
    if truth is None:
        alike, _ = tallies.consistency(reference, poses)
        return estimate(tallies.ratio(alike, weights))
    known = truth.by_name()
    ids = [known[Path(name).name].id for name in names]
    results = [result for key, found in zip(ids, poses, strict=True) for result in found.to_coco(key)]
    matches = accuracy.match_keypoints(truth.restricted(ids), results)
    order = [ids.index(key) for key in matches.image_ids]
    return estimate(matches.precision(weights[:, order]))
