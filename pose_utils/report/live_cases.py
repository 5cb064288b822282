"""Cases for the condition viewer, computed while somebody drags its slider."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from pose_utils.errors import InputError
from pose_utils.report.galleries import ConditionPictures
from pose_utils.report.viewer import Case, ConditionViewer, side_by_side
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study import conditions
from pose_utils.study.records import write_atomic
from pose_utils.types import Detections, Poses
from pose_utils.zoo.specs import get_spec

KEPT_PICTURES = 24
"""Corrupted pictures, and what was found in them, that are remembered."""

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
OTHER_MODELS = "movenet-multipose"

FLOOR = 0.05
"""Least score that a one-stage model is asked for, so that a threshold can be moved below its own."""


class LiveCases:
    """Computes what `ConditionViewer` asks for, on the pictures of a run."""

    def __init__(self, pictures: ConditionPictures, models: Sequence[str], backends: Sequence[str]) -> None:
        """Takes the pictures of a run.

        Args:
            pictures: With the run's records.
            models: Names to choose from, the run's own first.
            backends: Names to choose from, the run's own first.
        """
        self.pictures = pictures
        self.models, self.backends = tuple(models), tuple(backends)
        self._pipelines: dict[tuple[str, str], PosePipeline] = {}
        self._found: OrderedDict[tuple, tuple[np.ndarray, Detections | Poses]] = OrderedDict()

    def __call__(
        self, image: str, condition: str, severity: int, threshold: float, models: str, backend: str
    ) -> Case:
        """Returns one case; a picture is read, corrupted and posed once for all thresholds."""
        corrupted, found = self._detected(image, condition, severity, models, backend)
        if isinstance(found, Poses):
            keep = np.flatnonzero(found.box_scores > threshold)
            poses = Poses(
                found.keypoints[keep], found.scores[keep], found.boxes[keep], found.box_scores[keep]
            )
        else:
            pipeline = self._pipeline(models, backend)
            poses = pipeline.estimate(corrupted, found.above(threshold, pipeline.max_persons))
        clean = self.pictures.recorded(image)
        return self.pictures.case(image, condition, severity, poses, clean, corrupted)

    def viewer(self, limit: int, thresholds: Sequence[float]) -> ConditionViewer:
        """Returns the viewer of `limit` pictures: recorded cases for the page, every condition live.

        Args:
            limit: Pictures.
            thresholds: To choose from, the one in use first.
        """
        tried = tuple(dict.fromkeys(map(float, thresholds)))
        return ConditionViewer(
            self.pictures.cases(limit),
            self,
            choices={"Threshold": tried, "Models": self.models, "Back end": self.backends},
            conditions={name: entry.severities for name, entry in conditions.CONDITIONS.items()},
            save=self.save,
        )

    def save(self, case: Case, threshold: float, models: str, backend: str) -> str:
        """Writes a case's pictures and choices into the run folder, and returns the picture's path there."""
        parts = (case.image, case.condition, str(case.severity), str(threshold), models, backend)
        name = re.sub(r"[^A-Za-z0-9.+_-]+", "-", "-".join(parts))
        folder = self.pictures.run.path / "cases"
        done, content = cv2.imencode(".png", side_by_side(case))
        if not done:
            raise InputError(f"{name} cannot be encoded as PNG")
        path = write_atomic(folder / f"{name}.png", lambda target: target.write_bytes(content.tobytes()))
        facts = {"image": case.image, "condition": case.condition, "severity": case.severity,
                 "threshold": threshold, "models": models, "backend": backend, "caption": case.caption,
                 "seed": self.pictures.seed}  # fmt: skip
        if case.joints is not None:
            facts["joints"] = json.loads(case.joints.to_json(orient="records"))
        write_atomic(folder / f"{name}.json", lambda target: target.write_text(json.dumps(facts, indent=2)))
        return str(path.relative_to(self.pictures.run.path))

    def _detected(
        self, image: str, condition: str, severity: int, models: str, backend: str
    ) -> tuple[np.ndarray, Detections | Poses]:
        """Returns the corrupted picture and its boxes, or what a one-stage model found in it."""
        key = (image, condition, severity, models, backend)
        if key not in self._found:
            pipeline = self._pipeline(models, backend)
            corrupted = self.pictures.corrupted(image, condition, severity)
            found = pipeline.detector(corrupted) if pipeline.takes_boxes else pipeline(corrupted)
            self._found[key] = corrupted, found
            while len(self._found) > KEPT_PICTURES:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]

    def _pipeline(self, models: str, backend: str) -> PosePipeline:
        if (models, backend) not in self._pipelines:
            two_stage = "+" in models  # the other kind has a back end of its own
            self._pipelines[models, backend] = open_pipeline(
                models, backend=backend if two_stage else None, min_score=FLOOR
            )
        return self._pipelines[models, backend]


def live_viewer(pictures: ConditionPictures, limit: int) -> ConditionViewer:
    """Returns the viewer of a run: its own models and MoveNet, on every back end that opened here.

    Args:
        pictures: Those of the run.
        limit: How many of them, spread over the set.
    """
    run = pictures.run
    models = run.info()["models"]
    spec = get_spec(models.split("+")[0])
    used = spec.person_score if pictures.material.truth is None else spec.ap_score
    opened = run.read("backends.csv") if run.has("backends.csv") else None
    backends = backends_of(opened, run.read("metrics.csv"), models)
    names = list(dict.fromkeys([models, OTHER_MODELS]))
    return LiveCases(pictures, names, backends).viewer(limit, [used, *THRESHOLDS])


def backends_of(frame: pd.DataFrame | None, records: pd.DataFrame, models: str) -> list[str]:
    """Returns the back ends that opened all of `models` here in fp32 on the CPU, the recorded one first.

    Args:
        frame: Rows of backends.csv, or None where nobody looked.
        records: Rows of metrics.csv.
        models: Such as "rtmdet-nano+rtmpose-m".
    """
    first = list(dict.fromkeys(records["backend"]))[:1]
    if frame is None:
        return first
    ready: Mapping[str, pd.Series] = dict(
        iter(frame[frame["status"].eq("ok") & frame["precision"].eq("fp32") & frame["device"].eq("cpu")]
             .groupby("backend")["model"])
    )  # fmt: skip
    open_here = [name for name, rows in ready.items() if set(models.split("+")) <= set(rows)]
    return list(dict.fromkeys([*first, *open_here]))
