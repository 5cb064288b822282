"""The studies as the command line starts them: options in, records and a table out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study.artefact_accuracy import measure_accuracy
from pose_utils.study.benchmark import make_workloads, run_benchmark
from pose_utils.study.configurations import POSE_SIZES, select_configs, standard_configs
from pose_utils.study.environment import describe_machine
from pose_utils.study.latency import block_medians, latency_summary, not_told_apart, speedups
from pose_utils.study.material import choose_material, find_people
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import run_robustness
from pose_utils.zoo.samples import sample_pictures

BASELINE = "torch-fp32-cpu"
"""Speed-ups are against this configuration, pose-only ones against its pose-only form."""

OTHER_MODELS = (
    "rtmdet-nano+rtmpose-m", "rtmdet-nano+rtmpose-t", "rtmdet-m+rtmpose-t", "rtmdet-m+rtmpose-s",
    "rtmdet-m+rtmpose-m", "rtmdet-m+rtmpose-l",
)  # fmt: skip
"""Pairs that stand beside the models of the table: another detector, other pose models."""

BLOCKS = 6
CALLS_A_BLOCK = 5
"""More calls than both make are split into more blocks, so that an interrupted benchmark loses little."""
PICTURES = 8


def bench(
    models: str,
    persons: Sequence[int],
    names: Sequence[str],
    runs: int,
    warmup: int,
    threads: int | None = None,
    images: Path | None = None,
    ap_pictures: int = 0,
    cold_start: bool = True,
    run_dir: Path | None = None,
) -> tuple[RunFolder, pd.DataFrame]:
    """Times the configurations `names` (none: all) on the sample pictures or a folder of the user's.

    Args:
        models: "detector+pose".
        persons: Numbers of persons.
        names: Names of configurations; those of other models are known too.
        runs: Timed calls for each configuration and number of persons.
        warmup: Least number of untimed calls.
        threads: CPU threads; None for all cores this process may use.
        images: A folder of the user's pictures.
        ap_pictures: Measure keypoint AP on so many annotated pictures, where there are any; 0 for none.
        cold_start: Open each configuration in a process of its own, for its memory and start.
        run_dir: Where the records go, or the folder of an interrupted benchmark that is to go on; None for a
            new one.

    Returns:
        The run folder, and one row for each configuration and number of persons.

    Raises:
        UsageError: A name in `names` does not exist.
    """
    configs = select_configs(
        standard_configs(
            models, others=OTHER_MODELS if names else (), compiled=bool(names), sizes=POSE_SIZES
        ),
        names,
    )
    files = choose_material(str(images)).paths if images else sample_pictures()
    workloads = make_workloads(find_people(files, open_pipeline("auto"), PICTURES), persons)
    run = _open_run("bench", run_dir)
    run_benchmark(
        configs,
        workloads,
        run,
        runs=runs,
        warmup=warmup,
        blocks=max(BLOCKS, runs // CALLS_A_BLOCK),
        threads=threads,
        cold_start=cold_start,
    )
    if ap_pictures:
        measure_accuracy(configs, run, choose_material(limit=ap_pictures).truth, threads=threads)
    return run, bench_table(run)


def bench_table(run: RunFolder) -> pd.DataFrame:
    """Joins the records of a benchmark: one row for each configuration and number of persons."""
    columns = [
        "config", "models", "pipeline", "status", "reason", "weights", "provider_used", "load_s",
        "first_call_ms", "cold_start", "peak_memory_mb", "gpu_memory_mb",
    ]  # fmt: skip
    latency, configs = run.read("latency.parquet"), run.read("configs.csv")
    measured = [
        "config", "persons", "median_ms", "low", "high", "mean_ms", "p90_ms", "p95_ms", "p99_ms",
        "slowest_ms", "fps", "calls", "outliers",
    ]  # fmt: skip
    table = configs[columns].assign(size_mb=configs["size_bytes"] / 1e6)
    table = table.merge(latency_summary(latency)[measured], on="config", how="left")
    for more in (speedups(latency, BASELINE), not_told_apart(latency), _energy(run), block_medians(latency)):
        table = table.merge(more, on=["config", "persons"], how="left")
    accuracy = ["config", "ap", "ap_low", "ap_high", "loss", "loss_low", "loss_high", "boxes", "images"]
    if run.has("accuracy.csv"):
        table = table.merge(run.read("accuracy.csv")[accuracy], on="config", how="left")
    return table.sort_values(["persons", "median_ms"], ignore_index=True)


def _energy(run: RunFolder) -> pd.DataFrame:
    """Returns config, persons and the joules of one frame, NaN where the machine does not tell them."""
    sums = run.read("machine.csv").groupby(["config", "persons"])[["cpu_joules", "gpu_joules", "calls"]]
    sums = sums.sum(min_count=1)
    frames = sums.pop("calls")
    return sums.div(frames, axis=0).add_suffix("_per_frame").reset_index()


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
    run = _open_run("robustness", run_dir)
    metrics = run_robustness(pipeline, material.paths, conditions, truth=material.truth, seed=seed, run=run)
    return run, metrics


def _open_run(command: str, run_dir: Path | None) -> RunFolder:
    """Opens a run folder that is there, or makes one that says which command and machine it is of."""
    if run_dir is not None and (run_dir / "run.json").is_file():
        return RunFolder(run_dir)
    return RunFolder.create({"command": command, "machine": describe_machine()}, run_dir)
