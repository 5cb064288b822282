"""The answer of a run in sentences, each computed from its records; what wasn't measured is said too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pose_utils.report.reading_robustness import bottleneck_sentence
from pose_utils.report.recommendation import PIPELINES, command, recommend
from pose_utils.report.words import readable
from pose_utils.study.attribution import attribution_table
from pose_utils.study.latency import latency_summary, name_models, speedups
from pose_utils.zoo.choice import BUNDLED

BASELINE = ("torch", "fp32")
"""Back end and precision that speed-ups are counted from, of the same models on the same device."""


@dataclass(frozen=True)
class Answer:
    """The sentence on top of the page and what goes with it, as plain text."""

    headline: str
    points: tuple[str, ...] = ()


def answer(tables: Mapping[str, pd.DataFrame], info: Mapping[str, object]) -> Answer:
    """Answers the question of the project for one run.

    Args:
        tables: The tables of the run by file name; those that it hasn't written are absent or empty.
        info: run.json, or an empty mapping.
    """
    there = {name: table for name, table in tables.items() if table is not None and not table.empty}
    headline, points = _speed(there.get("latency.parquet"), machine(info))
    advised = False
    if "latency.parquet" in there and "accuracy.csv" in there:
        advice = recommend(there["latency.parquet"], there["accuracy.csv"], _here(machine(info)))
        if advised := advice is not None:
            # How fast the models of the comparison are stays the first thing below the advice.
            headline, points = advice[0], [*advice[1], headline, *points]
    if "metrics.csv" in there or not advised:
        points += _accuracy(there.get("metrics.csv"))
    points += _parity(there.get("parity.csv"))
    points += _left_out(there.get("backends.csv"), there.get("configs.csv"))
    return Answer(headline, tuple(points))


def machine(info: Mapping[str, object]) -> str:
    """Returns the name of the processor and the graphics card in `info`, as far as it says."""
    nested = [part for part in info.values() if isinstance(part, Mapping)]
    named = []
    for key in ("cpu", "gpu"):
        values = [part.get(key) for part in (info, *nested)]
        value = next((value for value in values if isinstance(value, str) and value), None)
        if value and value.lower() not in ("none", "no", "unknown"):
            named.append(value)
    return ", ".join(named)


def _here(where: str) -> str:
    return f"On this machine ({where})" if where else "On this machine"


def _speed(latency: pd.DataFrame | None, where: str) -> tuple[str, list[str]]:
    here = _here(where)
    nothing = f"{here} this run timed no whole pipeline, so which runtime to use stays open."
    if latency is None:
        return nothing, []
    whole = name_models(latency[latency["pipeline"].isin(PIPELINES) & latency["stage"].eq("total")])
    if whole.empty:
        return nothing, []
    whole = whole[whole["persons"] == whole["persons"].min()]
    rows = latency_summary(whole)
    # One-stage models are another trade of accuracy: they answer only where nothing else ran.
    two_stage = rows[rows["pipeline"] == "detect+pose"]
    rows = two_stage if len(two_stage) else rows
    # The models that the table is about, not those that stand beside them on fewer back ends.
    rows = rows[rows["models"] == rows["models"].mode()[0]]
    best = rows.iloc[0]
    persons = "one person" if best["persons"] == 1 else f"{best['persons']} persons"
    headline = (
        f"{here}, {best['config']} runs {best['models']} fastest: {_ms(best['median_ms'])} ms per frame "
        f"with {persons} (95 % interval {_ms(best['low'])} to {_ms(best['high'])})"
    )
    base = rows[
        (rows["backend"] == BASELINE[0]) & (rows["precision"] == BASELINE[1])
        & (rows["models"] == best["models"]) & (rows["device"] == best["device"])
    ]  # fmt: skip
    if len(base) and base.iloc[0]["config"] != best["config"]:
        ratios = speedups(whole, base.iloc[0]["config"]).set_index("config")
        value, low, high = ratios.loc[best["config"], ["speedup", "speedup_low", "speedup_high"]]
        headline += f", {value:.1f} times as fast as {base.iloc[0]['config']} ({low:.1f} to {high:.1f})"
    points = []
    close = rows[(rows["low"] <= best["high"]) & (rows["config"] != best["config"])]["config"]
    if len(close):
        points.append(f"This run can't tell {', '.join(close)} from it: their intervals overlap.")
    if best["weights"] != "trained":
        points.append(
            "Its weights are random: the latency is that of the exact architecture, "
            "of its accuracy this run says nothing."
        )
        proven = rows[rows["precision"] != "int8"]
        if best["precision"] == "int8" and len(proven):
            safe = proven.iloc[0]
            points.append(
                f"INT8 can cost accuracy that random weights don't show. The fastest without it: "
                f"{safe['config']}, {_ms(safe['median_ms'])} ms."
            )
    when = "Run it" if best["weights"] == "trained" else "Once its trained weights are here"
    points.append(f"{when}: {command(best)}")
    return headline + ".", points


def _accuracy(metrics: pd.DataFrame | None) -> list[str]:
    if metrics is None:
        return ["Accuracy was not measured in this run."]
    rows = metrics[metrics["boxes"].eq("detected") & metrics["condition"].ne("corrupted")]
    for metric, words in (("keypoint_ap", "keypoint AP"), ("persons_kept", "share of persons kept")):
        values = rows[rows["metric"] == metric].dropna(subset=["value"])
        if values.empty:
            continue
        clean = values[values["condition"] == "clean"]
        points = []
        if len(clean) and metric == "keypoint_ap":
            row = clean.iloc[0]
            points.append(
                f"{row['models']} reaches keypoint AP {row['value']:.3f} "
                f"({row['low']:.3f} to {row['high']:.3f}) on {row['n']} clean pictures, on {row['backend']}."
            )
        else:
            points.append("No ground truth here: predictions are compared with those on the clean picture.")
        hurt = values[values["condition"] != "clean"]
        if len(hurt):
            row = hurt.loc[hurt["value"].idxmin()]
            severity = f" (severity {row['severity']})" if row["severity"] else ""
            points.append(
                f"{readable(row['condition']).capitalize()}{severity} costs most: {words} "
                f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})."
            )
        if not attribution_table(metrics).empty:
            points.append(bottleneck_sentence(metrics))
        for models in sorted(set(values["models"]) & set(BUNDLED)):
            points.append(f"All this is of {models}: small demo weights that stand in for released ones.")
        return points
    return ["Accuracy was not measured in this run."]


def _parity(parity: pd.DataFrame | None) -> list[str]:
    if parity is None:
        return []
    done = parity[(parity["status"] == "ok") & parity["passed"].isin(["yes", "no"])]
    passed = int(done["passed"].eq("yes").sum())
    return (
        [f"{passed} of {len(done)} comparisons with mmdet and mmpose stay within their tolerance."]
        if len(done)
        else []
    )


def _left_out(backends: pd.DataFrame | None, configs: pd.DataFrame | None) -> list[str]:
    points = []
    for table, words in ((backends, "models on back ends"), (configs, "configurations")):
        if table is None:
            continue
        counts = table["status"].value_counts()
        lost = [f"{counts[word]} {word}" for word in ("skipped", "failed") if counts.get(word)]
        if lost:
            points.append(f"Of {len(table)} {words}, {' and '.join(lost)}; the tables say why.")
    return points


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
