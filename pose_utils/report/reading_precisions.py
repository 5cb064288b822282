"""The sentence and the table of precisions under bad conditions, computed from precisions.csv."""

from __future__ import annotations

import pandas as pd

from pose_utils.report.words import readable

_FIGURES = ("keypoint_ap", "consistency")


def precision_sentence(precisions: pd.DataFrame) -> str:
    """Says under which conditions a precision loses more than it does on the clean pictures, beyond doubt."""
    ran = precisions[precisions["status"] == "ok"]
    skipped = precisions[precisions["status"] != "ok"]
    why = "; ".join(f"{row.backend} {row.precision}: {row.reason}" for row in skipped.itertuples())
    left_out = f" Not run: {why}." if why else ""
    lower = ran[ran["precision"] != "fp32"]
    if lower.empty:
        return "There is no other precision to compare with." + left_out
    extra = lower[(lower["metric"] == "extra_change") & lower["boxes"].eq("detected")]
    worse = extra[(extra["condition"] != "clean") & (extra["high"] < 0)]
    if worse.empty:
        names = ", ".join(dict.fromkeys(lower["backend"] + " " + lower["precision"]))
        tried = ", ".join(dict.fromkeys(readable(name) for name in extra["condition"] if name != "clean"))
        return (
            f"Under none of these conditions ({tried}) is {names} shown to lose more than on clean pictures "
            f"({ran['n'].max()} pictures, paired 95 % intervals)." + left_out
        )
    parts = [
        f"{row.backend} {row.precision} under {readable(row.condition)} "
        f"({_interval(row.value, row.low, row.high)})"
        for row in worse.itertuples()
    ]
    return f"Beyond its loss on the clean pictures more is lost by {'; '.join(parts)}." + left_out


def precision_table(precisions: pd.DataFrame) -> pd.DataFrame:
    """Returns a row a condition, back end and precision: its figure, its change, and what of it is extra."""
    ran = precisions[(precisions["status"] == "ok") & (precisions["metric"] != "")]
    keys = ["boxes", "condition", "severity", "backend", "precision"]
    rows = []
    for key, group in ran.groupby(keys, sort=False):
        by = group.set_index("metric")
        figure = next(name for name in _FIGURES if name in by.index)
        row = dict(zip(keys, key, strict=True)) | {readable(figure): by.loc[figure, "value"]}
        for metric, heading in (("change", "change"), ("extra_change", "beyond the change on clean")):
            row[heading] = _interval(*by.loc[metric, ["value", "low", "high"]])
        rows.append(row | {"boxes": readable(key[0]), "condition": readable(key[1])})
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    order = {name: place for place, name in enumerate(dict.fromkeys(table["condition"]))}
    table = table.sort_values("condition", key=lambda names: names.map(order), kind="stable")
    return table.sort_values("boxes", kind="stable", ignore_index=True).drop(columns="severity")


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
