"""What memory between frames buys on video under each condition: looking again, interpolation, smoothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from pose_utils.runtime.media import open_source
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.runtime.smoothing import GapFiller, OneEuro
from pose_utils.runtime.tracking import TrackedPipeline
from pose_utils.study import conditions as known_conditions
from pose_utils.study import tallies
from pose_utils.study.intervals import Estimate, estimate, resampling_weights
from pose_utils.study.mitigations import AS_IT_IS
from pose_utils.study.predictions import Maker
from pose_utils.study.records import RunFolder
from pose_utils.types import Poses

LOOK_AGAIN, FILLED, SMOOTHED = "tracked", "tracked, gaps filled", "tracked, gaps filled, smoothed"

DELAY = 10
"""Frames that filling holds back: gaps of fewer are interpolated."""

BLOCK = 5
"""Frames that are drawn together: neighbours are alike, and single ones would make intervals too short."""

LONG_SIDE = 640
"""Frames are shrunk to it, the side for which the conditions give their lengths."""


def study_video(
    pipeline: PosePipeline,
    clip: Path,
    frames: int,
    conditions: Sequence[str],
    *,
    seed: int,
    run: RunFolder,
    bootstrap: int = 1000,
    progress: bool = True,
) -> pd.DataFrame:
    """Runs the ways on the first frames of a clip under each condition and writes video_remedies.csv.

    The figure is OKS with the prediction of the same frame when it is clean, one by one and without memory; a
    person who is lost counts 0. Gains are against the pipeline without memory on the same corrupted frames.
    Corruptions are drawn for each frame alone, as sensor noise is; a blur's direction therefore changes too.

    Args:
        pipeline: The networks.
        clip: A video.
        frames: At most so many.
        conditions: As `conditions.expand` takes them; clean is added.
        seed: Of corruptions and resamples.
        run: Where video_remedies.csv goes.
        bootstrap: Resamples of blocks of `BLOCK` frames.
        progress: Shows a bar.
    """
    pictures, step_s = _frames_of(clip, frames)
    pairs = list(dict.fromkeys([("clean", 0), *known_conditions.expand(conditions)]))
    maker = Maker(pipeline.models, pipeline.backend, pipeline.precision)
    clean = [pipeline(picture) for picture in pictures]
    blocks = np.arange(len(pictures)) // BLOCK
    weights = resampling_weights(int(blocks[-1]) + 1, bootstrap, seed)[:, blocks]
    rows = []
    for condition, severity in tqdm(pairs, desc="remedies on video", unit="condition", disable=not progress):
        seen = [
            known_conditions.apply(condition, picture, image_name=f"frame {index}", seed=seed,
                                   severity=severity, boxes=found.boxes)
            for index, (picture, found) in enumerate(zip(pictures, clean, strict=True))
        ]  # fmt: skip
        ways = _ways(pipeline, seen, step_s)
        alike = {way: tallies.consistency(clean, poses) for way, (poses, _) in ways.items()}
        before = [estimate(tallies.ratio(tally, weights)) for tally in alike[AS_IT_IS]]
        for way, (_, milliseconds) in ways.items():
            same, kept = (estimate(tallies.ratio(tally, weights)) for tally in alike[way])
            figures = {
                "consistency": (same, "share"), "gain": (same - before[0], "share"),
                "persons_kept": (kept, "share"), "kept_gain": (kept - before[1], "share"),
                "ms": (_constant(milliseconds, len(weights)), "ms"),
                "ms_added": (_constant(milliseconds - ways[AS_IT_IS][1], len(weights)), "ms"),
            }  # fmt: skip
            rows += [_row(maker, way, condition, severity, name, *figure, len(pictures))
                     for name, figure in figures.items()]  # fmt: skip
    return run.write("video_remedies.csv", pd.DataFrame(rows))


def _frames_of(clip: Path, count: int) -> tuple[list[np.ndarray], float]:
    """Returns the first frames of a clip, shrunk, and the seconds between two of them."""
    source = open_source(clip)
    pictures = []
    for frame in itertools.islice(source, count):
        scale = min(1.0, LONG_SIDE / max(frame.image.shape[:2]))
        pictures.append(cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return pictures, 1 / (source.fps or 25.0)


def _ways(
    pipeline: PosePipeline, pictures: Sequence[np.ndarray], step_s: float
) -> dict[str, tuple[list[Poses], float]]:
    """Returns way -> its persons of every frame, and milliseconds a frame."""
    start = time.perf_counter()
    alone = [pipeline(picture) for picture in pictures]
    marks = [start, time.perf_counter()]
    track = TrackedPipeline(pipeline)
    tracked = [track(picture) for picture in pictures]
    marks.append(time.perf_counter())
    fill = GapFiller(DELAY)
    held = [pair for index, poses in enumerate(tracked) for pair in fill.push(index, poses)] + fill.flush()
    filled = [poses for _, poses in held]
    marks.append(time.perf_counter())
    smooth = OneEuro()
    calm = [smooth(poses, index * step_s) for index, poses in enumerate(filled)]
    marks.append(time.perf_counter())
    one, tracking, filling, smoothing = np.diff(marks) * 1000 / len(pictures)
    return {
        AS_IT_IS: (alone, one), LOOK_AGAIN: (tracked, tracking), FILLED: (filled, tracking + filling),
        SMOOTHED: (calm, tracking + filling + smoothing),
    }  # fmt: skip


def _constant(value: float, rows: int) -> Estimate:
    """Returns a figure measured once: its interval is unknown."""
    return Estimate(float(value), np.full(rows - 1, np.nan))


def _row(
    maker: Maker, way: str, condition: str, severity: int, metric: str, figure: Estimate, unit: str, n: int
) -> dict:
    low, high = figure.interval()
    return maker.columns() | {
        "remedy": way, "condition": condition, "severity": severity, "metric": metric, "value": figure.value,
        "low": low, "high": high, "n": n, "unit": unit,
    }  # fmt: skip
