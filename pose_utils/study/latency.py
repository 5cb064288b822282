"""Timed calls summarised per configuration, with intervals; every latency table and figure starts here."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from pose_utils.study.configurations import VIDEO


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
        95 % interval, mean_ms, p90_ms, p95_ms, p99_ms, slowest_ms, fps, calls, outliers (calls beyond
        three interquartile ranges above the third quartile; they are counted everywhere), models, backend,
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
               "p99_ms": ms.quantile(.99), "slowest_ms": ms.max(), "fps": 1000 / ms.median(),
               "calls": len(ms), "outliers": count_outliers(ms)}
        )  # fmt: skip
    columns = [
        *keys, "models", "backend", "precision", "device", "weights", "median_ms", "low", "high",
        "mean_ms", "p90_ms", "p95_ms", "p99_ms", "slowest_ms", "fps", "calls", "outliers",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).sort_values("median_ms", ignore_index=True)


def speedups(latency: pd.DataFrame, baseline: str, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Returns how many times faster each configuration is than its like-for-like baseline.

    Full pipelines are compared with `baseline`, pose-only rows with its pose-only form, each at the
    same number of persons. Rows of other models, and video whose detector rests, do another job and are
    compared with the full pipeline as well; their baseline then names its models, or that it rests never.

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
        if group["pipeline"].iloc[0] == VIDEO:
            against += " (detecting in every frame)"
        if reference["models"].iloc[0] != group["models"].iloc[0]:
            against += f" ({reference['models'].iloc[0]})"
        value = reference["ms"].median() / group["ms"].median()
        rows.append((config, persons, against, value, float(low), float(high)))
    columns = ["config", "persons", "baseline", "speedup", "speedup_low", "speedup_high"]
    return pd.DataFrame(rows, columns=columns)


def not_told_apart(latency: pd.DataFrame, level: float = 0.99) -> pd.DataFrame:
    """Says which configurations this run cannot tell apart: same pipeline, same persons, no clear order.

    Blocks are interleaved, so the medians of one block share the machine's state: the interval is that
    of the mean log ratio of block medians (paired t, which stays honest with few blocks). 99 %, because
    a table compares many pairs.

    Returns:
        config, persons, cannot_tell_from (names, "" where there is none).
    """
    totals = name_models(latency[latency["stage"] == "total"])
    rows = []
    for (_, persons), group in totals.groupby(["pipeline", "persons"], sort=False):
        logs = np.log(group.pivot_table(index="block", columns="config", values="ms", aggfunc="median"))
        alike: dict[str, list[str]] = {name: [] for name in logs}
        for one, other in combinations(logs, 2):
            if _around_zero((logs[one] - logs[other]).dropna().to_numpy(), level):
                alike[one].append(other)
                alike[other].append(one)
        rows += [(name, persons, ", ".join(others)) for name, others in alike.items()]
    return pd.DataFrame(rows, columns=["config", "persons", "cannot_tell_from"])


def block_medians(latency: pd.DataFrame) -> pd.DataFrame:
    """Returns config, persons and block_medians_ms, a list in the order of the blocks."""
    totals = name_models(latency[latency["stage"] == "total"])
    medians = totals.groupby(["config", "persons", "block"])["ms"].median()
    return medians.groupby(["config", "persons"]).agg(list).rename("block_medians_ms").reset_index()


def count_outliers(ms: pd.Series) -> int:
    """Returns how many calls lie beyond three interquartile ranges above the third quartile (Tukey)."""
    first, third = ms.quantile([0.25, 0.75])
    return int((ms > third + 3 * (third - first)).sum())


def _around_zero(differences: np.ndarray, level: float) -> bool:
    if len(differences) < 2:
        return True
    half = stats.t.ppf((1 + level) / 2, len(differences) - 1) * stats.sem(differences)
    return bool(abs(differences.mean()) <= half)


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
