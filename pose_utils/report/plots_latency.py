"""Figures of the benchmark: pure functions from rows of latency.parquet to a figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import offset_copy

from pose_utils import palette as colours
from pose_utils.report.style import current_theme, empty_figure, encoding, new_figure, write_beside
from pose_utils.study.latency import latency_summary, name_models, speedups

STAGES = ("decode", "letterbox", "detect", "nms", "crop", "pose", "keypoints")
"""Stages of a frame in the order they run; the fields of `types.StageTimes`."""

_STAGE_LOOK = {
    "decode": (colours.GREEN, "..."), "letterbox": (colours.GREEN, ""), "detect": (colours.BLUE, ""),
    "nms": (colours.BLUE, "///"), "crop": (colours.PURPLE, ""), "pose": (colours.VERMILLION, ""),
    "keypoints": (colours.VERMILLION, "\\\\\\"),
}  # fmt: skip


def stage_waterfall(latency: pd.DataFrame, persons: int | None = None) -> Figure:
    """Draws where the time of a frame goes: median milliseconds per stage, and their shares.

    Args:
        latency: Rows of latency.parquet.
        persons: Which person count; by default the smallest that was timed.
    """
    rows = _of_persons(name_models(latency[latency["stage"].isin(STAGES)]), persons)
    if rows.empty:
        return empty_figure("No stage was timed in this run.")
    table = rows.pivot_table(index="config", columns="stage", values="ms", aggfunc="median").fillna(0)
    table = table.reindex(columns=[stage for stage in STAGES if stage in table and table[stage].max() > 0])
    table = table.loc[table.sum(axis=1).sort_values(ascending=False).index]
    figure, (left, right) = new_figure(1.5 + 0.42 * len(table), 2, sharey=True, width_ratios=[3, 2])
    _stacked(left, table)
    shares = table.div(table.sum(axis=1), axis=0) * 100
    _stacked(right, shares, label_above=13, form=".0f")
    for position, total in enumerate(table.sum(axis=1)):
        write_beside(left, f"{total:.1f}", (total, position), 5)
    left.set_xlim(0, table.sum(axis=1).max() * 1.14)
    left.set_xlabel("milliseconds per frame, sum of medians")
    right.set(xlabel="share of the frame, %", xlim=(0, 100))
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=len(labels), handlelength=1.4, columnspacing=1.2
    )
    return figure


def latency_by_config(latency: pd.DataFrame, persons: int | None = None) -> Figure:
    """Draws each configuration's median with its 95 % interval, and a thin line out to p99.

    Hollow marks are networks with random weights; squares are the pose model alone.

    Args:
        latency: Rows of latency.parquet.
        persons: Which person count; by default the smallest that was timed.
    """
    rows = latency_summary(_of_persons(latency, persons))
    if rows.empty:
        return empty_figure("No call was timed in this run.")
    rows = rows.iloc[::-1].reset_index(drop=True)
    figure, (axes,) = new_figure(1.1 + 0.36 * len(rows))
    marks = encoding(rows["pipeline"].sort_values())
    for position, row in rows.iterrows():
        mark = marks[row["pipeline"]]
        face = current_theme().background if row["weights"] == "random" else mark.colour
        axes.plot([row["median_ms"], row["p99_ms"]], [position] * 2, color=mark.colour, linewidth=1)
        axes.plot(row["p99_ms"], position, marker="|", color=mark.colour, markersize=8)
        axes.plot([row["low"], row["high"]], [position] * 2, color=mark.colour, linewidth=5, alpha=0.45,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot(
            row["median_ms"], position, mark.marker, color=mark.colour, markerfacecolor=face, markersize=8
        )
        write_beside(axes, f"{row['median_ms']:.1f} ms", (row["p99_ms"], position))
    for pipeline, mark in marks.items():
        axes.plot([], [], mark.marker, color=mark.colour, label=pipeline)
    if (rows["weights"] == "random").any():
        axes.plot(
            [], [], "o", color=current_theme().muted, markerfacecolor="none", label="hollow: random weights"
        )
    axes.set_yticks(range(len(rows)), rows["config"])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    _milliseconds(axes, rows["low"].min(), rows["p99_ms"].max(), room=1.35)
    axes.set_xlabel(axes.get_xlabel() + ": median, 95 % interval, line to p99")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def latency_by_persons(latency: pd.DataFrame) -> Figure:
    """Draws the median against the number of persons, with the cost of one more written at each line."""
    rows = latency_summary(latency)
    if rows.empty or rows["persons"].nunique() < 2:
        return empty_figure("Only one person count was timed in this run.")
    figure, (axes,) = new_figure(4.2)
    ends = []
    slowest_first = rows.groupby("config")["median_ms"].max().sort_values(ascending=False).index
    for config, mark in encoding(slowest_first).items():
        line = rows[rows["config"] == config].sort_values("persons")
        axes.plot(line["persons"], line["median_ms"], mark.line, marker=mark.marker, color=mark.colour)
        axes.fill_between(
            line["persons"], line["low"], line["high"], color=mark.colour, alpha=0.2, linewidth=0
        )
        text = config
        if len(line) > 1:
            slope = np.polyfit(line["persons"], line["median_ms"], 1)[0]
            text += f"  {slope:+.1f} ms per person"
        ends.append((line["persons"].iloc[-1], line["median_ms"].iloc[-1], text, mark.colour))
    axes.set_xticks(sorted(rows["persons"].unique()))
    axes.set(xlabel="persons in the picture", ylabel="milliseconds per frame (median)", ylim=(0, None))
    label_line_ends(axes, ends)
    return figure


def latency_distribution(latency: pd.DataFrame, persons: int | None = None) -> Figure:
    """Draws the share of calls that were done within a time, so that tails and two-humped runs show."""
    rows = _of_persons(name_models(latency[latency["stage"] == "total"]), persons)
    if rows.empty:
        return empty_figure("No call was timed in this run.")
    figure, (axes,) = new_figure(3.6)
    for config, mark in encoding(rows.groupby("config")["ms"].median().sort_values().index).items():
        calls = rows.loc[rows["config"] == config, "ms"]
        sns.ecdfplot(x=calls, ax=axes, color=mark.colour, linestyle=mark.line, label=config)
        axes.plot(calls.median(), 0.5, mark.marker, color=mark.colour)
    _milliseconds(axes, rows["ms"].min(), rows["ms"].max(), room=1.05)
    axes.set(ylabel="share of calls done", ylim=(0, 1.02))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def speedup_bars(latency: pd.DataFrame, baseline: str, persons: int | None = None) -> Figure:
    """Draws how many times faster each configuration is than its like-for-like baseline, with 95 % intervals.

    Pose-only rows stand against the pose-only baseline. Pale bars cannot be told from their baseline;
    rows of other models than the baseline's are left out, because they do another job.

    Args:
        latency: Rows of latency.parquet.
        baseline: A config name; see `study.latency.speedups`.
        persons: Which person count; by default the smallest that was timed.
    """
    rows = speedups(_of_persons(latency, persons), baseline)
    rows = rows[rows["baseline"].isin([baseline, f"{baseline}-pose"]) & rows["config"].ne(rows["baseline"])]
    if rows.empty:
        return empty_figure(f"Nothing was timed beside {baseline}.")
    rows = rows.sort_values(["baseline", "speedup"], ascending=[False, True], ignore_index=True)
    figure, (axes,) = new_figure(1.1 + 0.36 * len(rows))
    for against, mark in encoding(sorted(rows["baseline"].unique())).items():
        for position, row in rows[rows["baseline"] == against].iterrows():
            alike = row["speedup_low"] <= 1 <= row["speedup_high"]
            axes.barh(position, row["speedup"], height=0.62, color=mark.colour, alpha=0.35 if alike else 1,
                      hatch=mark.hatch, edgecolor=current_theme().background)  # fmt: skip
            axes.plot([row["speedup_low"], row["speedup_high"]], [position] * 2, "-|", linewidth=1.6,
                      color=current_theme().ink, markersize=8)  # fmt: skip
            text = f"{row['speedup']:.2f}" + (", not told apart" if alike else "")
            write_beside(axes, text, (row["speedup_high"], position))
        axes.barh(0, 0, color=mark.colour, hatch=mark.hatch, edgecolor=current_theme().background,
                  label=f"against {against}")  # fmt: skip
    axes.axvline(1, color=current_theme().ink, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), rows["config"])
    axes.set(xlabel="times as fast, with 95 % interval", xlim=(0, rows["speedup_high"].max() * 1.25))
    axes.grid(visible=False, axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def label_line_ends(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Writes each line's name right of its last point, moved apart where they collide.

    Args:
        axes: Where the lines are.
        ends: x, y of the last point, text and colour of each line.
    """
    bottom, top = axes.get_ylim()
    gap = (top - bottom) * 0.062
    right = max(x for x, *_ in ends)
    near, far, beyond = (
        offset_copy(axes.transData, axes.figure, x=points, units="points") for points in (6, 16, 19)
    )
    height = -np.inf
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        height = max(y, height + gap)
        axes.annotate(
            "",
            (x, y),
            (right, height),
            xycoords=near,
            textcoords=far,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0},
        )
        axes.text(right, height, text, transform=beyond, va="center", fontsize=9)  # fmt: skip
    axes.set_ylim(bottom, max(top, height + gap / 2))


def _stacked(axes: Axes, table: pd.DataFrame, label_above: float | None = None, form: str = ".1f") -> None:
    """Stacks the stages (columns) of `table` into one bar a row, and labels the segments that have room."""
    limit = label_above if label_above is not None else 0.09 * table.sum(axis=1).max()
    starts = np.zeros(len(table))
    for stage in table:
        colour, hatch = _STAGE_LOOK[stage]
        widths = table[stage].to_numpy()
        axes.barh(range(len(table)), widths, left=starts, height=0.66, color=colour, hatch=hatch, label=stage,
                  edgecolor=current_theme().background, linewidth=0.8)  # fmt: skip
        for position, (start, width) in enumerate(zip(starts, widths, strict=True)):
            if width >= limit:
                write_on(axes, start + width / 2, position, format(width, form), colour)
        starts = starts + widths
    axes.set_yticks(range(len(table)), table.index)
    axes.grid(visible=False, axis="y")


def write_on(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    """Writes centred text on a filled area of `colour`, on a patch that no hatch runs through."""
    best = max((colours.LIGHT_INK, "#ffffff"), key=lambda ink: colours.contrast(ink, colour))
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color=best,
              bbox={"boxstyle": "square,pad=0.12", "facecolor": colour, "edgecolor": "none"})  # fmt: skip


def _of_persons(latency: pd.DataFrame, persons: int | None) -> pd.DataFrame:
    chosen = persons if persons is not None else latency["persons"].min()
    return latency[latency["persons"] == chosen]


def _milliseconds(axes: Axes, low: float, high: float, room: float) -> None:
    """Sets the x axis: logarithmic where the slowest takes more than 8 times the fastest."""
    if low > 0 and high / low > 8:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * room * 1.25)
        steps = [factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 5)]
        axes.xaxis.set_major_locator(
            FixedLocator([step for step in steps if low / 1.3 <= step <= high * 1.7])
        )
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("milliseconds per frame, logarithmic")
    else:
        axes.set_xlim(0, high * room)
        axes.set_xlabel("milliseconds per frame")
