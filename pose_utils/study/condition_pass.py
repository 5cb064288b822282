"""One condition over all pictures: what every origin of the boxes gave, and how fast."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from pose_utils.errors import InputError
from pose_utils.runtime.media import read_image
from pose_utils.study import conditions as known_conditions
from pose_utils.study.intervals import estimate, resampling_weights
from pose_utils.study.lanes import Lanes
from pose_utils.study.predictions import CANDIDATE, PHANTOM, Maker, to_frames
from pose_utils.study.records import RunFolder
from pose_utils.study.tallies import ratio
from pose_utils.types import Detections, Poses

BOXES = ("detected", "truth", "clean", "detected_on_clean")
"""Where persons' boxes come from: the detector on the corrupted picture, the annotations, or the same
detector on the clean picture (which leaves only the pose model to suffer). The last takes the boxes of the
first to the clean picture, so that only the detector suffers; `attribution` compares the four."""

PARTIAL = ("persons.parquet", "poses.parquet")

METHOD = "one thread a lane"
"""Part of a study's digest: records of an earlier method are not mixed with those of this one."""


class Pipeline(Protocol):
    """What is asked of a pipeline; `runtime.pipeline.PosePipeline` is one."""

    models: str
    backend: str
    precision: str
    takes_boxes: bool

    def __call__(self, image: np.ndarray, boxes: np.ndarray | None = None) -> Poses:
        """Finds persons, or poses those in `boxes`."""
        ...

    def detect_and_pose(self, image: np.ndarray) -> tuple[Poses, Detections]:
        """Finds persons, and returns every box of the detector as well, those too low for a pose last."""
        ...


@dataclass(frozen=True, eq=False)
class Study:
    """What is the same for every condition.

    Attributes:
        pipeline: What is studied.
        paths: Name in the records -> file.
        people: File name -> true boxes, or None where nobody knows them.
        seed: Of the corruptions.
        modes: Of `BOXES`, those that can be had.
        run: Where the parts go.
        bootstrap: Resamples for the intervals.
    """

    pipeline: Pipeline
    paths: dict[str, Path]
    people: dict[str, np.ndarray] | None
    seed: int
    modes: tuple[str, ...]
    run: RunFolder
    bootstrap: int

    @property
    def maker(self) -> Maker:
        """What the records call the pipeline."""
        return Maker(self.pipeline.models, self.pipeline.backend, self.pipeline.precision)

    def digest(self) -> str:
        """Tells parts of this very study from those of another in the same run folder."""
        content = [METHOD, sorted(self.paths), self.seed, self.modes, self.people is not None]
        content += [getattr(self.pipeline, name, None) for name in ("min_score", "weights")]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:10]

    def key(self, condition: str, severity: int) -> str:
        """Returns the key of a condition's parts."""
        maker = "-".join(self.maker.columns().values())
        return f"{maker}-{condition}-{severity}-{self.digest()}"

    def true_boxes(self, name: str) -> np.ndarray:
        """Returns the boxes of the persons with keypoints, float (n, 4) xyxy, where `people` is given."""
        return self.people[Path(name).name]


@dataclass(eq=False)
class _Look:
    """What one picture gave under one condition: poses and seconds by origin of the boxes."""

    poses: dict[str, Poses]
    seconds: dict[str, float]
    low: Detections
    phantom: Poses


def run_condition(
    study: Study,
    condition: str,
    severity: int,
    clean: dict[str, Poses],
    lanes: Lanes,
    done: Callable[[], object],
) -> None:
    """Runs all box origins over all pictures under one condition and publishes the parts.

    Args:
        study: What to run.
        condition: A name of `conditions.CONDITIONS`.
        severity: 0 for a published one.
        clean: What the same pipeline found on the clean pictures; empty for the clean pass.
        lanes: Who runs.
        done: Called after each picture.

    Raises:
        InputError: Not one picture can be read.
    """
    modes = tuple(mode for mode in study.modes if condition != "clean" or mode in ("detected", "truth"))

    def look(name: str) -> _Look | InputError:
        try:
            original = read_image(study.paths[name])
        except InputError as error:
            return error
        if study.people is not None:
            persons = study.true_boxes(name)
        else:
            persons = clean[name].boxes if name in clean else None
        image = known_conditions.apply(
            condition, original, image_name=Path(name).name, seed=study.seed, severity=severity, boxes=persons
        )
        with lanes.free() as pipeline:
            return _look(study, pipeline, name, original, image, clean.get(name), modes)

    names = list(study.paths)
    looks = dict(zip(names, lanes.deal(look, names, done), strict=True))
    skipped = {name: str(look) for name, look in looks.items() if isinstance(look, InputError)}
    seen = {name: look for name, look in looks.items() if name not in skipped}
    if not seen:
        raise InputError(f"none of {len(skipped)} pictures can be read, {next(iter(skipped.values()))}")
    if condition == "clean":
        noted = study.run.info().get("robustness_skipped", {})
        study.run.update_info(robustness_skipped=noted | {study.digest(): skipped})

    key = study.key(condition, severity)
    predicted = {mode: [(name, look.poses[mode]) for name, look in seen.items()] for mode in modes}
    unposed = {CANDIDATE: [(name, look.low) for name, look in seen.items()]}
    unposed[PHANTOM] = [(name, look.phantom) for name, look in seen.items()]
    frames = to_frames(study.maker, condition, severity, predicted, unposed)
    for table, frame in zip(PARTIAL, frames, strict=True):
        study.run.part(table, key, lambda frame=frame: frame)
    seconds = {mode: np.array([look.seconds[mode] for look in seen.values()]) for mode in modes}
    study.run.part("metrics.csv", key, lambda: _speed_rows(study, condition, severity, seconds, lanes.count))


def _look(
    study: Study,
    pipeline: Pipeline,
    name: str,
    original: np.ndarray,
    image: np.ndarray,
    clean: Poses | None,
    modes: Sequence[str],
) -> _Look:
    """Poses one picture with each origin of the boxes, those of the detector first."""
    poses, seconds = {}, {}
    low = Detections(np.empty((0, 4)), np.empty(0))
    for mode in modes:
        start = time.perf_counter()
        if mode == "detected":
            poses[mode], found = pipeline.detect_and_pose(image)
            low = Detections(found.boxes[len(poses[mode]) :], found.scores[len(poses[mode]) :])  # best first
        elif mode == "truth":
            poses[mode] = pipeline(image, boxes=study.true_boxes(name))
        else:  # boxes that a detector found keep the rank it gave them
            given, shown = (clean, image) if mode == "clean" else (poses["detected"], original)
            poses[mode] = replace(pipeline(shown, boxes=given.boxes), box_scores=given.box_scores)
        seconds[mode] = time.perf_counter() - start
    phantom = Poses.empty()
    if pipeline.takes_boxes and not len(poses["detected"]):
        height, width = image.shape[:2]
        phantom = pipeline(image, boxes=np.array([[0, 0, width, height]]))
    return _Look(poses, seconds, low, phantom)


def _speed_rows(
    study: Study, condition: str, severity: int, seconds: dict[str, np.ndarray], lanes: int
) -> list[dict]:
    """FPS of the pass: images over seconds inside the pipelines, of which `lanes` run side by side."""
    rows = []
    for mode, taken in seconds.items():
        weights = resampling_weights(len(taken), study.bootstrap, study.seed)
        rate = estimate(ratio((np.full(len(taken), float(lanes)), taken), weights))
        low, high = rate.interval()
        rows.append(study.maker.columns() | {
            "condition": condition, "severity": severity, "boxes": mode, "metric": "fps", "value": rate.value,
            "low": low, "high": high, "n": len(taken), "unit": "images/s", "reference": "",
        })  # fmt: skip
    return rows


def skipped_pictures(run: RunFolder) -> set[str]:
    """Returns the pictures that some study of this run could not read, by their names in the records."""
    return {name for part in run.info().get("robustness_skipped", {}).values() for name in part}
