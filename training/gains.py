"""What one training buys over another: two robustness runs on the same pictures, paired by picture."""

from __future__ import annotations

import pandas as pd

from pose_utils.errors import UsageError
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.headline import headline
from pose_utils.study.intervals import Estimate, mean, resampling_weights
from pose_utils.study.predictions import Setting, poses_of
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness_metrics import CORRUPTED

ORIGINS = ("truth", "detected")
"""Origins of the boxes that are compared."""


def compare_runs(
    before: RunFolder, after: RunFolder, truth: GroundTruth, seed: int = 0, bootstrap: int = 1000
) -> pd.DataFrame:
    """Returns keypoint AP of both runs and its paired difference, for every condition of the first.

    Args:
        before: Folder that `pose_utils robustness` wrote, of one pipeline.
        after: Folder of the other pipeline.
        truth: The pictures' annotations.
        seed: Of the bootstrap over pictures.
        bootstrap: Number of resamples.

    Returns:
        boxes, condition, severity, before, after (AP, 0..1), gain (after - before), gain_low, gain_high
        (95 %), images. The rows of `CORRUPTED` average over all conditions but clean.

    Raises:
        UsageError: The two hold other conditions, or their pictures are not the annotated ones.
    """
    tables = [(run.read("persons.parquet"), run.read("poses.parquet")) for run in (before, after)]
    keys = [set(zip(persons["condition"], persons["severity"], strict=True)) for persons, _ in tables]
    if keys[0] != keys[1]:
        raise UsageError(f"{before.path} and {after.path} do not hold the same conditions")
    known = truth.by_name()
    for run, (persons, _) in zip((before, after), tables, strict=True):
        metrics = run.read("metrics.csv")
        looked_at = metrics.loc[metrics["metric"] == "images_processed", "value"]
        if set(looked_at) != {len(known)} or set(persons["image"]) - set(known):
            raise UsageError(f"{run.path} is not of the {len(known)} annotated pictures")
    names = sorted(known)  # also where neither found anybody: the persons there are missed by both
    weights = resampling_weights(len(names), bootstrap, seed)
    rows = []
    for boxes in ORIGINS:
        found: dict[tuple[str, int], tuple[Estimate, ...]] = {}
        for condition, severity in sorted(keys[0]):
            poses = [poses_of(*table, Setting(condition, severity, boxes), names) for table in tables]
            found[condition, severity] = tuple(headline(each, names, truth, [], weights) for each in poses)
        corrupted = [pair for (condition, _), pair in found.items() if condition != "clean"]
        if corrupted:
            found[CORRUPTED, 0] = tuple(mean(column) for column in zip(*corrupted, strict=True))
        rows += [_row(boxes, *key, *pair, len(names)) for key, pair in found.items()]
    return pd.DataFrame(rows)


def _row(boxes: str, condition: str, severity: int, before: Estimate, after: Estimate, images: int) -> dict:
    gain = after - before
    low, high = gain.interval()
    return {
        "boxes": boxes, "condition": condition, "severity": severity, "before": before.value,
        "after": after.value, "gain": gain.value, "gain_low": low, "gain_high": high, "images": images,
    }  # fmt: skip
