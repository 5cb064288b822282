"""Pictures for the page, drawn from records: the clip, the conditions, the worst losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pose_utils.report.sheets import contact_sheet
from pose_utils.report.viewer import Case, ConditionViewer
from pose_utils.runtime.drawing import draw_poses
from pose_utils.runtime.media import open_source, read_image
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study import conditions
from pose_utils.study.material import Material
from pose_utils.study.predictions import Setting, poses_of
from pose_utils.study.records import RunFolder
from pose_utils.types import Poses


def clip_sheet(pipeline: PosePipeline, clip: Path, frames: int) -> tuple[np.ndarray, int]:
    """Runs `pipeline` on evenly spaced frames of a video.

    Returns:
        Their contact sheet, uint8 (h, w, 3) BGR, and how many persons were found in all of them.
    """
    source = open_source(clip)
    step = max(1, (source.length or frames) // frames)
    pictures, labels, persons = [], [], 0
    for frame in source:
        if frame.index % step or len(pictures) == frames:
            continue
        poses = pipeline(frame.image)
        persons += len(poses)
        pictures.append(draw_poses(frame.image, poses))
        labels.append(f"frame {frame.index}: {len(poses)}")
    return contact_sheet(pictures, labels, columns=6, cell=(200, 300)), persons


@dataclass(frozen=True, eq=False)
class ConditionPictures:
    """Corrupted pictures with what a run recorded on them; nothing is predicted anew.

    Attributes:
        run: A folder with persons.parquet and poses.parquet.
        material: The pictures it ran on.
        seed: The study's seed, which makes every corruption again.
    """

    run: RunFolder
    material: Material
    seed: int

    def names(self, limit: int) -> list[str]:
        """Returns the pictures with most persons on the clean prediction, `limit` at most."""
        persons = self.run.read("persons.parquet")
        clean = persons[(persons["condition"] == "clean") & (persons["boxes"] == "detected")]
        counts = clean["image"].value_counts().reindex([path.name for path in self.material.paths], fill_value=0)
        return counts.sort_values(ascending=False, kind="stable").index[:limit].tolist()

    def settings(self) -> list[tuple[str, int]]:
        """Returns every (condition, severity) of the run, in the order it ran."""
        persons = self.run.read("metrics.csv")
        pairs = persons.loc[persons["condition"] != "corrupted", ["condition", "severity"]]
        return list(dict.fromkeys(pairs.itertuples(index=False, name=None)))

    def case(self, name: str, condition: str, severity: int, poses: Poses, known: int) -> Case:
        """Makes the case of one picture under one condition."""
        image = _shrunk(read_image(next(path for path in self.material.paths if path.name == name)))
        picture, scale = image
        boxes = poses.boxes * scale if conditions.find(condition).needs_boxes else None
        corrupted = conditions.apply(
            condition, picture, image_name=name, seed=self.seed, severity=severity, boxes=boxes
        )
        scaled = Poses(poses.keypoints * scale, poses.scores, poses.boxes * scale, poses.box_scores)
        label = conditions.find(condition).label + (f", severity {severity}" if severity else "")
        found = f"{len(poses)} persons found, {known} on the clean picture"
        return Case(name, condition, severity, picture, corrupted, draw_poses(corrupted, scaled), f"{label}: {found}.")

    def cases(self, limit: int) -> list[Case]:
        """Returns `limit` pictures under every condition of the run."""
        names, persons, joints = self.names(limit), self.run.read("persons.parquet"), self.run.read("poses.parquet")
        clean = dict(zip(names, poses_of(persons, joints, Setting("clean", 0, "detected"), names), strict=True))
        cases = []
        for condition, severity in self.settings():
            found = poses_of(persons, joints, Setting(condition, severity, "detected"), names)
            cases += [
                self.case(name, condition, severity, poses, len(clean[name]))
                for name, poses in zip(names, found, strict=True)
            ]
        return cases

    def sheet(self, cases: Sequence[Case]) -> np.ndarray:
        """Returns the published gallery: a row for each condition, a column for each picture."""
        columns = len({case.image for case in cases})
        labels = [f"{case.condition} {case.severity or ''}".strip() for case in cases]
        return contact_sheet([case.annotated for case in cases], labels, columns=columns, cell=(240, 180))

    def viewer(self, cases: Sequence[Case]) -> ConditionViewer:
        """Returns the condition viewer over `cases`."""
        return ConditionViewer(cases)


def worst_cases(failures: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Returns the largest reference persons that were not found, one a picture, worst first.

    Args:
        failures: Rows of failures.csv.
        limit: At most so many.
    """
    lost = failures[(failures["kind"] == "person") & (failures["category"] != "found")]
    return lost.sort_values("area", ascending=False).drop_duplicates("image").head(limit)


def _shrunk(image: np.ndarray, side: int = 640) -> tuple[np.ndarray, float]:
    scale = min(1.0, side / max(image.shape[:2]))
    if scale == 1.0:
        return image, scale
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale
