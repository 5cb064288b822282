"""Runs a pipeline over pictures under conditions; records predictions, then computes every figure from them.

Predictions are kept by condition as parts of the run folder, and metrics are computed from those
records alone, so that a run which was killed goes on where it stopped and ends with the same figures.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from pose_utils.errors import InputError, UsageError
from pose_utils.runtime.media import printable_name, read_image
from pose_utils.study import conditions as known_conditions
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.intervals import estimate, resampling_weights
from pose_utils.study.predictions import Maker, Setting, poses_of, to_frames
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness_metrics import metric_rows
from pose_utils.study.tallies import ratio
from pose_utils.types import Detections, Poses

BOXES = ("detected", "truth", "clean", "detected_on_clean")
"""Where persons' boxes come from: the detector on the corrupted picture, the annotations, or the same
detector on the clean picture (which leaves only the pose model to suffer). The last takes the boxes of the
first to the clean picture, so that only the detector suffers; `attribution` compares the four."""

TABLES = ("persons.parquet", "poses.parquet", "metrics.csv")
PARTIAL = ("persons.parquet", "poses.parquet")


class Pipeline(Protocol):
    """What is asked of a pipeline; `runtime.pipeline.PosePipeline` is one.

    A two-stage one also has `detector`, `min_score`, `max_persons` and `estimate`: then boxes below the
    threshold are recorded as candidates, and person AP counts them.
    """

    models: str
    backend: str
    precision: str
    takes_boxes: bool

    def __call__(self, image: np.ndarray, boxes: np.ndarray | None = None) -> Poses:
        """Finds persons, or poses those in `boxes`."""
        ...


@dataclass(frozen=True, eq=False)
class _Study:
    pipeline: Pipeline
    paths: dict[str, Path]
    people: dict[str, np.ndarray] | None
    seed: int
    modes: tuple[str, ...]
    run: RunFolder
    bootstrap: int

    @property
    def maker(self) -> Maker:
        return Maker(self.pipeline.models, self.pipeline.backend, self.pipeline.precision)

    def digest(self) -> str:
        """Tells parts of this very study from those of another in the same run folder."""
        content = [sorted(self.paths), self.seed, self.modes, self.people is not None]
        content += [getattr(self.pipeline, name, None) for name in ("min_score", "weights")]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:10]

    def key(self, condition: str, severity: int) -> str:
        maker = "-".join(self.maker.columns().values())
        return f"{maker}-{condition}-{severity}-{self.digest()}"

    def true_boxes(self, name: str) -> np.ndarray:
        return self.people[Path(name).name]


def run_robustness(
    pipeline: Pipeline,
    images: Sequence[Path],
    conditions: Iterable[str],
    *,
    truth: GroundTruth | None,
    seed: int,
    run: RunFolder,
    boxes: Sequence[str] = BOXES,
    bootstrap: int = 1000,
    progress: bool = True,
    workers: int | None = None,
) -> pd.DataFrame:
    """Measures a pipeline under conditions and writes poses.parquet, persons.parquet and metrics.csv.

    Rows of other models, back ends or precisions that the run folder already holds are kept. A picture
    that cannot be read is left out everywhere and named in run.json under `robustness_skipped`.

    Args:
        pipeline: See `Pipeline`; it runs on the calling thread.
        images: Files; the clean pass always comes first.
        conditions: Specs for `conditions.expand`, such as ["published"] or ["noise_heavy", "defocus:3"].
        truth: Annotations that cover every image, or None: then only consistency can be told.
        seed: Of the corruptions and of the bootstrap.
        run: Where the records go.
        boxes: Of `BOXES`; those that cannot be had (no truth, a one-stage model) are left out.
        bootstrap: Resamples for the intervals.
        progress: Shows a bar with the time left on stderr.
        workers: Threads that read and corrupt pictures ahead of the pipeline; default one a core.

    Returns:
        The rows of metrics.csv that belong to this pipeline.

    Raises:
        UsageError: Unknown condition or box origin, or no image.
        InputError: No image can be read, or one has no annotations.
    """
    if set(boxes) - set(BOXES):
        raise UsageError(f"boxes are of {', '.join(BOXES)}, not {', '.join(set(boxes) - set(BOXES))}")
    pairs = list(dict.fromkeys([("clean", 0), *known_conditions.expand(conditions)]))
    paths = picture_names(images)
    if truth is not None:
        without = sorted({Path(name).name for name in paths} - set(truth.by_name()))
        if without:
            raise InputError(f"{len(without)} pictures have no annotations, {without[0]} for one")
    study = _Study(pipeline, paths, _true_boxes(truth), seed, _modes(pipeline, truth, boxes), run, bootstrap)

    todo = [pair for pair in pairs if not all(run.has_part(table, study.key(*pair)) for table in TABLES)]
    clean: dict[str, Poses] = {}
    parts: list[tuple[pd.DataFrame, ...]] = []
    with tqdm(total=len(todo) * len(paths), unit="image", disable=not progress, mininterval=1) as bar:
        for pair in pairs:
            if pair in todo:
                bar.set_description(" ".join(map(str, pair)) if pair[1] else pair[0])
                _run_condition(study, *pair, clean, bar, workers or os.cpu_count() or 1)
            parts.append(tuple(run.part(table, study.key(*pair), list) for table in TABLES))
            if pair == ("clean", 0):
                names = _readable(study)
                setting = Setting("clean", 0, "detected")
                clean = dict(zip(names, poses_of(*parts[0][:2], setting, names), strict=True))
    persons, joints, speed = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    metrics = metric_rows(study.maker, persons, joints, pairs, names, study.modes, truth, seed, bootstrap)
    metrics = pd.concat([metrics, speed], ignore_index=True)
    for table, frame in zip(TABLES, (persons, joints, metrics), strict=True):
        if run.has(table):
            held = run.read(table)
            frame = pd.concat([held[~study.maker.of(held)], frame], ignore_index=True)
        written = run.write(table, frame)
    return written[study.maker.of(written)]


def _true_boxes(truth: GroundTruth | None) -> dict[str, np.ndarray] | None:
    """File name -> boxes of the persons with keypoints, as mmpose evaluates with ground-truth boxes."""
    if truth is None:
        return None
    return {name: image.persons.boxes[image.persons.posed] for name, image in truth.by_name().items()}


def _modes(pipeline: Pipeline, truth: GroundTruth | None, boxes: Sequence[str]) -> tuple[str, ...]:
    impossible = set() if pipeline.takes_boxes else set(BOXES) - {"detected"}
    if truth is None:
        impossible.add("truth")
    return tuple(name for name in BOXES if name == "detected" or (name in boxes and name not in impossible))


def picture_names(images: Sequence[Path]) -> dict[str, Path]:
    """Returns the name of each picture in the records -> its file.

    The file's name; where several folders hold equal names, the path below their common folder.

    Raises:
        UsageError: There is no picture.
    """
    paths = {printable_name(Path(path).name): Path(path) for path in images}
    if not paths:
        raise UsageError("there is no picture to look at")
    if len(paths) < len(images):  # equal names in several folders
        root = os.path.commonpath([Path(path).resolve().parent for path in images])
        below = {Path(path): Path(path).resolve().relative_to(root).as_posix() for path in images}
        paths = {printable_name(name): path for path, name in below.items()}
    return paths


def _readable(study: _Study) -> list[str]:
    skipped = study.run.info().get("robustness_skipped", {}).get(study.digest(), {})
    return [name for name in study.paths if name not in skipped]


def _run_condition(
    study: _Study, condition: str, severity: int, clean: dict[str, Poses], bar: tqdm, workers: int
) -> None:
    """Runs all box origins over all pictures under one condition and publishes the parts."""
    modes = tuple(mode for mode in study.modes if condition != "clean" or mode in ("detected", "truth"))
    predicted: dict[str, list[tuple[str, Poses]]] = {mode: [] for mode in modes}
    seconds: dict[str, list[float]] = {mode: [] for mode in modes}
    candidates: list[tuple[str, Detections]] = []
    skipped: dict[str, str] = {}

    def prepare(name: str) -> tuple[np.ndarray, np.ndarray] | InputError:
        try:
            image = read_image(study.paths[name])
        except InputError as error:
            return error
        if study.people is not None:
            persons = study.true_boxes(name)
        else:
            persons = clean[name].boxes if name in clean else None
        return image, known_conditions.apply(
            condition, image, image_name=Path(name).name, seed=study.seed, severity=severity, boxes=persons
        )

    for name, images in _ahead(list(study.paths), prepare, workers):
        bar.update()
        if isinstance(images, InputError):
            skipped[name] = str(images)
            continue
        original, image = images
        for mode in modes:
            start = time.perf_counter()
            if mode == "detected":
                poses, low = _detect(study.pipeline, image)
                candidates.append((name, low))
                found = poses
            elif mode == "truth":
                poses = study.pipeline(image, boxes=study.true_boxes(name))
            else:  # boxes that a detector found keep the rank it gave them
                given, seen = (clean[name], image) if mode == "clean" else (found, original)
                poses = replace(study.pipeline(seen, boxes=given.boxes), box_scores=given.box_scores)
            seconds[mode].append(time.perf_counter() - start)
            predicted[mode].append((name, poses))
    if len(skipped) == len(study.paths):
        raise InputError(f"none of {len(skipped)} pictures can be read, {next(iter(skipped.values()))}")
    if condition == "clean":
        noted = study.run.info().get("robustness_skipped", {})
        study.run.update_info(robustness_skipped=noted | {study.digest(): skipped})

    key = study.key(condition, severity)
    frames = to_frames(study.maker, condition, severity, predicted, candidates)
    for table, frame in zip(PARTIAL, frames, strict=True):
        study.run.part(table, key, lambda frame=frame: frame)
    study.run.part("metrics.csv", key, lambda: _speed_rows(study, condition, severity, seconds))


def _detect(pipeline: Pipeline, image: np.ndarray) -> tuple[Poses, Detections]:
    """Runs both stages, and returns the boxes that were too low for a pose as well."""
    detector = getattr(pipeline, "detector", None)
    if detector is None:
        return pipeline(image), Detections(np.empty((0, 4)), np.empty(0))
    found = detector(image)
    high = found.above(pipeline.min_score, pipeline.max_persons)
    low = Detections(found.boxes[len(high) :], found.scores[len(high) :])  # best first
    return pipeline.estimate(image, high), low


def _speed_rows(study: _Study, condition: str, severity: int, seconds: dict[str, list[float]]) -> list[dict]:
    """FPS of the pass: images over seconds inside the pipeline, while others are prepared beside it."""
    rows = []
    for mode, taken in seconds.items():
        weights = resampling_weights(len(taken), study.bootstrap, study.seed)
        rate = estimate(ratio((np.ones(len(taken)), np.array(taken)), weights))
        low, high = rate.interval()
        rows.append(study.maker.columns() | {
            "condition": condition, "severity": severity, "boxes": mode, "metric": "fps", "value": rate.value,
            "low": low, "high": high, "n": len(taken), "unit": "images/s", "reference": "",
        })  # fmt: skip
    return rows


def _ahead(names: Sequence[str], prepare: Callable, workers: int) -> Iterator[tuple[str, object]]:
    """Yields (name, prepared) in order, at most two a worker prepared ahead of the consumer."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    waiting: deque[tuple[str, Future]] = deque()
    try:
        for name in names:
            waiting.append((name, pool.submit(prepare, name)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
