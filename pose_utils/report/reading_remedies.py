"""Sentences and tables of the remedies, computed from remedies.csv."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from pose_utils.report.words import with_severity
from pose_utils.study.mitigations import AS_IT_IS
from pose_utils.study.remedy_study import GATE

_KEYS = ["condition", "severity"]


def remedy_table(remedies: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each remedy: what it gains under each condition, with intervals, and its price."""
    rows = remedies[~remedies["remedy"].isin([GATE, AS_IT_IS])]
    table = pd.DataFrame({"remedy": list(dict.fromkeys(rows["remedy"]))})
    for key, group in rows.groupby(_KEYS, sort=False):
        gains = group[group["metric"] == "gain"].set_index("remedy")
        table[with_severity(*key)] = [
            f"{row.value:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
            for row in gains.loc[table["remedy"]].itertuples()
        ]
    clean = rows[rows["condition"] == "clean"].pivot(index="remedy", columns="metric", values="value")
    table["ms added"] = clean.loc[table["remedy"], "ms_added"].to_numpy()
    table["extra persons a picture"] = clean.loc[table["remedy"], "extra_persons"].to_numpy()
    return table


def advice_table(remedies: pd.DataFrame) -> pd.DataFrame:
    """Returns what to do when: for each condition the remedy that gains most beyond doubt, or none.

    Without ground truth the clean pictures are left out: their own prediction is the reference.
    """
    rows = remedies[~remedies["remedy"].isin([GATE, AS_IT_IS])]
    if "consistency" in set(rows["metric"]):
        rows = rows[rows["condition"] != "clean"]  # what others are compared with cannot gain
    table = []
    for key, group in rows.groupby(_KEYS, sort=False):
        wide = group.pivot(index="remedy", columns="metric", values=["value", "low", "high"])
        sure = wide[wide["low", "gain"] > 0].sort_values(("value", "gain"), ascending=False)
        harmful = list(wide.index[wide["high", "gain"] < 0])
        best = sure.iloc[0] if len(sure) else None
        table.append({
            "condition": with_severity(*key),
            "do": "nothing here helps beyond doubt" if best is None else sure.index[0],
            "gain": "" if best is None else
            f"{best['value', 'gain']:+.3f} ({best['low', 'gain']:+.3f} to {best['high', 'gain']:+.3f})",
            "ms added": float("nan") if best is None else best["value", "ms_added"],
            "helps too": ", ".join(sure.index[1:]), "makes it worse": ", ".join(harmful),
        })  # fmt: skip
    return pd.DataFrame(table)


def gate_table(remedies: pd.DataFrame) -> pd.DataFrame:
    """Returns how many frames fail and are skipped under each condition, with precision and recall."""
    rows = remedies[remedies["remedy"] == GATE]
    wide = rows.pivot(index=_KEYS, columns="metric", values="value")
    wide = wide.loc[list(dict.fromkeys(rows[_KEYS].itertuples(index=False, name=None)))].reset_index()
    names = [with_severity(*key) for key in wide[_KEYS].itertuples(index=False, name=None)]
    return pd.DataFrame({
        "condition": names, "frames that fail": wide["failing"], "frames skipped": wide["skipped"],
        "precision": wide["gate_precision"], "recall": wide["gate_recall"],
    })  # fmt: skip


def left_out_sentence(left_out: Mapping[str, str]) -> str:
    """Says which remedies could not be tried, and why."""
    if not left_out:
        return "Every remedy of this project was tried."
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason.rstrip("."), []).append(name)
    return "Not tried: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items()) + "."


def video_table(video: pd.DataFrame) -> pd.DataFrame:
    """Returns a row a condition and way: persons kept and OKS with the clean frame, gains, and the price."""
    rows = []
    for key, group in video.groupby([*_KEYS, "remedy"], sort=False):
        by = group.set_index("metric")
        rows.append({
            "condition": with_severity(*key[:2]), "way": key[2],
            "persons kept": by.loc["persons_kept", "value"], "gain of persons": _gain(by, "kept_gain"),
            "OKS with clean": by.loc["consistency", "value"], "gain of OKS": _gain(by, "gain"),
            "ms a frame": by.loc["ms", "value"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def video_sentence(video: pd.DataFrame) -> str:
    """Names the conditions under which memory between frames brings persons back beyond doubt."""
    gains = video[(video["metric"] == "kept_gain") & (video["remedy"] != AS_IT_IS)]
    sure = gains[gains["low"] > 0].sort_values("value", ascending=False, kind="stable").drop_duplicates(_KEYS)
    frames = int(video["n"].iloc[0])
    if sure.empty:
        return f"Memory between frames brings nobody back beyond doubt ({frames} frames of the clip)."
    parts = [
        f"under {with_severity(row.condition, row.severity)}, {row.remedy}: {row.value:+.3f} of the persons"
        for row in sure.itertuples()
    ]
    return f"Memory between frames brings persons back beyond doubt ({frames} frames): {'; '.join(parts)}."


def _gain(by_metric: pd.DataFrame, metric: str) -> str:
    if (by_metric["remedy"] == AS_IT_IS).all():
        return ""
    value, low, high = by_metric.loc[metric, ["value", "low", "high"]]
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def remedy_sentence(remedies: pd.DataFrame) -> str:
    """Names what helps beyond doubt, and where nothing does."""
    advice = advice_table(remedies)
    helped = advice[advice["gain"] != ""]
    figures = remedies["metric"].isin(["keypoint_ap", "consistency"])
    base = remedies[(remedies["remedy"] == AS_IT_IS) & figures]
    what = "keypoint AP" if "keypoint_ap" in set(base["metric"]) else "agreement with the clean prediction"
    pictures = int(base["n"].iloc[0])
    if helped.empty:
        return f"No remedy raises {what} beyond doubt under any condition ({pictures} pictures)."
    parts = [f"{row.do} under {row.condition} ({row.gain.split(' ')[0]})" for row in helped.itertuples()]
    text = f"What raises {what} most, beyond doubt ({pictures} pictures): {'; '.join(parts)}."
    lost = list(advice.loc[advice["gain"] == "", "condition"])
    return text + (f" Nothing does under {', '.join(lost)}." if lost else "")
