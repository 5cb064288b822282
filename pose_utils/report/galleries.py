"""Pictures for the page, drawn from records: the clip, the conditions, the worst losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pose_utils.palette import HALO, bgr
from pose_utils.report.joint_table import joint_table
from pose_utils.report.sheets import contact_sheet
from pose_utils.report.viewer import Case
from pose_utils.report.words import readable
from pose_utils.runtime.drawing import draw_poses
from pose_utils.runtime.media import open_source, read_image
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study import conditions
from pose_utils.study.condition_pass import skipped_pictures
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
        """Returns pictures in which somebody was found, `limit` at most, spread over the whole set.

        Where nobody was found in any, the pictures are chosen from all that could be read.
        """
        persons = self.run.read("persons.parquet")
        clean = persons[(persons["condition"] == "clean") & (persons["boxes"] == "detected")]
        found = set(clean["image"])
        peopled = [path.name for path in self.material.paths if path.name in found]
        if not peopled:
            unreadable = skipped_pictures(self.run)
            peopled = [path.name for path in self.material.paths if path.name not in unreadable]
        spread = np.linspace(0, len(peopled) - 1, min(limit, len(peopled))).round().astype(int)
        return [peopled[index] for index in spread]

    def settings(self) -> list[tuple[str, int]]:
        """Returns every (condition, severity) of the run, in the order it ran."""
        persons = self.run.read("metrics.csv")
        pairs = persons.loc[persons["condition"] != "corrupted", ["condition", "severity"]]
        return list(dict.fromkeys(pairs.itertuples(index=False, name=None)))

    def case(
        self,
        name: str,
        condition: str,
        severity: int,
        poses: Poses,
        clean: Poses,
        corrupted: np.ndarray | None = None,
    ) -> Case:
        """Makes the case of one picture under one condition.

        Args:
            name: File name of the picture.
            condition: As in metrics.csv.
            severity: As in metrics.csv.
            poses: What was found under the condition.
            clean: What was found on the clean picture.
            corrupted: The picture under the condition where it is at hand.
        """
        image = self._read(name)
        small, scale = _shrunk(self.corrupted(name, condition, severity) if corrupted is None else corrupted)
        scaled = _scaled(poses, scale)
        label = conditions.find(condition).title + (f", severity {severity}" if severity else "")
        caption = (
            f"{label}: {len(poses)} person{'s' * (len(poses) != 1)} found, {len(clean)} on the clean picture."
        )
        expected, plain = self.expected(name), _shrunk(image)[0]
        return Case(
            name, condition, severity, plain, small, draw_poses(small, scaled), caption,
            draw_poses(plain, _scaled(expected, scale)), joint_table(poses, expected),
        )  # fmt: skip

    def corrupted(self, name: str, condition: str, severity: int) -> np.ndarray:
        """Returns a picture under a condition in full size, as the study had it."""
        boxes = self._covered(name, self.recorded(name))
        return conditions.apply(
            condition, self._read(name), image_name=name, seed=self.seed, severity=severity, boxes=boxes
        )

    def recorded(self, name: str, condition: str = "clean", severity: int = 0) -> Poses:
        """Returns what the run found on a picture with detected boxes."""
        key = (condition, severity)
        if key not in self._found:  # for all pictures at once: looking one up takes as long
            names = [path.name for path in self.material.paths]
            poses = poses_of(*self._records, Setting(*key, "detected"), names)
            self._found[key] = dict(zip(names, poses, strict=True))
        return self._found[key][name]

    @cached_property
    def _records(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return self.run.read("persons.parquet"), self.run.read("poses.parquet")

    @cached_property
    def _found(self) -> dict[tuple[str, int], dict[str, Poses]]:
        return {}

    @cached_property
    def _last(self) -> dict[str, np.ndarray]:
        return {}

    def _read(self, name: str) -> np.ndarray:
        """Reads a picture; the last one is kept, for a slider asks for the same again and again."""
        if name not in self._last:
            self._last.clear()
            self._last[name] = read_image(self.file(name))
        return self._last[name]

    def cases(self, limit: int) -> list[Case]:
        """Returns `limit` pictures under every condition of the run."""
        wanted = itertools.product(self.settings(), self.names(limit))
        return self.cases_of([(name, *setting) for setting, name in wanted])

    def cases_of(self, wanted: Iterable[tuple[str, str, int]]) -> list[Case]:
        """Returns the cases of (picture, condition, severity), in that order."""
        return [self.case(*each, self.recorded(*each), self.recorded(each[0])) for each in wanted]

    def expected(self, name: str) -> Poses:
        """Returns who is in a picture: the truth without crowds, or else the clean prediction.

        They are numbered as in failures.csv; keypoints that are not labelled have score 0.
        """
        if self.material.truth is None:
            return self.recorded(name)
        persons = self.material.truth.by_name()[name].persons
        alone = ~persons.crowd
        keypoints = persons.keypoints[alone]
        return Poses(
            keypoints[..., :2], keypoints[..., 2] > 0, persons.boxes[alone], np.ones(int(alone.sum()))
        )

    def width(self, name: str) -> int:
        """Returns the width of a picture's file in pixels."""
        return self._read(name).shape[1]

    def file(self, name: str) -> Path:
        """Returns the file of a picture."""
        return next(path for path in self.material.paths if path.name == name)

    def _covered(self, name: str, clean: Poses) -> np.ndarray:
        """Boxes that person-placed occlusion was put on, chosen as the study chose them."""
        if self.material.truth is None:
            return clean.boxes
        persons = self.material.truth.by_name()[name].persons
        return persons.boxes[persons.posed]

    def sheet(self, cases: Sequence[Case]) -> np.ndarray:
        """Returns the published gallery: a row for each condition, a column for each picture."""
        columns = len({case.image for case in cases})
        labels = [f"{case.condition} {case.severity or ''}".strip() for case in cases]
        return contact_sheet([case.annotated for case in cases], labels, columns=columns, cell=(240, 180))


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


def worst_sheet(pictures: ConditionPictures, worst: pd.DataFrame) -> np.ndarray:
    """Returns pairs of pictures: who was to be found, and what was found under the condition.

    Args:
        pictures: Those of the run.
        worst: Rows of failures.csv; the person of each is framed.
    """
    panels, labels = [], []
    for row in worst.itertuples():
        (case,) = pictures.cases_of([(row.image, row.condition, row.severity)])
        expected = pictures.expected(row.image)
        scale = case.original.shape[1] / pictures.width(row.image)
        truth = draw_poses(case.original, _scaled(expected, scale), boxes=False)
        panels += [_framed(picture, row, expected, scale) for picture in (truth, case.annotated)]
        labels += ["expected", f"{readable(row.condition)}: {readable(row.category)}"]
    return contact_sheet(panels, labels, columns=4, cell=(300, 225))


def _framed(picture: np.ndarray, row: object, expected: Poses, scale: float) -> np.ndarray:
    """Draws a frame around the person of a row of failures.csv."""
    framed = picture.copy()
    if row.person < len(expected):
        left, top, right, bottom = (expected.boxes[row.person] * scale).round().astype(int).tolist()
        for colour, thick in ((bgr(HALO), 4), ((255, 255, 255), 2)):
            cv2.rectangle(framed, (left, top), (right, bottom), colour, thick)
    return framed


def _scaled(poses: Poses, scale: float) -> Poses:
    return Poses(poses.keypoints * scale, poses.scores, poses.boxes * scale, poses.box_scores)
