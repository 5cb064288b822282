"""The sentence and the table that go with each figure, computed from the records."""

from __future__ import annotations

import pandas as pd

from pose_utils.report.words import readable
from pose_utils.study.records import RunFolder

RANDOM = "seeded random weights of the exact architecture: right for latency and numerics, not for poses"


def opened_table(backends: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of backends.csv that opened."""
    return backends[backends["status"] == "ok"].reset_index(drop=True)


def reason_table(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    """Returns why rows did not run: each reason once, with the entries of column `what` it holds for."""
    lost = rows[rows["status"] != "ok"]
    grouped = lost.groupby(["status", "reason"], sort=False)[what]
    return grouped.agg(lambda names: ", ".join(dict.fromkeys(names))).reset_index()


def parity_table(parity: pd.DataFrame) -> pd.DataFrame:
    """Returns the comparisons that were made, with `artefact` (who) and `compared` (what, in which unit)."""
    done = parity[parity["status"] == "ok"].reset_index(drop=True)
    unit = done["unit"].map(lambda unit: "" if unit == "1" else f", {unit}")
    return done.assign(artefact=_artefact(done, "model"), compared=done["quantity"] + unit)


def not_run(rows: pd.DataFrame, first: str) -> pd.DataFrame:
    """Returns the reasons of the rows that did not run, with the artefacts that each holds for.

    Args:
        rows: Of parity.csv or proof.csv.
        first: The column that an artefact's name begins with.
    """
    return reason_table(rows.assign(artefact=_artefact(rows, first)), "artefact")


def proof_table(proof: pd.DataFrame) -> pd.DataFrame:
    """Returns the files that were proven: pixels, and changes of AP in points with their intervals."""
    done = proof[proof["status"] == "ok"].reset_index(drop=True)
    return done.assign(
        artefact=_artefact(done, "files"),
        keypoints_change=_change(done, "keypoint"),
        boxes_change=_change(done, "person"),
        size_mb=done["size_bytes"] / 1e6,
    )


def _artefact(rows: pd.DataFrame, first: str) -> pd.Series:
    return rows[first] + ", " + rows["backend"] + " " + rows["precision"].str.upper()


def _change(rows: pd.DataFrame, what: str) -> list[str]:
    parts = zip(*(100 * rows[f"{what}_{name}"] for name in ("change", "low", "high")), strict=True)
    return ["" if pd.isna(value) else f"{value:+.2f} ({low:.2f} to {high:.2f})" for value, low, high in parts]


def parity_sentence(parity: pd.DataFrame) -> str:
    """Says how many comparisons stay within their tolerance and names those that do not."""
    compared = parity[parity["status"] == "ok"]
    if compared.empty:
        return "Nothing could be compared on this machine."
    done = compared[compared["passed"].isin(["yes", "no"])]
    failed = done[done["passed"] == "no"]
    text = f"{len(done) - len(failed)} of {len(done)} comparisons stay within their tolerance."
    if len(failed):
        names = [
            f"{row.model} on {row.backend} {row.precision} ({row.weights} weights)"
            for row in failed.itertuples()
        ]
        text += f" Outside it: {'; '.join(names)}."
    if len(done) < len(compared):
        text += f" {len(compared) - len(done)} more are not judged here; the table says why."
    return text


def proof_sentence(proof: pd.DataFrame) -> str:
    """Says which files may be deployed, and which are not recommended and why."""
    done = proof[proof["status"] == "ok"]
    if done.empty:
        return "No file was proven in this run; the table says why."
    names = done[["files", "backend", "precision"]].agg(" ".join, axis=1)
    good = done["passed"] == "yes"
    text = f"{good.sum()} of {len(done)} files hold what their precision promises"
    text += f" on {done['images'].max()} pictures."
    judged = good
    for verdict, heading in (("no", "Not recommended"), ("unsure", "Not shown to hold")):
        those = done["passed"] == verdict
        judged = judged | those
        if those.any():
            reasons = zip(names[those], done.loc[those, "reason"], strict=True)
            text += f" {heading}: {'; '.join(f'{name} ({why})' for name, why in reasons)}."
    if not judged.all():
        text += " The rest is not judged, because the weights are random."
    return text


def layer_table(layers: pd.DataFrame, most: int = 5) -> pd.DataFrame:
    """Returns the `most` sensitive layers of every `file`; one without known layers keeps its reason."""
    groups = layers.sort_values("signal_db", kind="stable").groupby(["model", "precision"], sort=False)
    table = groups.head(most).sort_index().reset_index(drop=True)
    return table.assign(file=table["model"] + " " + table["precision"].str.upper())


def layer_sentence(layers: pd.DataFrame) -> str:
    """Says how many layers of each file stay FP32, and which one is the most sensitive."""
    rows = layers[layers["status"] == "ok"]
    if rows.empty:
        return "No layer was looked at in this run; the table says why."
    parts = []
    for (model, precision), group in rows.groupby(["model", "precision"], sort=False):
        worst = group.loc[group["signal_db"].idxmin()]
        kept = (group["stays"] == "yes").sum()
        parts.append(
            f"{model} in {precision.upper()}: {kept} of {len(group)} layers stay FP32; the most sensitive, "
            f"{worst['layer']} ({worst['kind']}), alone leaves {worst['signal_db']:.0f} dB"
        )
    return ". ".join(parts) + "."


def engine_table(engines: pd.DataFrame) -> pd.DataFrame:
    """Adds size_mb to the rows of the engine build."""
    return engines.assign(size_mb=engines["size_bytes"] / 1e6)


def engine_sentence(engines: pd.DataFrame) -> str:
    """Says how many engines were built, how long one took, and why others were not."""
    built = engines[engines["status"] == "ok"]
    fresh = built.loc[built["build_s"] > 0, "build_s"]
    text = f"{len(built)} of {len(engines)} engines exist"
    text += (
        f"; a build took {fresh.median():.1f} s (median of {len(fresh)})."
        if len(fresh)
        else ", all from the cache."
    )
    if (built["weights"] == "random").any():
        text += " Their weights are random: " + RANDOM.partition(": ")[2] + "."
    return text


def weights_sentence(run: RunFolder) -> str:
    """Says what weights the timed configurations ran with."""
    configs = run.read("configs.csv")
    random = configs.loc[configs["weights"] == "random", "models"].unique()
    if len(random):
        return f"{', '.join(random)} ran with {RANDOM}."
    return "Every configuration ran with trained weights."


def attribution_sentence(metrics: pd.DataFrame) -> str:
    """Says which condition costs most; with ground truth, how AP falls with detected and true boxes."""
    rows = metrics[(metrics["metric"] == "keypoint_ap") & (metrics["condition"] != "corrupted")]
    truth = rows[rows["boxes"] == "truth"].set_index("condition")["value"]
    detected = rows[rows["boxes"] == "detected"].set_index("condition")["value"]
    if "clean" not in detected:
        kept = metrics[(metrics["metric"] == "persons_kept") & (metrics["condition"] != "corrupted")]
        if kept.empty:
            return "Accuracy was not measured in this run."
        if kept["value"].isna().all():
            return "Nobody was found in the clean pictures, so no condition had anybody to lose."
        worst = kept.loc[kept["value"].idxmin()]
        return (
            "These pictures have no ground truth: predictions are compared with those on the clean picture. "
            f"{_words(worst['condition'])} loses most persons: {worst['value']:.0%} are still found "
            f"(95 % interval {worst['low']:.0%} to {worst['high']:.0%}, {worst['n']} pictures)."
        )
    worst = detected.idxmin()
    text = (
        f"{_words(worst)} costs most: keypoint AP falls from {detected['clean']:.3f} to {detected[worst]:.3f}"
    )
    if worst in truth:
        text += (
            f", and with true boxes from {truth['clean']:.3f} to {truth[worst]:.3f}: what true boxes do not "
        )
        text += "bring back is the pose model's loss"
    return text + "."


def metric_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Returns the figures worth a table: one row for each condition, severity, boxes and metric."""
    shown = (
        "keypoint_ap", "keypoint_ar", "person_ap", "person_recall", "pck", "consistency", "persons_kept",
        "detection_rate", "mean_confidence", "mpc", "rpc",
    )  # fmt: skip
    columns = ["condition", "severity", "boxes", "metric", "value", "low", "high", "n", "reference"]
    return metrics.loc[metrics["metric"].isin(shown), columns].reset_index(drop=True)


def failure_sentence(losses: pd.DataFrame, origin: str) -> str:
    """Names the category that takes most persons over all corrupted conditions."""
    if losses.empty:
        return f"Nobody was found in the clean pictures, so there was nobody to lose ({origin})."
    rows = losses[
        (losses["group"] == "category") & (losses["condition"] != "clean") & (losses["value"] != "found")
    ]
    if rows.empty or not rows["lost"].sum():
        return f"Nobody was lost under any condition ({origin})."
    totals = rows.groupby("value")["lost"].sum().sort_values(ascending=False)
    everybody = losses[(losses["group"] == "category") & (losses["condition"] != "clean")]
    persons = everybody.groupby(["models", "condition", "severity"])["persons"].first().sum()
    category = readable(totals.index[0])
    return (
        f"Over all corrupted conditions {totals.sum()} of {persons} persons were lost; most of them, "
        f'{totals.iloc[0]}, to the category "{category}" '
        f"({origin}, each counted under each condition)."
    )


def loss_table(losses: pd.DataFrame, group: str) -> pd.DataFrame:
    """Returns what was lost by size or joint, all corrupted conditions together, worst first."""
    rows = losses[(losses["group"] == group) & (losses["condition"] != "clean")]
    table = rows.groupby("value", as_index=False)[["persons", "lost"]].sum()
    table["share"] = table["lost"] / table["persons"]
    table["value"] = table["value"].map(readable)
    return table.sort_values("share", ascending=False, ignore_index=True).rename(columns={"value": group})


def _words(name: str) -> str:
    return readable(name).capitalize()
