"""The studies as the command line and the notebooks start them: pictures chosen, records written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pose_utils.errors import InputError, UsageError
from pose_utils.runtime.media import open_source, read_image
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study.annotations import GroundTruth, load_coco_keypoints
from pose_utils.study.benchmark import Config, Workload, make_workloads, run_benchmark, standard_configs
from pose_utils.study.environment import describe_machine
from pose_utils.study.latency import latency_summary, speedups
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import run_robustness
from pose_utils.zoo.samples import sample_pictures

BASELINE = "torch-fp32-cpu"
"""Speed-ups are against this configuration, pose-only ones against its pose-only form."""

BLOCKS = 6


def pictures_with_people(
    folder: Path | None = None, finder: PosePipeline | None = None, limit: int = 8
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Returns (name, image, boxes) of the sample pictures or of a user's folder.

    Args:
        folder: A user's own pictures; None for the sample pictures.
        finder: Finds the persons; None for the best trained models that can be had.
        limit: At most so many pictures.

    Raises:
        InputError: The folder holds no picture.
        AssetError: No sample picture or no trained model can be had.
    """
    finder = finder or open_pipeline("auto")
    paths = open_source(folder).paths if folder else sample_pictures()
    images = [(path.name, read_image(path)) for path in paths[:limit]]
    return [(name, image, finder(image).boxes) for name, image in images]


def bench(
    models: str,
    persons: Sequence[int],
    names: Sequence[str],
    runs: int,
    warmup: int,
    threads: int | None = None,
    images: Path | None = None,
    run: RunFolder | None = None,
    seed: int = 0,
    workloads: Sequence[Workload] | None = None,
    weights: str = "auto",
) -> pd.DataFrame:
    """Times the configurations `names` (none: all) and returns one row for each and number of persons.

    Raises:
        UsageError: A name in `names` does not exist.
    """
    configs = _selected(standard_configs(models, weights), names)
    run = run or RunFolder.create({"command": "bench", "machine": describe_machine()})
    workloads = workloads or make_workloads(pictures_with_people(images), persons)
    run_benchmark(
        configs, workloads, run, runs=runs, warmup=warmup, blocks=BLOCKS, seed=seed, threads=threads
    )
    return bench_table(run)


def bench_table(run: RunFolder) -> pd.DataFrame:
    """Joins configs.csv and latency.parquet: one row for each configuration and number of persons."""
    configs = run.read("configs.csv")[["config", "pipeline", "status", "reason", "weights", "provider_used"]]
    latency = run.read("latency.parquet")
    summary = latency_summary(latency).drop(columns=["pipeline", "weights", "models", "backend", "precision"])
    table = configs.merge(summary, on="config", how="left").merge(
        speedups(latency, BASELINE), on=["config", "persons"], how="left"
    )
    return table.sort_values(["persons", "median_ms"], ignore_index=True)


def robustness(
    pipeline: PosePipeline,
    images: Path,
    annotations: Path | None,
    conditions: Sequence[str],
    max_images: int | None,
    seed: int,
    run_dir: Path | None,
) -> tuple[RunFolder, pd.DataFrame]:
    """Runs the robustness study on a folder, with ground truth where there are annotations.

    Returns:
        The run folder and the rows of metrics.csv.
    """
    info: dict[str, Any] = {"command": "robustness", "machine": describe_machine()}
    exists = run_dir is not None and (run_dir / "run.json").is_file()
    run = RunFolder(run_dir) if exists else RunFolder.create(info, run_dir)
    truth: GroundTruth | None = None
    if annotations is not None:
        truth = load_coco_keypoints(annotations, images)
        paths = [image.path for image in truth.images][:max_images]
        truth = truth.restricted(image.id for image in truth.images[:max_images])
    else:
        paths = open_source(images).paths[:max_images]
    if not paths:
        raise InputError(f"{images} holds no picture")
    metrics = run_robustness(pipeline, paths, conditions, truth=truth, seed=seed, run=run)
    return run, metrics


def _selected(configs: list[Config], names: Sequence[str]) -> list[Config]:
    known = {config.name: config for config in configs}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"there is no configuration {unknown[0]!r}; known: {', '.join(known)}")
    return [known[name] for name in names] if names else configs
