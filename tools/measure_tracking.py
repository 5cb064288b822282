"""Measures tracking on a clip: `python tools/measure_tracking.py CLIP [--every 1,3,5] [--frames N]`.

A row for no memory (box overlap with the frame before), and one for each detection interval: identities,
those that began inside the picture (likely breaks), jitter of still joints, milliseconds a frame, how many
times as fast as with the detector in every frame (95 % interval), and the mean OKS with that way's persons.
The last row is the same way on pictures moved by one pixel: how much of the OKS the networks' own unrest
costs. The ways run interleaved. `--cost-of D+P` lets other models, whose trained weights may be out of
reach, run beside and be timed: boxes and poses stay those of `--models`, the boxes recorded beforehand.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.media import open_source
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import Detector, PoseEstimator, PosePipeline, StageClock
from pose_utils.runtime.similarity import iou, pair_up
from pose_utils.runtime.smoothing import OneEuro
from pose_utils.runtime.tracking import TrackedPipeline
from pose_utils.study.latency import speedups
from pose_utils.study.tracks import agreement, births_inside, jitter
from pose_utils.types import Detections, Poses
from pose_utils.zoo.specs import parse_models

EVERY_FRAME = "tracked, detector every 1"
SEGMENTS = 8
"""Into how many stretches the clip is cut; all ways run one before the next one begins."""


class RecordedDetector(Detector):
    """Runs one detector and returns what another one found in the same picture."""

    def __init__(self, costly: Detector, found: dict[int, Detections]) -> None:
        """Takes the detector that is timed, and the boxes by the identity of the picture."""
        super().__init__(costly.backend)
        self._found = found

    def __call__(self, image: np.ndarray, clock: StageClock | None = None) -> Detections:
        """See Detector."""
        super().__call__(image, clock)
        return self._found[id(image)]


class BurdenedEstimator(PoseEstimator):
    """Runs one pose model beside another one whose keypoints it returns."""

    def __init__(self, costly: PoseEstimator, right: PoseEstimator) -> None:
        """Takes the model that is timed and the one that answers."""
        super().__init__(right.backend)
        self._costly = costly

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, clock: StageClock | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See PoseEstimator."""
        self._costly(image, boxes)
        return super().__call__(image, boxes, clock)


def at_the_cost_of(models: str, right: PosePipeline, images: list[np.ndarray]) -> PosePipeline:
    """Returns a pipeline that takes the time of `models` and finds what `right` finds."""
    found = {id(image): right.detector(image) for image in images}
    detector, pose = (open_backend(right.backend, spec, right.precision) for spec in parse_models(models))
    burdened = BurdenedEstimator(PoseEstimator(pose), right.pose)
    return PosePipeline(RecordedDetector(Detector(detector), found), burdened, right.min_score)


def without_memory(found: list[Poses]) -> list[Poses]:
    """Gives identities by box overlap with the frame before alone."""
    before: list[tuple[int, np.ndarray]] = []
    count, named = 0, []
    for poses in found:
        table = np.array([[iou(box, other) for _, other in before] for box in poses.boxes])
        matched = dict(pair_up(table.reshape(len(poses), len(before)), 0.3))
        identities = []
        for index in range(len(poses)):
            count += index not in matched
            identities.append(before[matched[index]][0] if index in matched else count)
        before = list(zip(identities, poses.boxes, strict=True))
        named.append(
            Poses(poses.keypoints, poses.scores, poses.boxes, poses.box_scores, np.array(identities, int))
        )
    return named


def run_ways(ways: dict, images: list[np.ndarray]) -> tuple[dict[str, list[Poses]], pd.DataFrame]:
    """Runs every way over the clip, segment by segment; returns persons by way, and rows for `speedups`."""
    found: dict[str, list[Poses]] = {name: [] for name in ways}
    rows = []
    for find in ways.values():
        find.pipeline(images[0]) if isinstance(find, TrackedPipeline) else find(images[0])
    for segment, frames in enumerate(np.array_split(np.arange(len(images)), SEGMENTS)):
        for name, find in ways.items():
            start = time.perf_counter()
            found[name] += [find(images[index]) for index in frames]
            milliseconds = (time.perf_counter() - start) * 1000 / len(frames)
            rows.append({"config": name, "persons": 0, "models": "", "pipeline": "detect+pose",
                         "stage": "total", "block": segment, "ms": milliseconds})  # fmt: skip
    return found, pd.DataFrame(rows)


def measure(clip: Path, every: list[int], limit: int | None, models: str, cost_of: str = "") -> pd.DataFrame:
    """Returns one row for each way of tracking."""
    pipeline = open_pipeline(models)
    source = open_source(clip)
    images = [frame.image for frame, _ in zip(source, range(limit or 10**9), strict=False)]
    size, fps = images[0].shape[1::-1], source.fps or 25.0
    moved = TrackedPipeline(pipeline)
    if cost_of:
        pipeline = at_the_cost_of(cost_of, pipeline, images)
    ways = {"no memory": pipeline} | {
        f"tracked, detector every {k}": TrackedPipeline(pipeline, k) for k in dict.fromkeys([1, *every])
    }
    found, latency = run_ways(ways, images)
    found["no memory"] = without_memory(found["no memory"])
    faster = speedups(latency, EVERY_FRAME).set_index("config")
    rows = []
    for name, persons in found.items():
        smooth = OneEuro()
        calm = [smooth(poses, index / fps) for index, poses in enumerate(persons)]
        ratio = faster.loc[name]
        rows.append({
            "clip": clip.name, "way": name,
            "identities": len({int(each) for poses in persons for each in poses.track_ids}),
            "begun inside": births_inside(persons, size), "jitter": jitter(persons, persons)[0],
            "jitter smoothed": jitter(persons, calm)[0],
            "ms a frame": latency.loc[latency["config"] == name, "ms"].mean(),
            "times as fast": f"{ratio.speedup:.2f} ({ratio.speedup_low:.2f} to {ratio.speedup_high:.2f})",
            **_alike(found[EVERY_FRAME], persons),
        })  # fmt: skip
    persons = [moved(np.roll(image, 1, axis=1)) for image in images]
    rows.append({"clip": clip.name, "way": "the same, moved by 1 px", "times as fast": "",
                 **_alike(found[EVERY_FRAME], persons)})  # fmt: skip
    return pd.DataFrame(rows)


def _alike(expected: list[Poses], persons: list[Poses]) -> dict:
    similar = agreement(expected, persons)
    return {
        "persons a frame": np.mean([len(poses) for poses in persons]),
        "OKS": similar.mean() if len(similar) else np.nan, "of persons": len(similar),
    }  # fmt: skip


def main() -> None:
    """Prints the table of one clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--every", default="1,3,5")
    parser.add_argument("--frames", type=int, default=None)
    parser.add_argument("--models", default="auto")
    parser.add_argument("--cost-of", default="", metavar="D+P", help="models to be timed in their place")
    chosen = parser.parse_args()
    every = [int(k) for k in chosen.every.split(",")]
    table = measure(chosen.clip, every, chosen.frames, chosen.models, chosen.cost_of)
    print(table.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
