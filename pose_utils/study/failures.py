"""What became of every person: one category each, from the same records as the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.runtime.similarity import box_iou
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.condition_pass import skipped_pictures
from pose_utils.study.failure_rules import (
    CATEGORIES,
    EXTRAS,
    JOINT_LETTERS,
    References,
    classify_extras,
    classify_references,
)
from pose_utils.study.oks import as_reference
from pose_utils.study.predictions import Maker, Setting, candidates_of, poses_of
from pose_utils.study.records import RunFolder
from pose_utils.types import KEYPOINT_NAMES, Detections, Poses

__all__ = ["CATEGORIES", "EXTRAS", "failure_rows", "rank_losses", "run_failures"]

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
"""COCO's area ranges in square pixels."""


def truth_references(truth: GroundTruth, names: Sequence[str]) -> list[References]:
    """Returns the annotated persons of each picture, crowd regions apart, in the order of `names`."""
    known = truth.by_name()
    references = []
    for name in names:
        persons = known[Path(name).name].persons
        alone = ~persons.crowd
        references.append(
            References(persons.keypoints[alone], persons.areas[alone], persons.boxes[alone],
                       persons.boxes[persons.crowd])
        )  # fmt: skip
    return references


def clean_references(clean: Sequence[Poses]) -> list[References]:
    """Takes the clean prediction's persons as reference, for pictures without truth."""
    return [
        References(*as_reference(poses), np.asarray(poses.boxes, float), np.empty((0, 4))) for poses in clean
    ]


def failure_rows(
    names: Sequence[str],
    references: Sequence[References],
    predicted: Sequence[Poses],
    candidates: Sequence[Detections],
) -> pd.DataFrame:
    """Returns one row a reference person and one an extra prediction, without the columns of the setting.

    Args:
        names: Picture names.
        references: Who is there.
        predicted: Who was found.
        candidates: Boxes that were scored too low.
    """
    rows = []
    for name, persons, poses, low in zip(names, references, predicted, candidates, strict=True):
        outcomes, taken = classify_references(persons, poses, low)
        between = box_iou(persons.boxes, persons.boxes)
        np.fill_diagonal(between, 0)
        for index, outcome in enumerate(outcomes):
            rows.append({
                "image": name, "kind": "person", "person": index, "category": outcome.category,
                "iou": outcome.iou, "oks": outcome.oks, "score": outcome.score, "area": persons.areas[index],
                "visible_keypoints": int((persons.keypoints[index, :, 2] > 0).sum()),
                "overlap": between[index].max(initial=0.0), "joints": outcome.joints,
            })  # fmt: skip
        extras = classify_extras(persons, poses, taken)
        for index, (pose, category, iou) in enumerate(extras):
            sides = poses.boxes[pose][2:] - poses.boxes[pose][:2]
            rows.append({
                "image": name, "kind": "extra", "person": index, "category": category, "iou": iou,
                "oks": np.nan, "score": float(poses.box_scores[pose]), "area": float(sides.prod()),
                "visible_keypoints": 0, "overlap": np.nan, "joints": "",
            })  # fmt: skip
    return pd.DataFrame(rows)


def run_failures(run: RunFolder, *, truth: GroundTruth | None, names: Sequence[str]) -> pd.DataFrame:
    """Classifies every prediction of a run with detected boxes and writes failures.csv.

    Args:
        run: A folder with persons.parquet and poses.parquet.
        truth: Annotations of the pictures; None takes each model's clean prediction as reference.
        names: The pictures that were run, those without any prediction included, as `run_robustness`
            names them (file names).

    Raises:
        InputError: The records are not there.
    """
    persons, joints = run.read("persons.parquet"), run.read("poses.parquet")
    skipped = skipped_pictures(run)
    names = [name for name in names if name not in skipped]
    speed = run.read("metrics.csv").query("metric == 'fps' and boxes == 'detected'")
    settings = speed[["models", "backend", "precision", "condition", "severity"]].drop_duplicates()
    tables = []
    for identity, group in settings.groupby(["models", "backend", "precision"], sort=False):
        maker = Maker(*identity)
        mine, points = persons[maker.of(persons)], joints[maker.of(joints)]
        clean = poses_of(mine, points, Setting("clean", 0, "detected"), names)
        references = truth_references(truth, names) if truth else clean_references(clean)
        for condition, severity in zip(group["condition"], group["severity"], strict=True):
            poses = poses_of(mine, points, Setting(condition, severity, "detected"), names)
            low = candidates_of(mine, condition, severity, names)
            rows = failure_rows(names, references, poses, low)
            tables.append(rows.assign(
                **maker.columns(), condition=condition, severity=severity, boxes="detected",
                reference="truth" if truth else "clean",
            ))  # fmt: skip
    filled = [table for table in tables if len(table)]
    return run.write("failures.csv", pd.concat(filled, ignore_index=True) if filled else [])


def rank_losses(failures: pd.DataFrame) -> pd.DataFrame:
    """Says what was lost and where, the greatest loss first.

    Args:
        failures: Rows of failures.csv.

    Returns:
        models, condition, severity, group (category, size or joint), value (a category, a size or a joint's
        name), persons (how many could be lost; labelled joints where group is joint), lost, share (lost over
        persons). For group category, persons is everybody and lost those who ended in it.
    """
    people = failures[failures["kind"] == "person"].copy()
    columns = ["models", "condition", "severity", "group", "value", "persons", "lost", "share"]
    if people.empty:
        return pd.DataFrame(columns=columns)
    sizes = list(SIZES)
    edges = [0, *(SIZES[name][1] for name in sizes)]
    people["size"] = pd.cut(people["area"], edges, labels=sizes).astype(str)
    rows = []
    for key, group in people.groupby(["models", "condition", "severity"], sort=False):
        gone = group["category"] != "found"
        for category, count in group.loc[gone, "category"].value_counts().items():
            rows.append((*key, "category", category, len(group), int(count)))
        for size, part in group.groupby("size", sort=False):
            rows.append((*key, "size", size, len(part), int((part["category"] != "found").sum())))
        letters = np.array([list(text) for text in group["joints"]]).reshape(-1, len(KEYPOINT_NAMES))
        for joint, column in zip(KEYPOINT_NAMES, letters.T, strict=True):
            labelled = int((column != JOINT_LETTERS["unlabelled"]).sum())
            lost = labelled - int((column == JOINT_LETTERS["good"]).sum())
            if labelled:
                rows.append((*key, "joint", joint, labelled, lost))
    ranked = pd.DataFrame(rows, columns=columns[:-1])
    ranked["share"] = ranked["lost"] / ranked["persons"]
    return ranked.sort_values(["group", "share"], ascending=[True, False], kind="stable", ignore_index=True)
