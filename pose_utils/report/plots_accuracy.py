"""Figures of robustness and failures: pure functions from rows of metrics.csv and failures.csv."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pose_utils import palette as colours
from pose_utils.report.plots_latency import write_on
from pose_utils.report.published import published_label, published_robustness
from pose_utils.report.style import current_theme, empty_figure, encoding, new_figure, write_beside
from pose_utils.report.words import readable
from pose_utils.study.failure_rules import CATEGORIES
from pose_utils.types import KEYPOINT_NAMES, SKELETON

METRIC_NAMES: Mapping[str, str] = {
    "keypoint_ap": "keypoint AP", "keypoint_ar": "keypoint AR", "person_ap": "person AP",
    "person_recall": "persons whose box was found (IoU .5)", "pck": "PCK",
    "detection_rate": "pictures in which somebody was found",
    "mean_confidence": "mean keypoint confidence", "consistency": "OKS with the clean prediction",
    "persons_kept": "share of persons kept", "persons_found": "share of persons found (OKS .75)",
}  # fmt: skip
"""What a metric is called on an axis; a metric not listed here is printed as it is named."""


BOX_NAMES = {
    "truth": "true",
    "clean": "of the clean picture",
    "detected_on_clean": "detected, posed on the clean picture",
}
"""Where boxes came from, in words (`study.condition_pass.BOXES`)."""


def metric_by_condition(metrics: pd.DataFrame, metric: str, hue: str = "boxes") -> Figure:
    """Draws one metric per condition as a dot with its 95 % interval, a mark for each value of `hue`.

    Args:
        metrics: Rows of metrics.csv.
        metric: Which of its metrics.
        hue: The column that tells the series of one condition apart: boxes, models, backend or severity.
    """
    rows = metrics[metrics["metric"] == metric]
    if rows.empty:
        return empty_figure(f"{METRIC_NAMES.get(metric, metric)} was not measured in this run.")
    labels = _condition_labels(rows if hue != "severity" else rows.assign(severity=0))
    order = list(dict.fromkeys(labels))[::-1]
    marks = encoding(rows[hue].astype(str))
    spread = 0.22 if len(marks) > 1 else 0
    figure, (axes,) = new_figure(1.2 + len(order) * max(0.36, 0.2 * len(marks)))
    for index, (name, mark) in enumerate(marks.items()):
        chosen = rows[hue].astype(str) == name
        offset = spread * ((len(marks) - 1) / 2 - index)
        heights = np.array([order.index(label) for label in labels[chosen]]) + offset
        part = rows[chosen]
        axes.hlines(heights, part["low"], part["high"], color=mark.colour, linewidth=4, alpha=0.45)
        label = BOX_NAMES.get(name, readable(name))
        axes.plot(part["value"], heights, mark.marker, color=mark.colour, label=label, markersize=7.5)
        if len(marks) == 1:
            edge = part["high"].fillna(part["value"])
            for x, value, height in zip(edge, part["value"], heights, strict=True):
                write_beside(axes, f"{value:.3f}", (x, height))
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(-0.6, len(order) - 0.4)
    top = rows[["value", "high"]].max().max()
    axes.set_xlim(0, max(0.1, top) * (1.12 if len(marks) == 1 else 1.03))
    if 0.6 < top <= 1:
        axes.set_xlim(0, 1.11 if len(marks) == 1 else 1.02)
    axes.set_xlabel(f"{METRIC_NAMES.get(metric, metric)}, 95 % interval")
    if len(marks) > 1:
        look = {"loc": "outside upper left", "title": hue, "alignment": "left"}
        figure.legend(*axes.get_legend_handles_labels(), ncols=len(marks), **look)
    return figure


def metric_by_severity(metrics: pd.DataFrame, metric: str) -> Figure:
    """Draws one metric against severity, a panel for each family and a line for each origin of the boxes.

    Bars are 95 % intervals; the dotted lines are the figures on the clean pictures.
    """
    chosen = metrics[metrics["metric"] == metric]
    rows = chosen[(chosen["severity"] > 0) & (chosen["condition"] != "corrupted")]
    if rows["severity"].nunique() < 2:
        return empty_figure("Conditions were run at one severity only.")
    families = list(dict.fromkeys(rows["condition"]))
    columns = min(_PANELS, len(families))
    deep = -(-len(families) // columns)
    figure, panels = new_figure(1.1 + 1.75 * deep, columns, deep, sharex=True, sharey=True)
    marks = encoding(rows["boxes"])
    clean = chosen[chosen["condition"] == "clean"].groupby("boxes")["value"].mean()
    for axes, family in zip(panels, families, strict=False):
        for index, (boxes, mark) in enumerate(marks.items()):
            line = rows[(rows["condition"] == family) & (rows["boxes"] == boxes)].sort_values("severity")
            places = line["severity"] + 0.12 * (index - (len(marks) - 1) / 2)
            axes.plot(places, line["value"], mark.line, marker=mark.marker, color=mark.colour, markersize=5,
                      label=f"{readable(boxes)} boxes")  # fmt: skip
            axes.vlines(places, line["low"], line["high"], color=mark.colour, alpha=0.45, linewidth=2.5)
            if boxes in clean:
                axes.axhline(clean[boxes], color=mark.colour, linestyle=":", linewidth=1.2)
        axes.set_title(readable(family))
        axes.set_xticks(sorted(rows["severity"].unique()))
        axes.set_ylim(0, None)
    for axes in panels[len(families) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(families) - columns) : len(families)]:
        axes.tick_params(labelbottom=True)  # the lowest of its column, which is not the last row everywhere
    figure.supxlabel("severity; dotted: clean", fontsize=10)
    figure.supylabel(METRIC_NAMES.get(metric, metric), fontsize=10)
    if len(marks) > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=len(marks))
    return figure


_PANELS = 4


def published_detection_rate(metrics: pd.DataFrame) -> Figure:
    """Draws our detection rate per condition beside the published one, which came from other pictures."""
    theirs = published_robustness().set_index("condition")["detection_rate"]
    ours = metrics[(metrics["metric"] == "detection_rate") & metrics["condition"].isin(theirs.index)]
    ours = ours.drop_duplicates("condition").set_index("condition").reindex(theirs.index)
    figure, (axes,) = new_figure(1.2 + 0.36 * len(theirs))
    heights = np.arange(len(theirs))[::-1]
    axes.hlines(heights, ours["low"], ours["high"], color=colours.BLUE, linewidth=4, alpha=0.45)
    axes.plot(ours["value"], heights, "o", color=colours.BLUE, label="ours, this machine", markersize=8)
    axes.plot(theirs, heights, "D", color=colours.VERMILLION, markerfacecolor="none", markersize=8,
              markeredgewidth=1.8, label=published_label())  # fmt: skip
    for height, value in zip(heights, ours["value"], strict=True):
        if np.isnan(value):
            write_beside(axes, "not run here", (0, height), muted=True)
    axes.set_yticks(heights, [readable(name) for name in theirs.index])
    axes.set(xlim=(0, 1.04), xlabel="share of pictures in which somebody was found")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def failure_shares(failures: pd.DataFrame, order: list[str] | None = None) -> Figure:
    """Draws what became of the reference persons under each condition, as shares of all of them.

    Args:
        failures: Rows of failures.csv.
        order: Categories in the order to stack them; by default as `failure_rules.CATEGORIES`.
    """
    if failures.empty:
        return empty_figure("No reference person was looked at in this run.")
    labels = _condition_labels(failures)
    table = pd.crosstab(labels, failures["category"]).reindex(list(dict.fromkeys(labels))[::-1])
    counts = table.sum().sort_values(ascending=False)
    stack = [name for name in order or CATEGORIES if name in table.columns]
    table = table[list(dict.fromkeys([*stack, *counts.index]))]
    persons = table.sum(axis=1)
    shares = table.div(persons, axis=0) * 100
    figure, (axes,) = new_figure(1.3 + 0.42 * len(shares))
    starts = np.zeros(len(shares))
    for name, mark in encoding(shares.columns).items():
        widths = shares[name].to_numpy()
        axes.barh(range(len(shares)), widths, left=starts, height=0.7, color=mark.colour, hatch=mark.hatch,
                  label=readable(name), edgecolor=current_theme().background, linewidth=0.8)  # fmt: skip
        for height, (start, width) in enumerate(zip(starts, widths, strict=True)):
            if width >= 5.5:
                write_on(axes, start + width / 2, height, f"{width:.0f}", mark.colour)
        starts = starts + widths
    axes.set_yticks(range(len(shares)), [f"{label}  ({count})" for label, count in persons.items()])
    axes.set(xlim=(0, 100), xlabel="share of reference persons, %; their number in brackets")
    axes.grid(visible=False, axis="y")
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=min(len(handles[1]), 5), columnspacing=1.2)
    return figure


_BODY = np.array([
    (0, 1.72), (.06, 1.78), (-.06, 1.78), (.13, 1.74), (-.13, 1.74), (.24, 1.45), (-.24, 1.45), (.42, 1.17),
    (-.42, 1.17), (.5, .88), (-.5, .88), (.15, .92), (-.15, .92), (.2, .5), (-.2, .5), (.22, .08),
    (-.22, .08),
])  # fmt: skip
"""A standing person seen from the front, metres: its own left side is on the reader's right."""

_SIDE_LOOK = {"left": (colours.LEFT, "o"), "right": (colours.RIGHT, "s"), "nose": (colours.MIDDLE, "^")}


def joint_values(values: pd.DataFrame, label: str, form: str = ".2f") -> Figure:
    """Draws one number per joint on a body: the larger, the larger its disc.

    Args:
        values: Columns keypoint (COCO's names) and value (0 or more).
        label: What the numbers are, with their unit.
        form: Format specification of the printed numbers.
    """
    table = values.groupby("keypoint")["value"].mean().reindex(list(KEYPOINT_NAMES))
    figure, (body, bars) = new_figure(5.4, 2, width_ratios=[2, 3])
    top = table.max() if table.max() > 0 else 1
    for first, second in SKELETON:
        body.plot(*_BODY[[first, second]].T, color=current_theme().grid, linewidth=5, zorder=1)
    looks = {name: _SIDE_LOOK[name.split("_")[0]] for name in table.index}
    for point, value, (colour, shape) in zip(_BODY, table, looks.values(), strict=True):
        body.scatter(*point, s=30 + 420 * (0 if np.isnan(value) else value / top), color=colour, marker=shape,
                     edgecolor=current_theme().background, zorder=2)  # fmt: skip
    body.set(aspect="equal", xlim=(-0.8, 0.8), ylim=(-0.1, 1.95))
    body.text(0.42, 0.3, "left", ha="left")
    body.text(-0.42, 0.3, "right", ha="right")
    body.axis("off")
    ranked = table.dropna().sort_values()
    for position, (name, value) in enumerate(ranked.items()):
        colour, shape = looks[name]
        bars.plot([0, value], [position] * 2, color=colour, linewidth=2)
        bars.plot(value, position, shape, color=colour)
        write_beside(bars, format(value, form), (value, position))
    bars.set_yticks(range(len(ranked)), [readable(name) for name in ranked.index])
    bars.set(xlabel=label, xlim=(0, top * 1.18))
    bars.grid(visible=False, axis="y")
    return figure


def _condition_labels(rows: pd.DataFrame) -> pd.Series:
    """Names each row's condition, with its severity where a condition was run at several."""
    several = rows.groupby("condition")["severity"].transform("nunique") > 1
    names = rows["condition"].map(readable)
    return names.where(~several, names + " " + rows["severity"].astype(str))
