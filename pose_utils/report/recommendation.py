"""What to deploy: the fastest configuration within one AP point of the best, and the best itself."""

from __future__ import annotations

import pandas as pd

from pose_utils.study.configurations import FULL, FUSED, ONE_STAGE
from pose_utils.study.latency import latency_summary

PIPELINES = (FULL, FUSED, ONE_STAGE)
"""Pipelines that find and pose persons; the pose stage alone doesn't answer the question."""

AFFORDABLE = 0.01
"""One AP point: what the recommended configuration may lose against the most accurate one."""

SAME_AP = 1e-5
"""Closer than this is the same accuracy, of which the faster configuration is named."""


def recommend(latency: pd.DataFrame, accuracy: pd.DataFrame, here: str) -> tuple[str, list[str]] | None:
    """Names both configurations, with the commands that run them.

    Args:
        latency: Rows of latency.parquet; the fewest persons timed decide.
        accuracy: Rows of accuracy.csv.
        here: How the sentence begins, such as "On this machine".

    Returns:
        The sentence and what goes with it; None where no whole pipeline has both a latency and an AP.
    """
    measured = accuracy[accuracy["status"].eq("ok") & accuracy["boxes"].eq("detected")]
    whole = latency[latency["pipeline"].isin(PIPELINES)]
    timed = latency_summary(whole[whole["persons"] == whole["persons"].min()])
    rows = timed.merge(measured[["config", "ap", "ap_low", "ap_high", "images"]], on="config")
    if rows.empty:
        return None
    best = rows[rows["ap"] >= rows["ap"].max() - SAME_AP].iloc[0]
    quick = rows[rows["ap"] > best["ap"] - AFFORDABLE].iloc[0]
    if quick["config"] == best["config"]:
        fastest = best["config"] == rows.iloc[0]["config"]
        why = "both fastest and most accurate" if fastest else "whatever is faster loses 1 AP point or more"
        sentence = f"{here}, use {_described(best)}: {why}"
    else:
        sentence = (
            f"{here}, use {_described(quick)} for less than 1 AP point lost, "
            f"and {_described(best)} for the highest accuracy"
        )
    points = [f"Run it: {command(row)}" for row in ([quick] if quick.equals(best) else [quick, best])]
    points.append(
        f"This AP is of the very files that were timed, on {best['images']} pictures (95 % interval of the "
        f"best {best['ap_low']:.3f} to {best['ap_high']:.3f}). {len(rows)} of the {len(timed)} whole "
        "pipelines timed have trained weights to measure it with."
    )
    return f"{sentence}.", points


def command(row: pd.Series) -> str:
    """Returns the command that runs a row of `latency_summary` on a picture, or makes its fused file."""
    if row["pipeline"] == FUSED:
        return (
            f"python -m pose_utils export --fused --models {row['models']} --precision {row['precision']}, "
            f"whose file {row['backend']} runs alone (examples/fused_onnx.py)"
        )
    return (
        f"python -m pose_utils infer --source PICTURE --models {row['models']} --backend {row['backend']} "
        f"--precision {row['precision']} --device {row['device']}"
    )


def _described(row: pd.Series) -> str:
    models = "" if row["config"].startswith(row["models"]) else f" with {row['models']}"
    return f"{row['config']}{models} (AP {row['ap']:.3f}, {row['median_ms']:.1f} ms per frame)"
