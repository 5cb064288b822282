"""What a detector's score is worth under each condition, and which threshold would have been best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.study.accuracy import Matches, box_results, match_boxes
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.condition_pass import skipped_pictures
from pose_utils.study.intervals import estimate, resampling_weights
from pose_utils.study.material import Material
from pose_utils.study.plan import get_plan
from pose_utils.study.predictions import CANDIDATE
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import picture_names
from pose_utils.types import Detections
from pose_utils.zoo.specs import get_spec

THRESHOLDS = np.round(np.arange(0.06, 0.81, 0.02), 2)
"""Detection scores that are tried; boxes below .05 are not recorded."""

BINS = np.array([0.05, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.01])
"""Edges of the bins in which scores are compared with how often they are right."""


def calibrate(
    run: RunFolder, truth: GroundTruth, names: Sequence[str], used: float, bootstrap: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compares the recorded boxes, those below the threshold included, with the truth at IoU .5.

    Args:
        run: A folder with persons.parquet.
        truth: Annotations of the pictures.
        names: The pictures that were run.
        used: The threshold in use, to compare the best one with.
        bootstrap: Resamples of the pictures.
        seed: Of the resamples.

    Returns:
        Two tables, both by models, backend, precision, condition and severity. Thresholds: best (of greatest
        F1) with low and high, F1 there and at `used`, persons_gained, and the false_persons that they cost;
        error, the mean distance between score and share right above `used`, with its interval. Bins: score
        (mean), boxes, right (share whose box is on a person).
    """
    known = truth.by_name()
    ids = {name: known[Path(name).name].id for name in names}
    persons = run.read("persons.parquet")
    rows = persons[persons["boxes"].isin(["detected", CANDIDATE])]
    truth = truth.restricted(ids.values())
    thresholds, bins = [], []
    keys = ["models", "backend", "precision", "condition", "severity"]
    for key, group in rows.groupby(keys, sort=False):
        results = [
            result
            for name, boxes in group.groupby("image", sort=False)
            if name in ids
            for result in box_results(
                Detections(boxes[["x1", "y1", "x2", "y2"]], boxes["box_score"]), ids[name]
            )
        ]
        matches = match_boxes(truth, results)
        identity = dict(zip(keys, key, strict=True))
        thresholds.append(identity | _best(matches, used, bootstrap, seed))
        bins += [identity | row for row in _bins(matches)]
    return pd.DataFrame(thresholds), pd.DataFrame(bins)


def calibrate_run(
    run: RunFolder, material: Material, profile: str, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calls `calibrate` for the pictures of a run; without ground truth both tables are empty."""
    if material.truth is None:
        return pd.DataFrame(), pd.DataFrame()
    spec = get_spec(run.info()["models"].split("+")[0])
    skipped = skipped_pictures(run)
    names = [name for name in picture_names(material.paths) if name not in skipped]
    return calibrate(run, material.truth, names, spec.ap_score, get_plan(profile).bootstrap, seed)


def _counts(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Returns hits and false boxes above each threshold, (thresholds, images) each."""
    half = int(np.argmin(np.abs(matches.thresholds - 0.5)))
    images = len(matches.image_ids)
    counts = []
    for flags in (matches.hit[0, half], matches.false[0, half]):
        above = [flags & (matches.scores > threshold) for threshold in THRESHOLDS]
        counts.append(np.stack([np.bincount(matches.image[each], minlength=images) for each in above]))
    return counts[0].astype(float), counts[1].astype(float)


def _best(matches: Matches, used: float, bootstrap: int, seed: int) -> dict:
    hits, false = _counts(matches)
    weights = resampling_weights(len(matches.image_ids), bootstrap, seed)
    found, wrong = weights @ hits.T, weights @ false.T
    total = (weights @ matches.persons[0])[:, None]
    score = 2 * found / np.maximum(found + wrong + total, 1e-9)
    chosen = estimate(THRESHOLDS[score.argmax(axis=1)])
    best, now = int(score[0].argmax()), int(np.abs(THRESHOLDS - used).argmin())
    low, high = chosen.interval()
    error = estimate(_calibration_error(matches, weights, used))
    error_low, error_high = error.interval()
    return {
        "best": chosen.value, "low": low, "high": high, "f1_best": score[0, best], "f1_used": score[0, now],
        "persons_gained": int(found[0, best] - found[0, now]),
        "false_persons": int(wrong[0, best] - wrong[0, now]),
        "persons": int(total[0, 0]), "error": error.value, "error_low": error_low, "error_high": error_high,
    }  # fmt: skip


def _binned(matches: Matches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    half = int(np.argmin(np.abs(matches.thresholds - 0.5)))
    right = matches.hit[0, half]
    counted = right | matches.false[0, half]  # boxes in crowds count for nothing
    return np.digitize(matches.scores, BINS) - 1, right, counted


def _calibration_error(matches: Matches, weights: np.ndarray, used: float) -> np.ndarray:
    """Returns the expected calibration error (Naeini et al. 2015) of the boxes in use, by row of weights."""
    place, right, counted = _binned(matches)
    counted = counted & (matches.scores > used)  # thousands of low boxes would drown those that count
    drawn = weights[:, matches.image] * counted
    error = np.zeros(len(weights))
    for index in range(len(BINS) - 1):
        inside = place == index
        error += np.abs((drawn[:, inside] * (right[inside] - matches.scores[inside])).sum(axis=1))
    boxes = drawn.sum(axis=1)
    return np.divide(error, boxes, out=np.full(len(weights), np.nan), where=boxes > 0)


def _bins(matches: Matches) -> list[dict]:
    place, right, counted = _binned(matches)
    rows = []
    for index in range(len(BINS) - 1):
        inside = counted & (place == index)
        if inside.any():
            rows.append({"score": float(matches.scores[inside].mean()), "boxes": int(inside.sum()),
                         "right": float(right[inside].mean())})  # fmt: skip
    return rows
