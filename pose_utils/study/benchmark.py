"""Latency of whole pipelines: interleaved blocks, warm-up, every raw sample kept.

All configurations are loaded first; blocks of calls are then run in seeded random order, so that a
drift of the machine's speed hits all alike. Every configuration sees the same pictures and poses the same
persons: the detector runs on the picture and is timed, and the pose stage gets reference boxes, so
that one runtime's extra detection does not count as slowness and stand-in weights can be timed too.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import Backend
from pose_utils.runtime.pipeline import Detector, OneStage, PoseEstimator, PosePipeline, StageClock
from pose_utils.study.cold_start import measure_cold_start
from pose_utils.study.configurations import FULL, ONE_STAGE, POSE_ONLY, Config, standard_configs
from pose_utils.study.machine_state import MachineState
from pose_utils.study.records import RunFolder
from pose_utils.types import Detections
from pose_utils.zoo.specs import ModelSpec, parse_models

__all__ = [
    "FULL", "ONE_STAGE", "POSE_ONLY", "Config", "Workload", "load", "make_workloads", "run_benchmark",
    "standard_configs", "time_call", "warm_up",
]  # fmt: skip

SETTLED = 0.05
"""Warm-up ends when the median of its later half is within this share of its earlier half's."""
MAX_WARMUP_FACTOR = 4

ALONE, SHARED = "own process", "shared process"
"""Where load and first call were measured: the shared process holds every configuration's libraries."""


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


def load(config: Config, threads: int | None = None) -> PosePipeline:
    """Opens the pipeline of one row.

    Raises:
        Unavailable, AssetError: It cannot run here; the message is the row's reason.
    """
    specs = parse_models(config.models)
    if config.pipeline == ONE_STAGE:
        return PosePipeline(None, OneStage(_open(config, specs[0], threads)))
    opened = [_open(config, spec, threads) for spec in (specs if config.pipeline == FULL else specs[1:])]
    detector = Detector(opened[0]) if config.pipeline == FULL else None
    return PosePipeline(detector, PoseEstimator(opened[-1]))


def _open(config: Config, spec: ModelSpec, threads: int | None) -> Backend:
    return open_backend(config.backend, spec, config.precision, config.device, threads, config.weights)


def time_call(pipeline: PosePipeline, workload: Workload) -> dict[str, float]:
    """Runs one frame and returns milliseconds by stage, "total" measured around the whole call."""
    start = time.perf_counter()
    clock = StageClock()
    if isinstance(pipeline.pose, OneStage):
        pipeline.pose(workload.image, pipeline.min_score, clock)
    else:
        if pipeline.detector is not None:
            pipeline.detector(workload.image, clock)
        pipeline.estimate(workload.image, Detections(workload.boxes, np.ones(workload.persons)), clock)
    total = (time.perf_counter() - start) * 1000
    stages = {name: value for name, value in asdict(clock.times()).items() if name in clock.milliseconds}
    return {**stages, "total": total}


def warm_up(pipeline: PosePipeline, workload: Workload, calls: int) -> int:
    """Runs at least `calls` frames, and on until the median settles; returns how many it took."""
    totals: list[float] = []
    while len(totals) < calls * MAX_WARMUP_FACTOR:
        totals.append(time_call(pipeline, workload)["total"])
        if len(totals) >= calls:
            earlier, later = np.array_split(np.array(totals[-calls:]), 2)
            if calls < 4 or abs(np.median(later) / np.median(earlier) - 1) < SETTLED:
                break
    return len(totals)


def run_benchmark(
    configs: Sequence[Config],
    workloads: Sequence[Workload],
    run: RunFolder,
    *,
    runs: int,
    warmup: int,
    blocks: int,
    seed: int = 0,
    threads: int | None = None,
    cold_start: bool = False,
) -> None:
    """Times every configuration on every workload and writes configs.csv, latency.parquet, machine.csv.

    Args:
        configs: Rows of the table.
        workloads: Pictures with their persons.
        run: Where the records go.
        runs: Timed calls of each configuration on each workload, in all blocks together.
        warmup: Least number of untimed calls before the first block.
        blocks: Into how many interleaved blocks the calls are split.
        seed: Decides the order of the blocks.
        threads: CPU threads; None for all cores this process may use.
        cold_start: Also open each configuration in a process of its own, for its memory and start.
    """
    loaded: list[tuple[Config, PosePipeline]] = []
    rows = []
    for config in tqdm(configs, desc="loading", unit="configuration"):
        row, pipeline = _load_row(config, workloads[0], threads)
        rows.append(row | (_cold(config, workloads[0], threads) if cold_start and pipeline else {}))
        if pipeline is not None:
            loaded.append((config, pipeline))
    run.write("configs.csv", rows)
    machine, states = MachineState(), []
    order = np.random.default_rng(seed)
    samples: list[dict] = []
    calls = [max(1, len(part)) for part in np.array_split(np.arange(runs), min(blocks, runs))]
    pairs = list(itertools.product(loaded, workloads))
    with tqdm(total=len(pairs) * (len(calls) + 1), desc="timing", unit="block") as bar:
        for (_, pipeline), workload in pairs:
            warm_up(pipeline, workload, warmup)
            bar.update()
        for block, count in enumerate(calls):
            for index in order.permutation(len(pairs)):
                (config, pipeline), workload = pairs[index]
                # Untimed: the caches and thread pools of the configuration before are still warm.
                time_call(pipeline, workload)
                before = machine.read()
                for repeat in range(count):
                    samples += _sample_rows(config, pipeline, workload, block, repeat)
                state = machine.between(before, machine.read())
                states.append(
                    {"config": config.name, "persons": workload.persons, "block": block, "calls": count}
                    | state
                )
                bar.update()
    run.write("latency.parquet", samples)
    run.write("machine.csv", states)


def _load_row(config: Config, workload: Workload, threads: int | None) -> tuple[dict, PosePipeline | None]:
    row = {
        "config": config.name, "models": config.models, "backend": config.backend,
        "precision": config.precision, "device": config.device, "pipeline": config.pipeline,
        "status": "skipped", "reason": "", "weights": "", "provider_used": "", "threads": np.nan,
        "size_bytes": np.nan, "load_s": np.nan, "first_call_ms": np.nan, "digest": "",
        "cold_start": "", "peak_memory_mb": np.nan, "gpu_memory_mb": np.nan,
    }  # fmt: skip
    start = time.perf_counter()
    try:
        pipeline = load(config, threads)
        load_s = time.perf_counter() - start
        first = time_call(pipeline, workload)["total"]
    except (Unavailable, AssetError) as error:
        return {**row, "reason": str(error).splitlines()[0]}, None
    except Exception as error:
        return {**row, "status": "failed", "reason": f"{type(error).__name__}: {str(error)[:200]}"}, None
    sizes = [artifact.size_bytes for artifact in pipeline.artifacts]
    return {
        **row, "status": "ok", "weights": pipeline.weights, "provider_used": pipeline.provider_used,
        "threads": pipeline.backends[-1].threads, "size_bytes": float(np.sum(sizes)), "load_s": load_s,
        "first_call_ms": first, "digest": "+".join(artifact.digest for artifact in pipeline.artifacts),
        "cold_start": SHARED,
    }, pipeline  # fmt: skip


def _cold(config: Config, workload: Workload, threads: int | None) -> dict:
    """What a process of its own adds to the row; where that fails, its figures stay those of this process."""
    found = measure_cold_start(config, workload.image, workload.boxes, threads)
    problem = found.pop("problem")
    return {"cold_start": f"{SHARED}; alone: {problem}"} if problem else {**found, "cold_start": ALONE}


def _sample_rows(
    config: Config, pipeline: PosePipeline, workload: Workload, block: int, repeat: int
) -> list[dict]:
    return [
        {
            "config": config.name, "models": config.models, "backend": config.backend,
            "precision": config.precision, "device": config.device, "pipeline": config.pipeline,
            "stage": stage,
            "persons": workload.persons, "block": block, "repeat": repeat, "ms": ms,
            "weights": pipeline.weights,
        }
        for stage, ms in time_call(pipeline, workload).items()
    ]  # fmt: skip
