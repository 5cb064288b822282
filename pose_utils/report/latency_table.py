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
        blocks = [part.to_numpy() for _, part in group.groupby("block")["ms"]]
        low, high = _median_interval(blocks, draws, seed)
        ms = group["ms"]
        first = group.iloc[0]
        rows.append(
            dict(zip(keys, values, strict=True))
            | {"models": first["models"], "backend": first["backend"], "precision": first["precision"],
               "device": "cuda" if "cuda" in str(values[0]).split("-") else "cpu",
               "weights": first["weights"], "median_ms": ms.median(), "low": low, "high": high,
               "mean_ms": ms.mean(), "p90_ms": ms.quantile(.9), "p95_ms": ms.quantile(.95),
               "p99_ms": ms.quantile(.99), "fps": 1000 / ms.median(), "calls": len(ms)}
        )  # fmt: skip
    columns = [
        *keys, "models", "backend", "precision", "device", "weights", "median_ms", "low", "high",
        "mean_ms", "p90_ms",
        "p95_ms", "p99_ms", "fps", "calls",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).sort_values("median_ms", ignore_index=True)


def bootstrap_medians(blocks: list[np.ndarray], draws: int, seed: int) -> np.ndarray:
    """Returns `draws` medians of resampled blocks (or calls, where there are fewer than three blocks)."""
    rng = np.random.default_rng(seed)
    if len(blocks) < 3:
        calls = np.concatenate(blocks)
        return np.median(rng.choice(calls, (draws, len(calls))), axis=1)
    picks = rng.integers(0, len(blocks), (draws, len(blocks)))
    return np.array([np.median(np.concatenate([blocks[block] for block in pick])) for pick in picks])


def _median_interval(blocks: list[np.ndarray], draws: int, seed: int) -> tuple[float, float]:
    low, high = np.quantile(bootstrap_medians(blocks, draws, seed), [0.025, 0.975])
    return float(low), float(high)
