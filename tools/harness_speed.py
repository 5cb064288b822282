"""Times the robustness harness against one frame at a time: `python tools/harness_speed.py [--backends A,B]`.

The plain loop reads, corrupts and poses one picture after the other with a pipeline that has every core
to itself; the harness deals the same pictures out to one-thread pipelines. Both write the same records.
Blocks of the two alternate, and the ratio is paired block by block. Then the milliseconds of a picture by
what they are spent on, alone on the machine, which say what is left to gain.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.runtime.backends.base import available_cores
from pose_utils.runtime.media import read_image
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study import conditions
from pose_utils.study.condition_pass import Study, run_condition
from pose_utils.study.lanes import Lanes
from pose_utils.study.material import Material, choose_material
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import picture_names
from pose_utils.types import Poses

CONDITIONS = ("motion_blur_light", "low_light_moderate", "noise_moderate", "occlusion")
NETWORKS = ("detect", "pose")


class PlainLoop:
    """The lanes of a loop that has none: the pipeline itself, one picture at a time, on this thread."""

    count = 1

    def __init__(self, pipeline: PosePipeline) -> None:
        self.pipeline = pipeline

    @contextmanager
    def free(self) -> Iterator[PosePipeline]:
        """Lends the pipeline."""
        yield self.pipeline

    def deal(self, work: Callable, items: Sequence, done: Callable) -> list:
        """Calls `work` for one item after the other."""
        return [work(item) for item in items]


def study_of(pipeline: PosePipeline, material: Material, folder: Path) -> Study:
    """Returns the study of these pictures with truth, all four origins of the boxes."""
    truth = material.truth.by_name()
    people = {name: image.persons.boxes[image.persons.posed] for name, image in truth.items()}
    modes = ("detected", "truth", "clean", "detected_on_clean")
    run = RunFolder.create({}, folder)
    return Study(pipeline, picture_names(material.paths), people, 0, modes, run, 10)


def rates(
    study: Study, ways: dict[str, PlainLoop | Lanes], clean: dict[str, Poses], blocks: int, share: int
) -> pd.DataFrame:
    """Times blocks of `share` pictures; returns block, way and images a second."""
    rows, names = [], list(study.paths)
    for block in range(blocks):
        chosen = [names[(block * share + index) % len(names)] for index in range(share)]
        condition = CONDITIONS[block % len(CONDITIONS)]
        for way in list(ways) if block % 2 else list(ways)[::-1]:
            part = replace(study, paths={name: study.paths[name] for name in chosen})
            part = replace(part, run=RunFolder.create({}, study.run.path / f"{way}-{block}"))
            start = time.perf_counter()
            run_condition(part, condition, 0, clean, ways[way], lambda: None)
            rows.append({"block": block, "way": way, "rate": share / (time.perf_counter() - start)})
    return pd.DataFrame(rows)


def ratio(table: pd.DataFrame, seed: int = 0) -> tuple[float, float, float]:
    """Returns the harness's rate over the plain loop's: geometric mean over blocks with 95 % interval."""
    wide = table.pivot(index="block", columns="way", values="rate")
    logs = np.log(wide["harness"] / wide["plain"]).to_numpy()
    draws = np.random.default_rng(seed).choice(logs, (10_000, len(logs))).mean(axis=1)
    return float(np.exp(logs.mean())), *np.exp(np.quantile(draws, (0.025, 0.975))).tolist()


def spent(pipeline: PosePipeline, material: Material, count: int) -> dict[str, float]:
    """Returns milliseconds of a picture (detected boxes) by what they are spent on, one at a time."""
    sums = dict.fromkeys(("read", "corrupt", "networks", "around them"), 0.0)
    for index, path in enumerate(material.paths[:count]):
        marks = [time.perf_counter()]
        original = read_image(path)
        marks.append(time.perf_counter())
        image = conditions.apply(CONDITIONS[index % 4], original, image_name=path.name, seed=0)
        marks.append(time.perf_counter())
        stages = asdict(pipeline.timed(image)[1])
        networks = sum(stages[name] for name in NETWORKS)
        values = (*(np.diff(marks) * 1000), networks, sum(stages.values()) - networks)
        sums = {name: total + value for (name, total), value in zip(sums.items(), values, strict=True)}
    return {name: total / count for name, total in sums.items()}


def main() -> None:
    """Prints the ratio and the shares for each back end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="auto")
    parser.add_argument("--backends", default="openvino,onnxruntime")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--pictures", type=int, default=12, help="in a block")
    chosen = parser.parse_args()
    material = choose_material()
    if material.truth is None:
        raise SystemExit("annotated pictures are needed: name their folder in POSE_ASSETS_DIR")
    for backend in chosen.backends.split(","):
        pipeline = open_pipeline(chosen.models, backend, for_ap=True)
        with tempfile.TemporaryDirectory() as folder:
            study = study_of(pipeline, material, Path(folder) / "study")
            clean = {name: pipeline(read_image(path)) for name, path in study.paths.items()}
            ways = {"plain": PlainLoop(pipeline), "harness": Lanes(pipeline)}
            rates(study, ways, clean, 1, chosen.pictures)  # first calls are slow
            table = rates(replace(study, run=RunFolder.create({}, Path(folder) / "timed")), ways, clean,
                          chosen.blocks, chosen.pictures)  # fmt: skip
        medians = table.groupby("way")["rate"].median()
        print(f"\n{pipeline.models} on {backend}, {available_cores()} cores, {chosen.blocks} blocks of "
              f"{chosen.pictures} pictures with all origins of the boxes")  # fmt: skip
        print(f"plain loop {medians['plain']:.2f} images/s, harness {medians['harness']:.2f} images/s; "
              "ratio {:.2f} ({:.2f} to {:.2f})".format(*ratio(table)))  # fmt: skip
        both = ways["harness"]._free.get(), pipeline
        # Twice: a back end compiles kernels for every number of persons that it meets the first time.
        _, (one, every) = ([spent(each, material, 24) for each in both] for _ in range(2))
        print(pd.DataFrame({"every core, ms": every, "one thread, ms": one}).round(1).to_string())
        print(f"one thread over every core, networks alone: {one['networks'] / every['networks']:.2f}")


if __name__ == "__main__":
    main()
