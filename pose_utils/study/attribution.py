"""Which stage loses what under a condition: the detector, the pose model, or only both together.

Four worlds tell it: each stage sees the clean or the corrupted picture. Taking the stages' losses in one
order credits whatever they share to the one that comes first, so both orders are averaged, which for two
players is the Shapley value (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pose_utils.study.intervals import Estimate
from pose_utils.study.tallies import Tally

POSE_SUFFERS, DETECTOR_SUFFERS, BOTH_SUFFER = "clean", "detected_on_clean", "detected"
"""Origins of boxes in which only the pose model, only the detector, or both see the corrupted picture."""

SPLIT = ("keypoint_ap", "persons_found", "consistency")
"""Metrics that are split; the first one that a run has answers for it."""

CAUSES = ("detector_alone", "pose_alone", "either_alone", "only_together")
"""Why a person who was found on the clean picture is lost: which stage's corruption is enough."""

VERDICTS = ("detector", "pose model", "undecided", "no loss")


def split_loss(whole: Estimate, pose: Estimate, detector: Estimate, both: Estimate) -> dict[str, Estimate]:
    """Splits whole - both between the stages.

    Args:
        whole: The figure where both stages see the clean picture.
        pose: Where only the pose model sees the corrupted one.
        detector: Where only the detector does.
        both: Where both do.

    Returns:
        lost_to_detector and lost_to_pose, which add up to the whole loss; detector_minus_pose, whose sign
        says who loses more; and the detector's loss by either order, lost_to_detector_first (the pose
        model still sees the clean picture) and lost_to_detector_last (it sees the corrupted one).
    """
    first, last = whole - detector, pose - both
    by_detector = _half(first, last)
    by_pose = _half(whole - pose, detector - both)
    return {
        "lost_to_detector": by_detector,
        "lost_to_pose": by_pose,
        "detector_minus_pose": by_detector - by_pose,
        "lost_to_detector_first": first,
        "lost_to_detector_last": last,
    }


def _half(one: Estimate, other: Estimate) -> Estimate:
    return Estimate((one.value + other.value) / 2, (one.samples + other.samples) / 2)


def count_causes(
    clean: Sequence[np.ndarray],
    pose: Sequence[np.ndarray],
    detector: Sequence[np.ndarray],
    both: Sequence[np.ndarray],
) -> dict[str, Tally]:
    """Tallies why persons were lost, over the persons found on the clean picture.

    Args:
        clean: For each picture bool (persons,), who is found where both stages see the clean picture.
        pose: Who is found where only the pose model sees the corrupted one.
        detector: Where only the detector does.
        both: Where both do.

    Returns:
        Each of `CAUSES` -> its tally by picture; their figures add up to the share of persons lost.
    """
    counts = np.zeros((len(CAUSES), len(clean)))
    persons = np.array([float(found.sum()) for found in clean])
    for index, worlds in enumerate(zip(clean, pose, detector, both, strict=True)):
        before, by_pose, by_detector, after = (np.asarray(found, bool) for found in worlds)
        lost = before & ~after
        counts[:, index] = [
            (lost & ~by_detector & by_pose).sum(),
            (lost & by_detector & ~by_pose).sum(),
            (lost & ~by_detector & ~by_pose).sum(),
            (lost & by_detector & by_pose).sum(),
        ]
    return {cause: (count, persons) for cause, count in zip(CAUSES, counts, strict=True)}


def attribution_table(metrics: pd.DataFrame, metric: str = "") -> pd.DataFrame:
    """Returns one row a condition: what was lost, to whom, and who is the bottleneck.

    Args:
        metrics: Rows of metrics.csv.
        metric: Of `SPLIT`; empty for the first one that was split.

    Returns:
        The maker's columns, condition, severity, metric, and for each of loss, detector, pose and difference
        (detector minus pose) the figure with _low and _high; verdict, one of `VERDICTS`. The loss is compared
        with 0 first: where its interval holds 0 nothing was shown to be lost. Empty where no loss was split.
    """
    there = [name for name in ([metric] if metric else SPLIT)
             if (metrics["metric"] == f"{name}_lost_to_detector").any()]  # fmt: skip
    if not there:
        return pd.DataFrame()
    base = there[0]
    parts = {
        "loss": f"{base}_minus_clean", "detector": f"{base}_lost_to_detector", "pose": f"{base}_lost_to_pose",
        "difference": f"{base}_detector_minus_pose",
    }  # fmt: skip
    rows = metrics[metrics["metric"].isin(parts.values()) & (metrics["boxes"] == BOTH_SUFFER)]
    keys = ["models", "backend", "precision", "condition", "severity"]
    table = []
    for key, group in rows.groupby(keys, sort=False):
        figures = group.set_index("metric")[["value", "low", "high"]]
        if not set(parts.values()) <= set(figures.index):
            continue
        row = dict(zip(keys, key, strict=True)) | {"metric": base}
        for part, name in parts.items():
            value, low, high = (float(number) for number in figures.loc[name])
            if part == "loss":
                value, low, high = -value, -high, -low
            row |= {part: value, f"{part}_low": low, f"{part}_high": high}
        table.append(row | {"verdict": _verdict(row)})
    return pd.DataFrame(table)


def _verdict(row: Mapping[str, float]) -> str:
    if not row["loss_low"] > 0:
        return "no loss"
    if row["difference_low"] > 0:
        return "detector"
    return "pose model" if row["difference_high"] < 0 else "undecided"
