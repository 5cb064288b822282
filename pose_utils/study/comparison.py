"""A benchmark against an earlier one: real changes told from noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from pose_utils.errors import InputError

KEYS = ["config", "pipeline", "persons"]
LEAST_CHANGE = 0.03
"""Changes of less than 3 % are not called real: another start of the same process moves a median as far."""

FALSE_ALARMS = 0.05
"""Chance that any row of a comparison in which nothing changed is called a change (Bonferroni over rows)."""


def read_earlier(path: Path) -> pd.DataFrame:
    """Reads what `bench --json` wrote.

    Raises:
        InputError: It is missing, no JSON, or holds no timed row.
    """
    try:
        rows = pd.DataFrame(json.loads(Path(path).read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not the JSON of an earlier `bench --json`: {error}") from error
    wanted = {*KEYS, "block_medians_ms"}
    if not wanted <= set(rows.columns) or not rows["block_medians_ms"].map(_timed).any():
        raise InputError(f"{path} holds no timed row with {', '.join(sorted(wanted))}")
    return rows


def compare(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Compares the rows that both runs timed.

    The runs were not interleaved, so blocks are compared unpaired: Welch's interval on the log of the
    block medians, which is wide where blocks disagree or are few.

    Args:
        before: From `read_earlier`.
        now: Rows of the same form, such as `bench_table` returns.

    Returns:
        config, pipeline, persons, before_ms, now_ms, change (now / before - 1), its interval change_low and
        change_high, and verdict: "slower", "faster" or "cannot be told apart"; worst change first.
    """
    both = before[[*KEYS, "block_medians_ms"]].merge(now[[*KEYS, "block_medians_ms"]], on=KEYS)
    both = both[both["block_medians_ms_x"].map(_timed) & both["block_medians_ms_y"].map(_timed)]
    level = 1 - FALSE_ALARMS / max(1, len(both))
    pairs = zip(both["block_medians_ms_x"], both["block_medians_ms_y"], strict=True)
    rows = [
        key | _change(*pair, level) for key, pair in zip(both[KEYS].to_dict("records"), pairs, strict=True)
    ]
    columns = [*KEYS, "before_ms", "now_ms", "change", "change_low", "change_high", "verdict"]
    return pd.DataFrame(rows, columns=columns).sort_values("change", ascending=False, ignore_index=True)


def comparison_sentence(changes: pd.DataFrame) -> str:
    """Says what changed, and when everything moved by the same share, that the machine did."""
    if changes.empty:
        return "No configuration was timed in both runs."
    real = changes[changes["verdict"] != "cannot be told apart"]
    text = f"{len(real)} of {len(changes)} rows changed by more than noise explains."
    common = np.expm1(np.log1p(changes["change"]).median())
    together = changes["change"].sub(common).abs().max() < 0.1
    if len(changes) >= 4 and len(real) >= len(changes) / 2 and together:
        text += f" All moved by about {common:+.0%}: rather the machine than a configuration."
    return text


def _change(before: list[float], now: list[float], level: float) -> dict:
    one, other = np.log(before), np.log(now)
    change = float(np.mean(other) - np.mean(one))
    low = high = np.nan
    verdict = "cannot be told apart"
    if min(len(one), len(other)) >= 2:
        interval = stats.ttest_ind(other, one, equal_var=False).confidence_interval(level)
        low, high = float(interval.low), float(interval.high)
        if np.isfinite([low, high]).all() and abs(np.expm1(change)) >= LEAST_CHANGE and not low <= 0 <= high:
            verdict = "slower" if change > 0 else "faster"
    return {
        "before_ms": float(np.median(before)),
        "now_ms": float(np.median(now)),
        "change": float(np.expm1(change)),
        "change_low": float(np.expm1(low)),
        "change_high": float(np.expm1(high)),
        "verdict": verdict,
    }


def _timed(medians: object) -> bool:
    return isinstance(medians, list) and len(medians) > 0
