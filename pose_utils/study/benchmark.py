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
from dataclasses import asdict, dataclass, replace

import numpy as np
from tqdm import tqdm

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import Backend
from pose_utils.runtime.pipeline import Detector, OneStage, PoseEstimator, PosePipeline, StageClock
from pose_utils.study.records import RunFolder
from pose_utils.types import Detections
from pose_utils.zoo.specs import ModelSpec, parse_models

FULL, POSE_ONLY, ONE_STAGE = "detect+pose", "pose", "one-stage"
SETTLED = 0.05
"""Warm-up ends when the median of its later half is within this share of its earlier half's."""
MAX_WARMUP_FACTOR = 4


@dataclass(frozen=True)
class Config:
    """One row of the benchmark.

    Attributes:
        models: "detector+pose", or a one-stage model.
        backend, precision, device: As in `runtime.backends.open_backend`.
        pipeline: "detect+pose", "pose" (the pose stage alone) or "one-stage".
        weights: trained, random or auto.
    """

    models: str
    backend: str
    precision: str = "fp32"
    device: str = "cpu"
    pipeline: str = FULL
    weights: str = "auto"

    @property
    def name(self) -> str:
        """Name of the row, such as "openvino-bf16-cpu" or "torch-fp32-cuda-pose"."""
        base = f"{self.backend}-{self.precision}-{self.device}"
        return {FULL: base, POSE_ONLY: f"{base}-pose", ONE_STAGE: f"{self.models}-{base}"}[self.pipeline]


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


_POSE_ONLY = {("torch", "fp32"), ("onnxruntime", "fp32"), ("openvino", "bf16"), ("tensorrt", "fp16")}


def standard_configs(models: str, weights: str = "auto") -> list[Config]:
    """Returns the configurations of the published table and those that a CPU of today adds.

    All are listed on every machine; those that cannot run here end as `skipped` with the reason.
    """
    pairs = [
        ("torch", "fp32", "cpu"),
        ("torch", "bf16", "cpu"),
        ("onnxruntime", "fp32", "cpu"),
        ("openvino", "fp32", "cpu"),
        ("openvino", "bf16", "cpu"),
        ("torch", "fp32", "cuda"),
        ("onnxruntime", "fp32", "cuda"),
        ("onnxruntime", "fp16", "cuda"),
        ("onnxruntime-tensorrt", "fp16", "cuda"),
        ("tensorrt", "fp16", "cuda"),
    ]
    full = [Config(models, *pair, weights=weights) for pair in pairs]
    pose = [
        replace(config, pipeline=POSE_ONLY)
        for config in full
        if (config.backend, config.precision) in _POSE_ONLY
    ]
    one_stage = Config("movenet-multipose", "litert", pipeline=ONE_STAGE, weights="trained")
    return [*full, *pose, one_stage]


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
) -> None:
    """Times every configuration on every workload and writes configs.csv and latency.parquet.

    Args:
        configs: Rows of the table.
        workloads: Pictures with their persons.
        run: Where the records go.
        runs: Timed calls of each configuration on each workload, in all blocks together.
        warmup: Least number of untimed calls before the first block.
        blocks: Into how many interleaved blocks the calls are split.
        seed: Decides the order of the blocks.
        threads: CPU threads; None for all cores this process may use.
    """
    loaded: list[tuple[Config, PosePipeline]] = []
    rows = []
    for config in tqdm(configs, desc="loading", unit="configuration"):
        row, pipeline = _load_row(config, workloads[0], threads)
        rows.append(row)
        if pipeline is not None:
            loaded.append((config, pipeline))
    run.write("configs.csv", rows)
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
                for repeat in range(count):
                    samples += _sample_rows(config, pipeline, workload, block, repeat)
                bar.update()
    run.write("latency.parquet", samples)


def _load_row(config: Config, workload: Workload, threads: int | None) -> tuple[dict, PosePipeline | None]:
    row = {
        "config": config.name, "models": config.models, "backend": config.backend,
        "precision": config.precision, "device": config.device, "pipeline": config.pipeline,
        "status": "skipped", "reason": "", "weights": "", "provider_used": "", "threads": np.nan,
        "size_bytes": np.nan, "load_s": np.nan, "first_call_ms": np.nan,
    }  # fmt: skip
    start = time.perf_counter()
    try:
        pipeline = load(config, threads)
    except (Unavailable, AssetError) as error:
        return {**row, "reason": str(error).splitlines()[0]}, None
    except Exception as error:
        return {**row, "status": "failed", "reason": f"{type(error).__name__}: {str(error)[:200]}"}, None
    load_s = time.perf_counter() - start
    first = time_call(pipeline, workload)["total"]
    sizes = [artifact.size_bytes for artifact in pipeline.artifacts]
    return {
        **row, "status": "ok", "weights": pipeline.weights, "provider_used": pipeline.provider_used,
        "threads": pipeline.backends[-1].threads, "size_bytes": float(np.sum(sizes)), "load_s": load_s,
        "first_call_ms": first,
    }, pipeline  # fmt: skip


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
