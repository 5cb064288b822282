"""Sentences and tables of robustness and failures, computed from their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pose_utils.report.markup import Shown, escape
from pose_utils.report.published import published_robustness
from pose_utils.report.words import readable
from pose_utils.study.attribution import CAUSES, attribution_table

WIDE = {
    ("keypoint_ap", "detected"): "AP",
    ("keypoint_ap", "truth"): "AP, true boxes",
    ("keypoint_ap_medium", "detected"): "AP, medium",
    ("keypoint_ap_large", "detected"): "AP, large",
    ("person_ap", "detected"): "person AP",
    ("person_recall_small", "detected"): "recall, small",
    ("person_recall_medium", "detected"): "recall, medium",
    ("person_recall_large", "detected"): "recall, large",
    ("pck", "detected"): "PCK",
    ("consistency", "detected"): "OKS with clean",
    ("persons_kept", "detected"): "persons kept",
}
"""(metric, boxes) -> heading of a column of `metrics_by_condition`."""

AS_PUBLISHED = {
    ("detection_rate", "detected"): "detection rate",
    ("detection_rate_with_phantom", "detected"): "with the phantom",
    ("detection_rate_with_keypoints", "detected"): "where keypoints are",
    ("mean_confidence", "detected"): "confidence",
    ("persons_per_image", "detected"): "persons a picture",
    ("fps", "detected"): "FPS",
}
"""The same for `published_metrics`: what the superseded study reports."""

_WITH_INTERVAL = ("keypoint_ap", "persons_kept", "consistency")


def folded(shown: Shown, summary: str) -> Shown:
    """Shows something behind a line that opens it."""
    return Shown(f"<details><summary>{escape(summary)}</summary>{shown.html}</details>", shown.text)


def metrics_by_condition(metrics: pd.DataFrame) -> pd.DataFrame:
    """Returns one row a condition (and severity) with the figures worth comparing, as texts.

    The figures of `_WITH_INTERVAL` carry their 95 % interval; columns that nobody measured are left out.
    """
    return _wide(metrics, WIDE)


def published_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """Returns what the published study reports, measured here, beside its own figures where it has them."""
    table = _wide(metrics, AS_PUBLISHED)
    theirs = published_robustness().set_index("condition")
    theirs.index = theirs.index.map(readable)
    columns = {"detection_rate": "published rate", "mean_confidence": "published confidence",
               "mean_persons": "published persons", "fps": "published FPS"}  # fmt: skip
    for name, heading in columns.items():
        table[heading] = table["condition"].map(theirs[name])
    return table


def keypoint_pictures(metrics: pd.DataFrame) -> str:
    """Says how many pictures were counted, and how many of them show a person with keypoints."""
    rows = metrics[(metrics["condition"] == "clean") & (metrics["boxes"] == "detected")]
    counts = rows.set_index("metric")["value"]
    text = f"{counts['images_processed']:.0f} pictures"
    if "images_with_keypoints" in counts:
        text += f", on {counts['images_with_keypoints']:.0f} of which somebody has annotated keypoints"
    return text


def _wide(metrics: pd.DataFrame, columns: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    rows = metrics[metrics["condition"] != "corrupted"]
    keys = ["condition", "severity"]
    order = rows[keys].drop_duplicates()
    table = order.copy()
    for (metric, boxes), heading in columns.items():
        chosen = rows[(rows["metric"] == metric) & (rows["boxes"] == boxes)]
        if chosen.empty:
            continue
        texts = chosen.apply(_figure, axis=1, interval=metric in _WITH_INTERVAL)
        table = table.merge(chosen[keys].assign(**{heading: texts}), on=keys, how="left")
    table["condition"] = table["condition"].map(readable)
    return table.fillna("") if (table["severity"] > 0).any() else table.drop(columns="severity").fillna("")


def mean_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Returns P, mPC and rPC for each origin of the boxes, also of each family, with intervals."""
    names = {"mpc": "keypoint AP under corruption (mPC)", "rpc": "share of the clean AP (rPC)"}
    if not metrics["metric"].isin(names).any():  # no ground truth
        names = {"consistency_mpc": "OKS with the clean prediction under corruption"}
    families = dict.fromkeys(metrics.loc[metrics["severity"] > 0, "condition"])
    words = {"keypoint_ap": "keypoint AP, clean (P)"} | names
    words |= {
        f"{key}_{family}": f"{text}, {readable(family)}" for family in families for key, text in names.items()
    }
    metrics = metrics[metrics["boxes"].isin(["detected", "truth"])]
    rows = metrics[metrics["condition"].eq("corrupted") & metrics["metric"].isin(words)]
    clean = metrics[metrics["condition"].eq("clean") & metrics["metric"].eq("keypoint_ap")]
    both = pd.concat([clean, rows])
    return pd.DataFrame({
        "figure": both["metric"].map(words), "boxes": both["boxes"].map(readable), "value": both["value"],
        "low": both["low"], "high": both["high"],
    })  # fmt: skip


def bottleneck_sentence(metrics: pd.DataFrame) -> str:
    """Says under which conditions the records confirm or refute that the detector is the bottleneck."""
    table = attribution_table(metrics)
    if table.empty:
        return "This run's losses can't be split between detector and pose model: it finds both at once."
    what = {"keypoint_ap": "keypoint AP", "consistency": "agreement with the clean prediction"}
    metric = table["metric"].iloc[0]
    names = {verdict: [_label(row) for row in group.itertuples()]
             for verdict, group in table.groupby("verdict", sort=False)}  # fmt: skip
    parts = []
    if "detector" in names:
        parts.append(f"confirmed under {_listed(names['detector'])}")
    if "pose model" in names:
        parts.append(f"refuted under {_listed(names['pose model'])}, where the pose model loses more")
    if "undecided" in names:
        parts.append(f"neither under {_listed(names['undecided'])}, where the interval holds 0")
    if "no loss" in names:
        parts.append(f"without object under {_listed(names['no loss'])}, where no loss is shown")
    return (
        f"That the detector is the bottleneck is, by {what.get(metric, metric)}, {'; '.join(parts)} "
        "(both orders of the stages averaged, 95 % intervals over pictures)."
    )


def cause_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Returns why persons found on the clean picture were lost: which stage's corruption is enough."""
    names = [f"persons_lost_{cause}" for cause in CAUSES]
    rows = metrics[metrics["metric"].isin(names)]
    if rows.empty:
        return pd.DataFrame()
    keys = ["condition", "severity"]
    table = rows[keys].drop_duplicates()
    for cause, name in zip(CAUSES, names, strict=True):
        chosen = rows[rows["metric"] == name]
        texts = chosen.apply(_figure, axis=1, interval=True)
        table = table.merge(chosen[keys].assign(**{readable(cause): texts}), on=keys)
    table["condition"] = [_label(row) for row in table.itertuples()]
    return table.drop(columns="severity")


def split_table(metrics: pd.DataFrame, metric: str = "") -> pd.DataFrame:
    """Returns `attribution_table` as texts with intervals."""
    table = attribution_table(metrics, metric)
    if table.empty:
        return table
    shown = pd.DataFrame({"condition": [_label(row) for row in table.itertuples()]})
    for part, heading in (("loss", "loss"), ("detector", "to the detector"), ("pose", "to the pose model"),
                          ("difference", "difference")):  # fmt: skip
        columns = table[[part, f"{part}_low", f"{part}_high"]].to_numpy()
        shown[heading] = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in columns]
    return shown.assign(bottleneck=table["verdict"])


def joint_losses(metrics: pd.DataFrame) -> pd.DataFrame:
    """Returns what each joint's PCK loses on average over the corrupted conditions: keypoint, value."""
    rows = metrics[metrics["metric"].str.startswith("pck_") & metrics["boxes"].eq("detected")]
    rows = rows[~rows["metric"].str.endswith("_minus_clean") & rows["condition"].ne("corrupted")]
    clean = rows[rows["condition"] == "clean"].set_index("metric")["value"]
    under = rows[rows["condition"] != "clean"].groupby("metric", sort=False)["value"].mean()
    lost = (clean - under).clip(lower=0).rename_axis("metric").reset_index()
    return lost.assign(keypoint=lost["metric"].str.removeprefix("pck_"))[["keypoint", "value"]]


def threshold_table(thresholds: pd.DataFrame) -> pd.DataFrame:
    """Returns the best threshold of each condition, what it gains and what it costs, as texts."""
    if thresholds.empty:
        return thresholds
    return pd.DataFrame({
        "condition": [_label(row) for row in thresholds.itertuples()],
        "best threshold": [f"{r.best:.2f} ({r.low:.2f} to {r.high:.2f})" for r in thresholds.itertuples()],
        "F1 in use": thresholds["f1_used"], "F1 at best": thresholds["f1_best"],
        "persons gained": thresholds["persons_gained"], "false persons": thresholds["false_persons"],
        "calibration error": [f"{r.error:.2f} ({r.error_low:.2f} to {r.error_high:.2f})"
                              for r in thresholds.itertuples()],
    })  # fmt: skip


def _figure(row: pd.Series, interval: bool) -> str:
    if pd.isna(row["value"]):
        return ""
    form = ".1f" if row["metric"] == "fps" else ".3f"
    return format(row["value"], form) + (f" ({row['low']:.2f}–{row['high']:.2f})" if interval else "")


def _label(row: object) -> str:
    return readable(row.condition) + (f" {row.severity}" if row.severity else "")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
