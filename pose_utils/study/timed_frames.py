"""One timed frame: on which picture and persons, how a row of the table opens, what one call of it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pose_utils.cores import available_cores
from pose_utils.errors import Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import Backend
from pose_utils.runtime.fused import FusedPipeline, fused_file
from pose_utils.runtime.pipeline import Detector, OneStage, PoseEstimator, PosePipeline, StageClock
from pose_utils.runtime.tracking import Tracker
from pose_utils.study.configurations import DETECT_EVERY, FULL, FUSED, ONE_STAGE, POSE_ONLY, VIDEO, Config
from pose_utils.types import NUM_KEYPOINTS, Detections, Poses
from pose_utils.zoo.fused import fused_metadata
from pose_utils.zoo.specs import ModelSpec, parse_models

SETTLED = 0.05
"""Warm-up ends when the median of its later half is within this share of its earlier half's."""
MAX_WARMUP_FACTOR = 4


@dataclass(frozen=True, eq=False)
class Workload:
    """One real picture and the persons whose pose is estimated in it.

    Attributes:
        name: File name of the picture.
        image: uint8 (h, w, 3) BGR.
        boxes: float32 (n, 4), xyxy in image pixels.
    """

    name: str
    image: np.ndarray
    boxes: np.ndarray

    @property
    def persons(self) -> int:
        """Number of persons that are posed."""
        return len(self.boxes)


def make_workloads(
    pictures: Sequence[tuple[str, np.ndarray, np.ndarray]], persons: Sequence[int]
) -> list[Workload]:
    """Picks a picture for each number of persons.

    Args:
        pictures: (name, image, boxes of the persons found in it).
        persons: Wanted numbers of persons, each at least 1.

    Returns:
        One workload each, on the picture with the fewest persons that has enough. Where none has,
        the persons of the fullest picture are posed several times, which its name says.

    Raises:
        Unavailable: No picture shows a person.
    """
    peopled = sorted((entry for entry in pictures if len(entry[2])), key=lambda entry: len(entry[2]))
    if not peopled:
        raise Unavailable("no picture shows a person, so there is no pose to time")
    workloads = []
    for wanted in persons:
        name, image, boxes = next((entry for entry in peopled if len(entry[2]) >= wanted), peopled[-1])
        label = name if len(boxes) >= wanted else f"{name} ({len(boxes)} persons, posed repeatedly)"
        repeated = boxes[np.arange(wanted) % len(boxes)]
        workloads.append(Workload(label, image, repeated.astype("float32")))
    return workloads


class FusedRow:
    """A row of the fused file. It finds its persons itself: opened once for each number of them."""

    def __init__(self, config: Config, threads: int | None) -> None:
        """Fuses the models once and opens the file for one person; raises what these two do."""
        self._path = fused_file(config.models, config.precision, config.weights)
        self._where = (config.backend, config.device, threads or available_cores())
        self._limited: dict[int, FusedPipeline] = {}
        self.limited_to(1)

    def delivered(self) -> FusedPipeline:
        """Opens the file with its own defaults, as a user runs it."""
        return FusedPipeline(self._path, *self._where)

    def limited_to(self, persons: int) -> FusedPipeline:
        """Returns the file that poses its `persons` best boxes, however unsure: random weights find none."""
        if persons not in self._limited:
            self._limited[persons] = FusedPipeline(
                self._path, *self._where, min_score=0.0, max_persons=persons
            )
        return self._limited[persons]

    @cached_property
    def about(self) -> dict[str, Any]:
        """What configs.csv says of the row."""
        told = fused_metadata(self._path)
        return {
            "weights": self._limited[1].weights, "provider_used": self._limited[1].provider_used,
            "threads": self._where[-1], "size_bytes": float(self._path.stat().st_size),
            "digest": "+".join(told[stage]["weights_digest"] for stage in ("detector", "pose")),
        }  # fmt: skip


class VideoRow:
    """A pipeline on video: the detector looks at the first of `DETECT_EVERY` frames, the tracker at all.

    Attributes:
        pipeline: Whose frames these are.
    """

    def __init__(self, pipeline: PosePipeline) -> None:
        """Takes an open two-stage pipeline."""
        self.pipeline = pipeline

    def run(self, workload: Workload, clock: StageClock) -> None:
        """Runs `DETECT_EVERY` frames.

        The persons of the workload are posed in every frame. The tracker follows as many who stand apart,
        because random weights find nobody whom it could follow.
        """
        tracker, standing = Tracker(), _apart(workload.persons)
        found = Detections(workload.boxes, np.ones(workload.persons))
        for frame in range(DETECT_EVERY):
            tracker.predict()
            tracker.boxes()
            if frame == 0:
                self.pipeline.detector(workload.image, clock)
            self.pipeline.estimate(workload.image, found, clock)
            (tracker.follow if frame else tracker.update)(standing)


Opened = PosePipeline | FusedRow | VideoRow


def load(config: Config, threads: int | None = None) -> Opened:
    """Opens the pipeline of one row.

    Raises:
        Unavailable, AssetError: It cannot run here; the message is the row's reason.
    """
    if config.pipeline == FUSED:
        return FusedRow(config, threads)
    specs = parse_models(config.models)
    if config.pipeline == ONE_STAGE:
        return PosePipeline(None, OneStage(_open(config, specs[0], threads)))
    stages = [_open(config, spec, threads) for spec in (specs[1:] if config.pipeline == POSE_ONLY else specs)]
    detector = Detector(stages[0]) if config.pipeline in (FULL, VIDEO) else None
    pipeline = PosePipeline(detector, PoseEstimator(stages[-1]))
    return VideoRow(pipeline) if config.pipeline == VIDEO else pipeline


def about(opened: Opened) -> dict[str, Any]:
    """Returns weights, provider_used, threads, size_bytes (of the files that run) and digest of a row."""
    if isinstance(opened, FusedRow):
        return opened.about
    pipeline = opened.pipeline if isinstance(opened, VideoRow) else opened
    return {
        "weights": pipeline.weights, "provider_used": pipeline.provider_used,
        "threads": pipeline.backends[-1].threads,
        "size_bytes": float(np.sum([backend.size_bytes for backend in pipeline.backends])),
        "digest": "+".join(artifact.digest for artifact in pipeline.artifacts),
    }  # fmt: skip


def unfit(opened: Opened, workload: Workload) -> str:
    """Returns why a row cannot be timed on a workload, "" where it can: a fused file finds who it poses."""
    if not isinstance(opened, FusedRow):
        return ""
    found = len(opened.limited_to(workload.persons)(workload.image))
    return "" if found == workload.persons else f"finds {found} of {workload.persons} persons by itself"


def time_call(opened: Opened, workload: Workload) -> dict[str, float]:
    """Runs one frame and returns milliseconds by stage, "total" measured around the whole call.

    A video row runs as many frames as its detector's interval has, and returns the mean of a frame.
    """
    if isinstance(opened, FusedRow):
        # Nothing inside one file can be told apart.
        pipeline = opened.limited_to(workload.persons)
        start = time.perf_counter()
        pipeline(workload.image)
        return {"total": (time.perf_counter() - start) * 1000}
    start = time.perf_counter()
    clock = StageClock()
    frames = 1
    if isinstance(opened, VideoRow):
        opened.run(workload, clock)
        frames = DETECT_EVERY
    elif isinstance(opened.pose, OneStage):
        opened.pose(workload.image, opened.min_score, clock)
    else:
        if opened.detector is not None:
            opened.detector(workload.image, clock)
        opened.estimate(workload.image, Detections(workload.boxes, np.ones(workload.persons)), clock)
    total = (time.perf_counter() - start) * 1000
    stages = {name: value for name, value in asdict(clock.times()).items() if name in clock.milliseconds}
    return {name: value / frames for name, value in {**stages, "total": total}.items()}


def warm_up(opened: Opened, workload: Workload, calls: int) -> int:
    """Runs at least `calls` frames, and on until the median settles; returns how many it took."""
    totals: list[float] = []
    while len(totals) < calls * MAX_WARMUP_FACTOR:
        totals.append(time_call(opened, workload)["total"])
        if len(totals) >= calls:
            earlier, later = np.array_split(np.array(totals[-calls:]), 2)
            if calls < 4 or abs(np.median(later) / np.median(earlier) - 1) < SETTLED:
                break
    return len(totals)


def _open(config: Config, spec: ModelSpec, threads: int | None) -> Backend:
    return open_backend(config.backend, spec, config.precision, config.device, threads, config.weights)


def _apart(count: int) -> Poses:
    """Returns `count` persons who stand beside each other, 50 px wide and 100 px high."""
    left = 100.0 * np.arange(count)[:, None]
    inside = np.random.default_rng(0).uniform((5, 5), (45, 95), (NUM_KEYPOINTS, 2))
    keypoints = inside + np.concatenate([left, np.zeros_like(left)], axis=1)[:, None]
    boxes = np.concatenate([left, np.zeros_like(left), left + 50, np.full_like(left, 100)], axis=1)
    return Poses(keypoints, np.full((count, NUM_KEYPOINTS), 0.9), boxes, np.full(count, 0.9))
