"""Measures tracking on a clip: `python tools/measure_tracking.py CLIP [--every 1,3,5] [--frames N]`.

A row for no memory (box overlap with the frame before), and one for each detection interval: identities,
those that began inside the picture (likely breaks), jitter of still joints, milliseconds a frame.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.runtime.media import open_source
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.similarity import assign, iou
from pose_utils.runtime.smoothing import OneEuro
from pose_utils.runtime.tracking import TrackedPipeline
from pose_utils.study.tracks import births_inside, jitter
from pose_utils.types import Poses


def without_memory(found: list[Poses]) -> list[Poses]:
    """Gives identities by box overlap with the frame before alone."""
    before: list[tuple[int, np.ndarray]] = []
    count, named = 0, []
    for poses in found:
        table = np.array([[iou(box, other) for _, other in before] for box in poses.boxes])
        matched = dict(assign(table.reshape(len(poses), len(before)), 0.3))
        identities = []
        for index in range(len(poses)):
            count += index not in matched
            identities.append(before[matched[index]][0] if index in matched else count)
        before = list(zip(identities, poses.boxes, strict=True))
        named.append(
            Poses(poses.keypoints, poses.scores, poses.boxes, poses.box_scores, np.array(identities, int))
        )
    return named


def measure(clip: Path, every: list[int], limit: int | None, models: str) -> pd.DataFrame:
    """Returns one row for each way of tracking."""
    pipeline = open_pipeline(models)
    source = open_source(clip)
    images = [frame.image for frame, _ in zip(source, range(limit or 10**9), strict=False)]
    size, fps = images[0].shape[1::-1], source.fps or 25.0
    rows = []
    for name, step in [("no memory", 0), *((f"tracked, detector every {k}", k) for k in every)]:
        start = time.perf_counter()
        find = TrackedPipeline(pipeline, step) if step else pipeline
        found = [find(image) for image in images]
        milliseconds = (time.perf_counter() - start) * 1000 / len(images)
        found = found if step else without_memory(found)
        smooth = OneEuro()
        calm = [smooth(poses, index / fps) for index, poses in enumerate(found)]
        rows.append({
            "clip": clip.name, "way": name, "persons a frame": np.mean([len(poses) for poses in found]),
            "identities": len({int(each) for poses in found for each in poses.track_ids}),
            "begun inside": births_inside(found, size), "jitter": jitter(found, found)[0],
            "jitter smoothed": jitter(found, calm)[0], "ms a frame": milliseconds,
        })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Prints the table of one clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--every", default="1,3,5")
    parser.add_argument("--frames", type=int, default=None)
    parser.add_argument("--models", default="auto")
    chosen = parser.parse_args()
    table = measure(chosen.clip, [int(k) for k in chosen.every.split(",")], chosen.frames, chosen.models)
    print(table.to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
