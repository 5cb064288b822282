"""Learning curves as a figure: one panel for the losses, one for the figures on held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from pose_utils.report.style import empty_figure, encoding, new_figure

HELD_OUT = "held-out "


def read_curves(paths: Mapping[str, Path]) -> pd.DataFrame:
    """Returns the learning curves of several runs as rows of run, step, seconds, name and value."""
    parts = [pd.read_csv(path).assign(run=name) for name, path in paths.items()]
    return pd.concat(parts, ignore_index=True)[["run", "step", "seconds", "name", "value"]]


def thinned(curves: pd.DataFrame, points: int = 60) -> pd.DataFrame:
    """Returns at most about `points` rows of each line, for a small file to keep."""

    def some(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.iloc[:: max(1, -(-len(rows) // points))]

    parts = [some(rows) for _, rows in curves.groupby(["run", "name"], sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else curves


def learning_curves(curves: pd.DataFrame, run: str) -> Figure:
    """Draws the losses (logarithmic) and the held-out figures of one run over its steps.

    Args:
        curves: As `read_curves` returns them.
        run: Which one.
    """
    rows = curves[(curves["run"] == run) & (curves["name"] != "gradient")]
    if rows.empty:
        return empty_figure(f"There is no learning curve of {run}.")
    looked_at = rows["name"].str.startswith(HELD_OUT)
    figure, panels = new_figure(3.4, 2)
    for axes, part, title in zip(
        panels, (rows[~looked_at], rows[looked_at]), ("losses", "held out"), strict=True
    ):
        marks = encoding(part["name"].unique())
        for name, line in part.groupby("name", sort=False):
            mark = marks[name]
            sparse = mark.marker if len(line) < 25 else ""
            axes.plot(line["step"], line["value"], mark.line, color=mark.colour, marker=sparse, ms=4,
                      label=name.removeprefix(HELD_OUT))  # fmt: skip
        axes.set(xlabel="step", ylabel=title)
        if len(part) and part["value"].min() > 0 and title == "losses":
            axes.set_yscale("log")
        if len(part):
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2, borderaxespad=0)
    figure.suptitle(run, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure
