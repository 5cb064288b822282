"""Predictions as rows of persons.parquet and poses.parquet, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from pose_utils.types import KEYPOINT_NAMES, NUM_KEYPOINTS, Detections, Poses

CANDIDATE = "candidate"
"""`boxes` of a row that holds a box which the detector scored too low for a pose."""

PHANTOM = "whole_picture"
"""`boxes` of a row that holds the whole picture as one person, where the detector found nobody: the published
pipeline's fallback, whose instance_score is the mean keypoint score that it would have been judged by."""


@dataclass(frozen=True)
class Maker:
    """What made the predictions: the columns that tell one model's rows from another's."""

    models: str
    backend: str
    precision: str

    def columns(self) -> dict[str, str]:
        """Returns column -> value."""
        return {"models": self.models, "backend": self.backend, "precision": self.precision}

    def of(self, frame: pd.DataFrame) -> pd.Series:
        """Marks the rows of `frame` that this maker made."""
        if frame.empty:
            return pd.Series(False, index=frame.index)
        return np.logical_and.reduce([frame[name] == value for name, value in self.columns().items()])


@dataclass(frozen=True, eq=False)
class Setting:
    """One condition at one severity, with the origin of the boxes: how a prediction came about."""

    condition: str
    severity: int
    boxes: str


def to_frames(
    maker: Maker,
    condition: str,
    severity: int,
    predicted: Mapping[str, Sequence[tuple[str, Poses]]],
    unposed: Mapping[str, Sequence[tuple[str, Detections | Poses]]] = MappingProxyType({}),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the rows of persons.parquet and of poses.parquet for one condition.

    Args:
        maker: Model, back end and precision.
        condition: Name of the condition.
        severity: 0 for a published one.
        predicted: Origin of the boxes -> (image name, poses) in order.
        unposed: Origin of further boxes, `CANDIDATE` or `PHANTOM` -> (image name, boxes in order). Their
            keypoints are not recorded.
    """
    persons, joints = [], []
    for boxes, by_image in predicted.items():
        for name, poses in by_image:
            persons.append(_person_rows(name, boxes, poses.boxes, poses.box_scores, poses.instance_scores))
            count = len(poses)
            joints.append(pd.DataFrame({
                "image": name, "boxes": boxes, "person": np.repeat(np.arange(count), NUM_KEYPOINTS),
                "keypoint": np.tile(np.array(KEYPOINT_NAMES, dtype=object), count),
                "x": poses.keypoints[..., 0].ravel(), "y": poses.keypoints[..., 1].ravel(),
                "score": poses.scores.ravel(),
            }))  # fmt: skip
    for boxes, by_image in unposed.items():
        for name, found in by_image:
            if isinstance(found, Poses):
                scores, ranks = found.box_scores, found.instance_scores
            else:
                scores, ranks = found.scores, np.full(len(found), np.nan)
            persons.append(_person_rows(name, boxes, found.boxes, scores, ranks))
    shared = maker.columns() | {"condition": condition, "severity": severity}
    return tuple(
        pd.concat(rows, ignore_index=True).assign(**shared) if rows else pd.DataFrame()
        for rows in (persons, joints)
    )


def _person_rows(
    name: str, boxes: str, sides: np.ndarray, scores: np.ndarray, ranks: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame({
        "image": name, "boxes": boxes, "person": np.arange(len(sides)), "x1": sides[:, 0], "y1": sides[:, 1],
        "x2": sides[:, 2], "y2": sides[:, 3], "box_score": scores, "instance_score": ranks,
    })  # fmt: skip


def poses_of(
    persons: pd.DataFrame, joints: pd.DataFrame, setting: Setting, images: Iterable[str]
) -> list[Poses]:
    """Reads the predictions of one setting back, one Poses an image, empty where nobody was found.

    Args:
        persons: Rows of persons.parquet of one maker.
        joints: Rows of poses.parquet of the same.
        setting: Which condition and boxes.
        images: Names, in the order wanted.
    """
    persons, joints = _chosen(persons, setting), _chosen(joints, setting)
    people = persons.groupby("image").indices
    points = joints.groupby("image").indices
    boxes, scores = persons[["x1", "y1", "x2", "y2"]].to_numpy(float), persons["box_score"].to_numpy(float)
    values = joints[["x", "y", "score"]].to_numpy(float)
    found = []
    for name in images:
        if name not in people:
            found.append(Poses.empty())
            continue
        triples = values[points[name]].reshape(-1, NUM_KEYPOINTS, 3)
        found.append(Poses(triples[..., :2], triples[..., 2], boxes[people[name]], scores[people[name]]))
    return found


def candidates_of(
    persons: pd.DataFrame, condition: str, severity: int, images: Iterable[str]
) -> list[Detections]:
    """Reads back the boxes that were scored too low for a pose, one Detections an image."""
    rows = _chosen(persons, Setting(condition, severity, CANDIDATE))
    where = rows.groupby("image").indices
    boxes, scores = rows[["x1", "y1", "x2", "y2"]].to_numpy(float), rows["box_score"].to_numpy(float)
    nothing = np.empty(0, int)
    picks = [where.get(name, nothing) for name in images]
    return [Detections(boxes[pick], scores[pick]) for pick in picks]


def phantom_scores(persons: pd.DataFrame, condition: str, severity: int, images: Iterable[str]) -> np.ndarray:
    """Reads back the mean keypoint score of each picture taken as one person, 0 where somebody was found."""
    rows = _chosen(persons, Setting(condition, severity, PHANTOM))
    scores = dict(zip(rows["image"], rows["instance_score"], strict=True))
    return np.array([scores.get(name, 0.0) for name in images])


def _chosen(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    same = (frame["condition"] == setting.condition) & (frame["severity"] == setting.severity)
    return frame[same & (frame["boxes"] == setting.boxes)]
