"""The studies as the command line starts them: options in, records and a table out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pose_utils.errors import UsageError
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study.benchmark import Config, make_workloads, run_benchmark, standard_configs
from pose_utils.study.environment import describe_machine
from pose_utils.study.latency import latency_summary, speedups
from pose_utils.study.material import choose_material, find_people
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import run_robustness
from pose_utils.zoo.samples import sample_pictures

BASELINE = "torch-fp32-cpu"
"""Speed-ups are against this configuration, pose-only ones against its pose-only form."""

BLOCKS = 6
PICTURES = 8


def bench(
    models: str,
    persons: Sequence[int],
    names: Sequence[str],
    runs: int,
    warmup: int,
    threads: int | None = None,
    images: Path | None = None,
) -> tuple[RunFolder, pd.DataFrame]:
    """Times the configurations `names` (none: all) on the sample pictures or a folder of the user's.

    Returns:
        The run folder, and one row for each configuration and number of persons.

    Raises:
        UsageError: A name in `names` does not exist.
    """
    configs = _selected(standard_configs(models), names)
    files = choose_material(str(images)).paths if images else sample_pictures()
    workloads = make_workloads(find_people(files, open_pipeline("auto"), PICTURES), persons)
    run = RunFolder.create({"command": "bench", "machine": describe_machine()})
    run_benchmark(configs, workloads, run, runs=runs, warmup=warmup, blocks=BLOCKS, threads=threads)
    return run, bench_table(run)


def bench_table(run: RunFolder) -> pd.DataFrame:
    """Joins configs.csv and latency.parquet: one row for each configuration and number of persons."""
    columns = ["config", "models", "pipeline", "status", "reason", "weights", "provider_used"]
    latency = run.read("latency.parquet")
    measured = ["config", "persons", "median_ms", "low", "high", "p95_ms", "p99_ms", "fps", "calls"]
    table = run.read("configs.csv")[columns].merge(
        latency_summary(latency)[measured], on="config", how="left"
    )
    table = table.merge(speedups(latency, BASELINE), on=["config", "persons"], how="left")
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
    material = choose_material(str(images), str(annotations or ""), max_images)
    exists = run_dir is not None and (run_dir / "run.json").is_file()
    info = {"command": "robustness", "machine": describe_machine()}
    run = RunFolder(run_dir) if exists else RunFolder.create(info, run_dir)
    metrics = run_robustness(pipeline, material.paths, conditions, truth=material.truth, seed=seed, run=run)
    return run, metrics


def _selected(configs: list[Config], names: Sequence[str]) -> list[Config]:
    known = {config.name: config for config in configs}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"there is no configuration {unknown[0]!r}; known: {', '.join(known)}")
    return [known[name] for name in names] if names else configs
