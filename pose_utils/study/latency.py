"""Timed calls summarised per configuration, with intervals; every latency table and figure starts here."""

from __future__ import annotations

import numpy as np
import pandas as pd


def name_models(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns `rows` with the models written behind `config` where one config ran with several models."""
    several = rows.groupby("config")["models"].transform("nunique") > 1
    return rows.assign(config=rows["config"].where(~several, rows["config"] + " " + rows["models"]))


def latency_summary(
    latency: pd.DataFrame, stage: str = "total", draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Summarises timed calls by configuration, pipeline and person count.

    The interval resamples whole blocks, because calls inside a block share the machine's state; with
    fewer than three blocks it resamples calls.

    Args:
        latency: Rows of latency.parquet.
        stage: The stage to summarise.
        draws: Bootstrap resamples.
        seed: Of the resampling.

    Returns:
        One row for each config, pipeline and persons, fastest first: median_ms with low and high of its
        95 % interval, mean_ms, p90_ms, p95_ms, p99_ms, fps, calls, models, backend,
        precision, device, weights.
    """
    keys = ["config", "pipeline", "persons"]
    rows = []
    for values, group in name_models(latency[latency["stage"] == stage]).groupby(keys, sort=False):
        low, high = np.quantile(bootstrap_medians(_blocks(group), draws, seed), [0.025, 0.975])
        ms = group["ms"]
        first = group.iloc[0]
        rows.append(
            dict(zip(keys, values, strict=True))
            | {"models": first["models"], "backend": first["backend"], "precision": first["precision"],
               "device": first["device"], "weights": first["weights"], "median_ms": ms.median(),
               "low": float(low), "high": float(high),
               "mean_ms": ms.mean(), "p90_ms": ms.quantile(.9), "p95_ms": ms.quantile(.95),
               "p99_ms": ms.quantile(.99), "fps": 1000 / ms.median(), "calls": len(ms)}
        )  # fmt: skip
    columns = [
        *keys, "models", "backend", "precision", "device", "weights", "median_ms", "low", "high",
        "mean_ms", "p90_ms", "p95_ms", "p99_ms", "fps", "calls",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).sort_values("median_ms", ignore_index=True)


def speedups(latency: pd.DataFrame, baseline: str, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Returns how many times faster each configuration is than its like-for-like baseline.

    Full pipelines are compared with `baseline`, pose-only rows with its pose-only form, each at the
    same number of persons. One-stage rows, which do another job, are compared with the full pipeline.

    Args:
        latency: Rows of latency.parquet.
        baseline: A config name, such as "torch-fp32-cpu".
        draws: Bootstrap resamples of blocks, drawn for both sides alike, because blocks are interleaved.
        seed: Of the resampling.

    Returns:
        config, persons, baseline, speedup and its 95 % interval speedup_low, speedup_high. Rows whose
        baseline was not timed are left out.
    """
    rows = []
    totals = latency[latency["stage"] == "total"]
    groups = dict(list(totals.groupby(["config", "persons"], sort=False)))
    for (config, persons), group in groups.items():
        against = f"{baseline}-pose" if group["pipeline"].iloc[0] == "pose" else baseline
        if (against, persons) not in groups:
            continue
        reference = groups[against, persons]
        ratios = bootstrap_medians(_blocks(reference), draws, seed) / bootstrap_medians(
            _blocks(group), draws, seed
        )
        low, high = np.quantile(ratios, [0.025, 0.975])
        value = reference["ms"].median() / group["ms"].median()
        rows.append((config, persons, against, value, float(low), float(high)))
    columns = ["config", "persons", "baseline", "speedup", "speedup_low", "speedup_high"]
    return pd.DataFrame(rows, columns=columns)


def bootstrap_medians(blocks: list[np.ndarray], draws: int, seed: int) -> np.ndarray:
    """Returns `draws` medians of resampled blocks (or calls, where there are fewer than three blocks)."""
    rng = np.random.default_rng(seed)
    if len(blocks) < 3:
        calls = np.concatenate(blocks)
        return np.median(rng.choice(calls, (draws, len(calls))), axis=1)
    picks = rng.integers(0, len(blocks), (draws, len(blocks)))
    return np.array([np.median(np.concatenate([blocks[block] for block in pick])) for pick in picks])


def _blocks(group: pd.DataFrame) -> list[np.ndarray]:
    return [part.to_numpy() for _, part in group.groupby("block")["ms"]]
