"""Why the worst cases landed where they did, in words, computed from failures.csv."""

from __future__ import annotations

import pandas as pd

from pose_utils.report.words import readable, with_severity
from pose_utils.study.failure_rules import BOX_IOU, FOUND_OKS, JOINT_LETTERS

_WRONG = ("jitter", "inversion", "swap", "miss")


def why_lost(row: object) -> str:
    """Says by which rule of `failure_rules` a person, a row of failures.csv, ended in their category."""
    if row.category == "missed_no_box":
        return f"no box is theirs: of those too low for a pose, the nearest has IoU {row.iou:.2f}"
    if row.category == "missed_below_threshold":
        return (
            f"a box is on them (IoU {row.iou:.2f}), but its score of {row.score:.2f} is below the threshold"
        )
    counts = {name: row.joints.count(JOINT_LETTERS[name]) for name in (*_WRONG, "good")}
    off = ", ".join(f"{counts[name]} {name}" for name in _WRONG if counts[name]) or "none"
    joints = sum(counts.values())
    keypoints = f"OKS {row.oks:.2f}, below {FOUND_OKS}; of {joints} joints wrong: {off}"
    if row.category == "box_poor":
        return f"the box has IoU {row.iou:.2f}, below {BOX_IOU}" + (f"; {keypoints}" if joints else "")
    return f"the box is good (IoU {row.iou:.2f}); {keypoints}; {row.category} cost most"


def worst_table(worst: pd.DataFrame) -> pd.DataFrame:
    """Returns who was lost, under which condition, and why they landed in their category.

    Args:
        worst: As `galleries.worst_cases` returns it.
    """
    settings = zip(worst["condition"], worst["severity"], strict=True)
    return pd.DataFrame({
        "picture": worst["image"], "condition": [with_severity(*setting) for setting in settings],
        "category": worst["category"].map(readable),
        "why": [why_lost(row) for row in worst.itertuples()], "area, square px": worst["area"],
    })  # fmt: skip


def joints_on_body(losses: pd.DataFrame) -> pd.DataFrame:
    """Returns the share of labelled joints that were lost under corruption: keypoint, value.

    Args:
        losses: As `failures.rank_losses` returns it.
    """
    rows = losses[(losses["group"] == "joint") & (losses["condition"] != "clean")]
    sums = rows.groupby("value", as_index=False)[["persons", "lost"]].sum()
    return pd.DataFrame({"keypoint": sums["value"], "value": sums["lost"] / sums["persons"]})
