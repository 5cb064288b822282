"""Latency of whole pipelines: interleaved blocks, warm-up, every raw sample kept.

All configurations are loaded first; blocks of calls are then run in seeded random order, so that a
drift of the machine's speed hits all alike. Every configuration sees the same pictures and poses the same
persons: the detector runs on the picture and is timed, and the pose stage gets reference boxes, so
that one runtime's extra detection does not count as slowness and stand-in weights can be timed too.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from tqdm import tqdm

from pose_utils.errors import AssetError, Unavailable
from pose_utils.study.cold_start import measure_cold_start
from pose_utils.study.configurations import FULL, ONE_STAGE, POSE_ONLY, Config, standard_configs
from pose_utils.study.machine_state import MachineState
from pose_utils.study.records import RunFolder
from pose_utils.study.timed_frames import (
    Opened,
    Workload,
    about,
    load,
    make_workloads,
    time_call,
    unfit,
    warm_up,
)

__all__ = [
    "FULL", "ONE_STAGE", "POSE_ONLY", "Config", "Workload", "load", "make_workloads", "run_benchmark",
    "standard_configs", "time_call", "warm_up",
]  # fmt: skip

ALONE, SHARED = "own process", "shared process"
"""Where load and first call were measured: the shared process holds every configuration's libraries."""

_TABLES = ("configs.csv", "latency.parquet", "machine.csv")


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
    left_out: Mapping[str, str] | None = None,
) -> None:
    """Times every configuration on every workload and writes configs.csv, latency.parquet, machine.csv.

    A block that is done is kept at once: the same call on the run folder of an interrupted benchmark goes
    on behind it. A finished benchmark is timed anew.

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
        left_out: Precisions whose rows are not run, with the reason that these rows give.
    """
    left_out = dict(left_out or {})
    asked = [(work.name, work.persons) for work in workloads]
    request = repr((configs, asked, runs, blocks, seed, threads, cold_start, left_out))
    key = hashlib.sha256(request.encode()).hexdigest()[:12]
    rows, pairs = _load_all(configs, workloads, run, key, threads, cold_start, left_out)
    run.write("configs.csv", rows)
    order = np.random.default_rng(seed)
    calls = [max(1, len(part)) for part in np.array_split(np.arange(runs), min(blocks, runs))]
    done: dict[str, list[pd.DataFrame]] = {"latency.parquet": [], "machine.csv": []}
    warm = False
    with tqdm(total=len(pairs) * (len(calls) + 1), desc="timing", unit="block") as bar:
        for block, count in enumerate(calls):
            shuffled = [pairs[index] for index in order.permutation(len(pairs))]
            part = f"{key}-block-{block}"
            if not all(run.has_part(table, part) for table in done):
                if not warm:
                    for _, opened, workload in pairs:
                        warm_up(opened, workload, warmup)
                        bar.update()
                    warm = True
                samples, states = _time_block(shuffled, block, count, bar)
                run.part("latency.parquet", part, lambda samples=samples: samples)
                run.part("machine.csv", part, lambda states=states: states)
            else:
                bar.update(len(pairs))
            for table, parts in done.items():
                parts.append(run.part(table, part, list))
    for table, parts in done.items():
        run.write(table, pd.concat(parts, ignore_index=True))
    for table in _TABLES:
        shutil.rmtree(run.part_path(table, key).parent, ignore_errors=True)


Pair = tuple[Config, Opened, Workload]


def _load_all(
    configs: Sequence[Config],
    workloads: Sequence[Workload],
    run: RunFolder,
    key: str,
    threads: int | None,
    cold_start: bool,
    left_out: Mapping[str, str],
) -> tuple[list[dict], list[Pair]]:
    """Opens every configuration; returns the rows of configs.csv and what is to be timed on what."""
    rows: list[dict] = []
    pairs: list[Pair] = []
    for config in tqdm(configs, desc="loading", unit="configuration"):
        row, opened, fitting = _load_row(config, workloads, threads, left_out.get(config.precision, ""))
        pairs += [(config, opened, work) for work in fitting]
        if opened is not None and cold_start:
            row = run.part(
                "configs.csv", f"{key}-{config.name}", partial(_alone, row, config, workloads[0], threads)
            )
            row = row.to_dict("records")[0]
        rows.append(row)
    return rows, pairs


def _time_block(pairs: Sequence[Pair], block: int, count: int, bar: tqdm) -> tuple[list[dict], list[dict]]:
    """Times `count` calls of each pair; returns rows of latency.parquet and of machine.csv."""
    machine, samples, states = MachineState(), [], []
    for config, opened, workload in pairs:
        # Untimed: the caches and thread pools of the configuration before are still warm.
        time_call(opened, workload)
        weights = about(opened)["weights"]
        before = machine.read()
        for repeat in range(count):
            samples += _sample_rows(config, opened, workload, block, repeat, weights)
        state = machine.between(before, machine.read())
        states.append(
            {"config": config.name, "persons": workload.persons, "block": block, "calls": count} | state
        )
        bar.update()
    return samples, states


def _load_row(
    config: Config, workloads: Sequence[Workload], threads: int | None, left_out: str
) -> tuple[dict, Opened | None, list[Workload]]:
    """Opens a configuration; returns its row, what was opened, and the workloads that it can be timed on."""
    row = {
        "config": config.name, "models": config.models, "backend": config.backend,
        "precision": config.precision, "device": config.device, "pipeline": config.pipeline,
        "status": "skipped", "reason": "", "weights": "", "provider_used": "", "threads": np.nan,
        "size_bytes": np.nan, "load_s": np.nan, "first_call_ms": np.nan, "digest": "",
        "cold_start": "", "peak_memory_mb": np.nan, "gpu_memory_mb": np.nan,
    }  # fmt: skip
    if left_out:
        return {**row, "reason": left_out}, None, []
    start = time.perf_counter()
    try:
        opened = load(config, threads)
        load_s = time.perf_counter() - start
        first = time_call(opened, workloads[0])["total"]
        problems = [unfit(opened, work) for work in workloads]
    except (Unavailable, AssetError) as error:
        return {**row, "reason": str(error).splitlines()[0]}, None, []
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        return {**row, "status": "failed", "reason": reason}, None, []
    row |= {"status": "ok", "reason": "; ".join(filter(None, problems)), "cold_start": SHARED}
    row |= {"load_s": load_s, "first_call_ms": first, **about(opened)}
    return row, opened, [work for work, problem in zip(workloads, problems, strict=True) if not problem]


def _alone(row: dict, config: Config, workload: Workload, threads: int | None) -> list[dict]:
    """The row with what a process of its own adds; where that fails, figures stay those of this process."""
    found = measure_cold_start(config, workload.image, workload.boxes, threads)
    problem = found.pop("problem")
    return [
        row | ({"cold_start": f"{SHARED}; alone: {problem}"} if problem else found | {"cold_start": ALONE})
    ]


def _sample_rows(
    config: Config, opened: Opened, workload: Workload, block: int, repeat: int, weights: str
) -> list[dict]:
    return [
        {
            "config": config.name, "models": config.models, "backend": config.backend,
            "precision": config.precision, "device": config.device, "pipeline": config.pipeline,
            "stage": stage,
            "persons": workload.persons, "block": block, "repeat": repeat, "ms": ms,
            "weights": weights,
        }
        for stage, ms in time_call(opened, workload).items()
    ]  # fmt: skip
