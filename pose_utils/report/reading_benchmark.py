"""The tables and sentences of notebook 04, computed from the records of the benchmark."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pose_utils.report.published import published_benchmark
from pose_utils.study.latency import latency_summary, name_models
from pose_utils.study.records import RunFolder

NOT_PUBLISHED = "not published"

_PERSON_STAGES = ("crop", "pose", "keypoints")


def published_names(rows: pd.DataFrame) -> pd.Series:
    """Returns the published name of each row of configs.csv, "not published" where it has none."""
    keys = ["backend", "device", "precision", "pipeline"]
    # Other models on the same runtime are no published configuration.
    main = rows.loc[rows["config"].str.startswith(tuple(rows["backend"].unique())), "models"].mode()
    theirs = rows[keys].merge(published_benchmark(), on=keys, how="left")["name"].to_numpy()
    return pd.Series(
        np.where(rows["models"].isin(main) & pd.notna(theirs), theirs, NOT_PUBLISHED), rows.index, "str"
    )


def every_row(configs: pd.DataFrame, latency: pd.DataFrame) -> pd.DataFrame:
    """Returns each configuration with its published name, status and reason, the published eight first.

    published_ms is the median of that name on a T4, median_ms ours at the fewest persons that were timed.
    """
    table = configs.assign(name=published_names(configs))
    table["published_ms"] = table["name"].map(published_benchmark().set_index("name")["median_ms"])
    fewest = latency_summary(latency[latency["persons"] == latency["persons"].min()])
    table["median_ms"] = table["config"].map(fewest.set_index("config")["median_ms"])
    first = table["name"].ne(NOT_PUBLISHED)
    return pd.concat([table[first], table[~first]], ignore_index=True)


def speed_table(table: pd.DataFrame) -> pd.DataFrame:
    """Shapes rows of `bench_table` that ran: intervals as text, speed-up with its baseline, AP in points."""
    ran = table[table["status"] == "ok"].reset_index(drop=True)
    return ran.assign(
        interval=_interval(ran, "low", "high", ".1f"),
        times=[
            ""
            if np.isnan(row.speedup)
            else f"{row.speedup:.2f} ({row.speedup_low:.2f} to {row.speedup_high:.2f})"
            for row in ran.itertuples()
        ],
        baseline=ran["baseline"].fillna("not timed"),
        points=[_points(ap) for ap in ran["ap"]] if "ap" in ran else "not measured",
        alike=ran["cannot_tell_from"].fillna("").map(lambda names: len(names.split(", ")) if names else 0),
        energy=[_energy(row.cpu_joules_per_frame, row.gpu_joules_per_frame) for row in ran.itertuples()],
    )


def alike_table(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of `bench_table` that this run cannot tell from another one, and from which."""
    return table[table["cannot_tell_from"].fillna("").ne("")].reset_index(drop=True)


def cost_table(configs: pd.DataFrame) -> pd.DataFrame:
    """Shapes rows of configs.csv that ran: file size, memory and cold start, and where they were measured."""
    ran = configs[configs["status"] == "ok"].reset_index(drop=True)
    return ran.assign(size_mb=ran["size_bytes"] / 1e6)


def accuracy_table(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Returns what was measured, AP and its loss in points of 100 with their intervals."""
    done = accuracy[accuracy["status"] == "ok"].reset_index(drop=True)
    points = done.assign(
        **{name: done[name] * 100 for name in ("ap", "ap_low", "ap_high", "loss", "loss_low", "loss_high")}
    )
    return points.assign(
        interval=_interval(points, "ap_low", "ap_high", ".1f"),
        loss_interval=_interval(points, "loss_low", "loss_high", ".2f"),
        files=points["digest"].map(lambda text: ", ".join(part[:12] for part in text.split("+"))),
    )


def accuracy_sentence(accuracy: pd.DataFrame) -> str:
    """Says on what AP was measured, or why it was not."""
    done = accuracy[accuracy["status"] == "ok"]
    if done.empty:
        reasons = accuracy.loc[~accuracy["reason"].str.startswith("did not run"), "reason"].value_counts()
        return f"AP was not measured: {reasons.index[0] if len(reasons) else 'nothing ran'}."
    row = done.iloc[0]
    return (
        f"Keypoint AP of {len(done)} of {len(accuracy)} configurations on {row['images']} annotated pictures "
        f"with {row['persons']} persons; each row is of the very files that were timed."
    )


def accuracy_and_latency(latency: pd.DataFrame, accuracy: pd.DataFrame) -> pd.DataFrame:
    """Joins both for the Pareto front: whole pipelines with a measured AP, at the fewest persons timed."""
    rows = latency_summary(latency[latency["persons"] == latency["persons"].min()])
    done = accuracy.loc[
        accuracy["status"].eq("ok") & accuracy["boxes"].eq("detected"), ["config", "ap", "ap_low", "ap_high"]
    ]
    joined = rows.merge(done, on="config")
    return joined.rename(columns={"ap": "accuracy", "ap_low": "accuracy_low", "ap_high": "accuracy_high"})


def noise_sentence(machine: pd.DataFrame, latency: pd.DataFrame) -> str:
    """Says how quiet the machine was and what it did not tell."""
    others, stolen = machine["others_cores"].mean(), machine["stolen_share"].max()
    text = f"While calls were timed, other processes kept {others:.2f} cores busy on average"
    text += f" and a hypervisor took up to {stolen:.0%} of the time." if stolen > 0 else "."
    text += f" {_clocks(machine)}"
    events = machine["throttled"].sum(min_count=1)
    text += (
        " It does not tell whether it throttled."
        if np.isnan(events)
        else f" It throttled {events:.0f} times because of heat."
    )
    totals = name_models(latency[latency["stage"] == "total"])
    blocks = totals.groupby(["config", "persons", "block"])["ms"].median()
    spread = blocks.groupby(["config", "persons"]).agg(lambda values: values.std() / values.mean()).median()
    if np.isfinite(spread):
        text += f" Block medians of one configuration differ by {spread:.1%} (median standard deviation)."
    return text


def _clocks(machine: pd.DataFrame) -> str:
    clocks, heat = machine["clock_mhz"].dropna(), machine["temperature_c"].dropna()
    governor = ", ".join(machine["governor"].unique())
    text = (
        f"Its clock read {clocks.min():.0f} to {clocks.max():.0f} MHz"
        if len(clocks)
        else "Its clock is not told"
    )
    text += f" (governor: {governor})"
    return text + (
        f"; it was {heat.min():.0f} to {heat.max():.0f} °C warm."
        if len(heat)
        else "; its temperature is not told."
    )


def persons_sentence(latency: pd.DataFrame) -> str:
    """Says what one more person costs the fastest whole pipeline, beside its pose network alone."""
    whole = latency[latency["pipeline"].eq("detect+pose")]
    if whole["persons"].nunique() < 2:
        return "Only one person count was timed, so the cost of one more person is open."
    best = latency_summary(whole[whole["persons"] == whole["persons"].min()]).iloc[0]["config"]
    slopes = {
        stage: _slope(whole[whole["config"].eq(best) & whole["stage"].eq(stage)]) for stage in _PERSON_STAGES
    }
    # Summed over the stages that see persons: the detector's noise has no part in it.
    total = sum(slopes.values())
    return (
        f"One more person costs {best} {total:.1f} ms, of which {slopes['pose']:.1f} ms in the pose network: "
        f"{total / slopes['pose']:.2f} times the network's own cost."
    )


def bench_sentences(run: RunFolder) -> list[str]:
    """Returns what the records of a benchmark say beyond its table: shares, one more person, noise."""
    latency = run.read("latency.parquet")
    return [
        share_sentence(latency), persons_sentence(latency), noise_sentence(run.read("machine.csv"), latency),
    ]  # fmt: skip


def share_sentence(latency: pd.DataFrame) -> str:
    """Says how much of the fastest whole pipeline's frame is spent outside the networks."""
    whole = latency[latency["pipeline"].eq("detect+pose")]
    if whole.empty:
        return "No whole pipeline was timed."
    best = latency_summary(whole[whole["persons"] == whole["persons"].min()]).iloc[0]["config"]
    rows = whole[whole["config"] == best]
    parts = []
    for persons, group in rows.groupby("persons"):
        medians = group.groupby("stage")["ms"].median()
        rest = medians.drop(["detect", "pose", "total"], errors="ignore").sum()
        parts.append(f"{rest / medians.drop('total').sum():.1%} with {persons}")
    return f"Everything that is not a network takes {best} {', '.join(parts)} persons in the picture."


def _slope(rows: pd.DataFrame) -> float:
    medians = rows.groupby("persons")["ms"].median()
    return float(np.polyfit(medians.index, medians, 1)[0])


def _interval(rows: pd.DataFrame, low: str, high: str, form: str) -> list[str]:
    return [
        "" if np.isnan(one) else f"{one:{form}} to {other:{form}}"
        for one, other in zip(rows[low], rows[high], strict=True)
    ]


def _points(ap: float) -> str:
    return "not measured" if np.isnan(ap) else f"{ap * 100:.1f}"


def _energy(cpu: float, gpu: float) -> str:
    told = [f"{joules:.2f} J {part}" for part, joules in (("CPU", cpu), ("GPU", gpu)) if np.isfinite(joules)]
    return ", ".join(told) or "not told"
