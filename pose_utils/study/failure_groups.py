"""Who is lost: by size, crowding and visible keypoints, and from which category into which."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pose_utils.study.failures import SIZES
from pose_utils.study.intervals import estimate, resampling_weights
from pose_utils.study.tallies import ratio

FATES = {
    "found": "found", "missed_no_box": "no box", "missed_below_threshold": "below threshold",
    "box_poor": "box poor", "jitter": "keypoints wrong", "inversion": "keypoints wrong",
    "swap": "keypoints wrong", "miss": "keypoints wrong",
}  # fmt: skip
"""Category -> the coarser end that a flow can be read by."""

GROUPS = {
    "size": ("area", [edge for edge, _ in SIZES.values()] + [np.inf],
             ["small, below 32² px", "medium", "large, above 96² px"]),
    "crowding": ("overlap", [-np.inf, 0.0, 0.3, np.inf],
                 ["alone", "overlap up to .3", "overlap above .3"]),
    "visible keypoints": ("visible_keypoints", [-1, 0, 5, 11, 17], ["none", "1 to 5", "6 to 11", "12 to 17"]),
}  # fmt: skip
"""Group -> (column of failures.csv, edges, names); overlap is the greatest box IoU with another person."""

_PERSON = ["models", "backend", "precision", "image", "person"]


def reference_persons(failures: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of failures.csv that are reference persons."""
    return failures[failures["kind"] == "person"]


def losses_by_group(failures: pd.DataFrame, bootstrap: int, seed: int) -> pd.DataFrame:
    """Returns the share of persons not found by size, crowding and visible keypoints.

    Args:
        failures: Rows of failures.csv.
        bootstrap: Resamples of the pictures for the intervals.
        seed: Of the resamples.

    Returns:
        group, value, pictures ("clean" or "corrupted", all conditions together), persons, lost, share, low,
        high. A group that nobody belongs to has no row.
    """
    people = reference_persons(failures)
    columns = ["group", "value", "pictures", "persons", "lost", "share", "low", "high"]
    if people.empty:
        return pd.DataFrame(columns=columns)
    images = list(dict.fromkeys(people["image"]))
    place = people["image"].map({name: index for index, name in enumerate(images)}).to_numpy()
    weights = resampling_weights(len(images), bootstrap, seed)
    gone = people["category"].ne("found").to_numpy()
    pictures = np.where(people["condition"] == "clean", "clean", "corrupted")
    rows = []
    for group, (column, edges, names) in GROUPS.items():
        member = pd.cut(people[column], edges, labels=names).astype(str).to_numpy()
        for value in names:
            for kind in ("clean", "corrupted"):
                chosen = (member == value) & (pictures == kind)
                persons = np.bincount(place[chosen], minlength=len(images)).astype(float)
                lost = np.bincount(place[chosen & gone], minlength=len(images)).astype(float)
                if not persons.sum():
                    continue
                share = estimate(ratio((lost, persons), weights))
                rows.append((group, value, kind, int(persons.sum()), int(lost.sum()), share.value,
                             *share.interval()))  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def flow_from_clean(failures: pd.DataFrame, condition: str, severity: int = 0) -> pd.DataFrame:
    """Returns how the persons of the clean pictures moved: before, after (of `FATES`), persons."""
    people = reference_persons(failures)
    before = people[people["condition"] == "clean"].set_index(_PERSON)["category"].map(FATES)
    there = people[(people["condition"] == condition) & (people["severity"] == severity)]
    after = there.set_index(_PERSON)["category"].map(FATES)
    moved = pd.DataFrame({"before": before, "after": after}).dropna()
    return moved.groupby(["before", "after"]).size().rename("persons").reset_index()


def costliest_conditions(failures: pd.DataFrame, limit: int) -> list[tuple[str, int]]:
    """Returns the (condition, severity) pairs under which most persons were lost, worst first."""
    people = reference_persons(failures)
    people = people[people["condition"] != "clean"]
    lost = (
        people["category"].ne("found").groupby([people["condition"], people["severity"]], sort=False).mean()
    )
    return list(lost.sort_values(ascending=False, kind="stable").head(limit).index)
