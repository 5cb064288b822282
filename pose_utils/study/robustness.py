"""Runs a pipeline over pictures under conditions; records predictions, then computes every figure from them.

Predictions are kept by condition as parts of the run folder, and metrics are computed from those
records alone, so that a run which was killed goes on where it stopped and ends with the same figures.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pose_utils.errors import InputError, UsageError
from pose_utils.runtime.media import printable_name
from pose_utils.study import conditions as known_conditions
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.condition_pass import BOXES, Pipeline, Study, run_condition
from pose_utils.study.lanes import Lanes
from pose_utils.study.predictions import Setting, poses_of
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness_metrics import metric_rows
from pose_utils.types import Poses

TABLES = ("persons.parquet", "poses.parquet", "metrics.csv")


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
        pipeline: See `Pipeline`; on a CPU one-thread copies of it run, one a core (`lanes.Lanes`).
        images: Files; the clean pass always comes first.
        conditions: Specs for `conditions.expand`, such as ["published"] or ["noise_heavy", "defocus:3"].
        truth: Annotations that cover every image, or None: then only consistency can be told.
        seed: Of the corruptions and of the bootstrap.
        run: Where the records go.
        boxes: Of `BOXES`; those that cannot be had (no truth, a one-stage model) are left out.
        bootstrap: Resamples for the intervals.
        progress: Shows a bar with the time left on stderr.
        workers: Threads that read, corrupt and pose pictures; default one a core.

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
    study = Study(pipeline, paths, _true_boxes(truth), seed, _modes(pipeline, truth, boxes), run, bootstrap)

    todo = [pair for pair in pairs if not all(run.has_part(table, study.key(*pair)) for table in TABLES)]
    lanes = Lanes(pipeline, workers) if todo else None
    clean: dict[str, Poses] = {}
    parts: list[tuple[pd.DataFrame, ...]] = []
    with tqdm(total=len(todo) * len(paths), unit="image", disable=not progress, mininterval=1) as bar:
        for pair in pairs:
            if pair in todo:
                bar.set_description(" ".join(map(str, pair)) if pair[1] else pair[0])
                run_condition(study, *pair, clean, lanes, bar.update)
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


def _readable(study: Study) -> list[str]:
    skipped = study.run.info().get("robustness_skipped", {}).get(study.digest(), {})
    return [name for name in study.paths if name not in skipped]
