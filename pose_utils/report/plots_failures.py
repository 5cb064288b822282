"""Figures of why persons are lost: stages, flows, groups and scores; pure functions of tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from pose_utils import palette as colours
from pose_utils.report.plots_accuracy import METRIC_NAMES
from pose_utils.report.plots_latency import write_on
from pose_utils.report.style import current_theme, empty_figure, encoding, new_figure, write_beside
from pose_utils.report.words import readable, with_severity

_VERDICT_WORDS = {
    "detector": "detector loses more", "pose model": "pose model loses more", "undecided": "can't be told",
    "no loss": "no loss shown",
}  # fmt: skip


def loss_by_stage(table: pd.DataFrame) -> Figure:
    """Draws what each stage loses under each condition, with intervals, and who loses more.

    Args:
        table: As `attribution.attribution_table` returns it, of one model.
    """
    table = table[table[["detector", "pose"]].notna().any(axis=1)]
    if table.empty:
        return empty_figure("No loss was split between the stages in this run.")
    figure, (axes,) = new_figure(1.3 + 0.5 * len(table))
    heights = np.arange(len(table))[::-1].astype(float)
    looks = {"detector": (colours.BLUE, "o", 0.14), "pose": (colours.VERMILLION, "s", -0.14)}
    for part, (colour, marker, offset) in looks.items():
        axes.hlines(heights + offset, table[f"{part}_low"], table[f"{part}_high"], color=colour, linewidth=4,
                    alpha=0.45)  # fmt: skip
        label = {"detector": "lost to the detector", "pose": "lost to the pose model"}[part]
        axes.plot(table[part], heights + offset, marker, color=colour, label=label, markersize=7.5)
    edge = np.nanmax(table[["detector_high", "pose_high", "detector", "pose"]].to_numpy())
    for height, row in zip(heights, table.itertuples(), strict=True):
        write_beside(axes, _VERDICT_WORDS[row.verdict], (edge, height), muted=row.verdict not in _STAGES)
    names = [with_severity(row.condition, row.severity) for row in table.itertuples()]
    axes.axvline(0, color=current_theme().muted, linewidth=1)
    axes.set_yticks(heights, names)
    axes.set(xlim=(min(-0.02, table[["detector_low", "pose_low"]].min().min()), edge * 1.45),
             ylim=(-0.6, len(table) - 0.4))  # fmt: skip
    metric = table["metric"].iloc[0]
    axes.set_xlabel(f"loss of {METRIC_NAMES.get(metric, readable(metric))}, 95 % interval")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


_STAGES = ("detector", "pose model")


LEAST_CHANGE = 0.01
"""Half of the least range that changes of precision are drawn over."""


def precision_changes(table: pd.DataFrame, metric: str = "change") -> Figure:
    """Draws by how much each precision differs from the run's own under each condition, with intervals.

    Args:
        table: Rows of precisions.csv.
        metric: change, or extra_change for what goes beyond the change on the clean pictures.
    """
    rows = table[(table["metric"] == metric) & (table["boxes"] == "detected")]
    rows = rows[rows.groupby(["backend", "precision"])["value"].transform(lambda some: some.abs().max()) > 0]
    if rows.empty:
        return empty_figure("No other precision ran on these pictures.")
    names = rows["backend"] + " " + rows["precision"]
    labels = rows["condition"].map(readable)
    order = list(dict.fromkeys(labels))[::-1]
    marks = encoding(names)
    figure, (axes,) = new_figure(1.3 + len(order) * max(0.36, 0.2 * len(marks)))
    for index, (name, mark) in enumerate(marks.items()):
        part = rows[names == name]
        offset = 0.6 / len(marks) * ((len(marks) - 1) / 2 - index)
        heights = np.array([order.index(label) for label in labels[part.index]]) + offset
        axes.hlines(heights, part["low"], part["high"], color=mark.colour, linewidth=4, alpha=0.45)
        axes.plot(part["value"], heights, mark.marker, color=mark.colour, label=name, markersize=7)
    axes.axvline(0, color=current_theme().muted, linewidth=1)
    # Rounding alone must not fill the figure.
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -LEAST_CHANGE), max(high, LEAST_CHANGE))
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(-0.6, len(order) - 0.4)
    measured = next(name for name in ("keypoint_ap", "consistency") if name in set(table["metric"]))
    axes.set_xlabel(f"change of {METRIC_NAMES[measured]} against the run's own precision, 95 % interval")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=len(marks))
    return figure


def failure_flow(flows: dict[str, pd.DataFrame], order: list[str]) -> Figure:
    """Draws how persons move from the clean pictures to corrupted ones, a panel for each condition.

    Args:
        flows: Title -> columns before, after and persons (`failure_groups.flow_from_clean`), three at most.
        order: Ends from top to bottom.
    """
    flows = {title: flow for title, flow in flows.items() if len(flow)}
    if not flows:
        return empty_figure("No person was followed from the clean picture to another.")
    figure, panels = new_figure(4.6, len(flows))
    marks = encoding(order)
    for axes, (title, flow) in zip(panels, flows.items(), strict=True):
        total = flow["persons"].sum()
        left = _stack(flow.groupby("before")["persons"].sum(), order, total)
        right = _stack(flow.groupby("after")["persons"].sum(), order, total)
        for places, column in ((left, 0), (right, 1)):
            for name, (bottom, top) in places.items():
                axes.bar(column, top - bottom, 0.16, bottom, color=marks[name].colour,
                         hatch=marks[name].hatch, edgecolor=current_theme().background, zorder=2)  # fmt: skip
                count = round((top - bottom) * total)
                if top - bottom > 0.045:
                    write_on(axes, column, (top + bottom) / 2, str(count), marks[name].colour)
        from_left = {name: top for name, (_, top) in left.items()}
        from_right = {name: top for name, (_, top) in right.items()}
        for before in order:
            for after in order:
                count = flow.loc[(flow["before"] == before) & (flow["after"] == after), "persons"].sum()
                if count:
                    thick = count / total
                    axes.add_patch(_ribbon(from_left[before], from_right[after], thick, marks[after].colour))
                    from_left[before] -= thick
                    from_right[after] -= thick
        axes.set(xlim=(-0.15, 1.15), ylim=(-0.01, 1.01), title=title)
        axes.set_xticks([0, 1], ["clean", "corrupted"])
        axes.set_yticks([])
        axes.grid(visible=False)
    handles = [
        panels[0].bar(0, 0, color=mark.colour, hatch=mark.hatch, edgecolor=current_theme().background)
        for mark in marks.values()
    ]
    figure.legend(handles, list(marks), loc="outside upper left", ncols=len(marks))
    return figure


def _stack(counts: pd.Series, order: list[str], total: float) -> dict[str, tuple[float, float]]:
    places, top = {}, 1.0
    for name in order:
        height = counts.get(name, 0) / total
        if height:
            places[name] = (top - height, top)
        top -= height
    return places


def _ribbon(left: float, right: float, thick: float, colour: str) -> PathPatch:
    """Returns a band between two columns, its upper edges at `left` and `right`."""
    a, b, middle = 0.08, 0.92, 0.5
    corners = [(a, left), (middle, left), (middle, right), (b, right), (b, right - thick),
               (middle, right - thick), (middle, left - thick), (a, left - thick), (a, left)]  # fmt: skip
    curve = Outline.CURVE4
    codes = [Outline.MOVETO, curve, curve, curve, Outline.LINETO, curve, curve, curve, Outline.CLOSEPOLY]
    return PathPatch(Outline(corners, codes), facecolor=colour, alpha=0.35, linewidth=0, zorder=1)


def losses_by_group(table: pd.DataFrame) -> Figure:
    """Draws the share of persons lost by size, crowding and visible keypoints, clean beside corrupted.

    Args:
        table: As `failure_groups.losses_by_group` returns it.
    """
    if table.empty:
        return empty_figure("No reference person was looked at in this run.")
    labels = table["group"] + ": " + table["value"]
    order = list(dict.fromkeys(labels))[::-1]
    figure, (axes,) = new_figure(1.2 + 0.42 * len(order))
    for offset, (name, mark) in zip((0.13, -0.13), encoding(["clean", "corrupted"]).items(), strict=True):
        rows = table[table["pictures"] == name]
        heights = np.array([order.index(label) for label in labels[rows.index]]) + offset
        axes.hlines(heights, rows["low"], rows["high"], color=mark.colour, linewidth=4, alpha=0.45)
        axes.plot(rows["share"], heights, mark.marker, color=mark.colour, label=name, markersize=7.5)
    axes.set_yticks(range(len(order)), order)
    axes.set(xlim=(0, 1.02), ylim=(-0.6, len(order) - 0.4),
             xlabel="share of persons not found, 95 % interval")  # fmt: skip
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def score_reliability(bins: pd.DataFrame, conditions: list[str]) -> Figure:
    """Draws how often a box of a given score is right, a line for each condition; the diagonal is ideal.

    Args:
        bins: The second table of `calibration.calibrate`.
        conditions: Which conditions, in order.
    """
    rows = bins[bins["condition"].isin(conditions) & (bins["boxes"] >= 5)] if len(bins) else bins
    if rows.empty:
        return empty_figure("Scores can be judged with ground truth only.")
    figure, (axes,) = new_figure(4.6)
    axes.plot([0, 1], [0, 1], color=current_theme().muted, linestyle=":", linewidth=1.2)
    for name, mark in encoding([name for name in conditions if name in set(rows["condition"])]).items():
        line = rows[rows["condition"] == name].sort_values("score")
        axes.plot(line["score"], line["right"], mark.line, marker=mark.marker, color=mark.colour,
                  label=readable(name))  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="mean score of the boxes",
             ylabel="share of boxes on a person (IoU .5)")  # fmt: skip
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure
