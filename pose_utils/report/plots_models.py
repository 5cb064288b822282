"""Figures of single models and files: SimCC curves, parity, sizes, published and Pareto comparisons."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pose_utils import palette as colours
from pose_utils.report.published import published_benchmark, published_label
from pose_utils.report.style import current_theme, empty_figure, encoding, new_figure, write_beside
from pose_utils.report.words import readable


def simcc_curves(
    simcc_x: np.ndarray,
    simcc_y: np.ndarray,
    keypoint: str,
    split_ratio: float = 2.0,
    score: float | None = None,
) -> Figure:
    """Draws the two SimCC vectors of one joint; their maxima are its place in the crop.

    Args:
        simcc_x: float (width * split_ratio,), the network's output along x.
        simcc_y: float (height * split_ratio,), along y.
        keypoint: Name of the joint.
        split_ratio: Bins per pixel of the crop.
        score: The decoded score, printed in the title where given.
    """
    figure, panels = new_figure(2.7, 2, sharey=True)
    sides = zip(
        panels, ("x", "y"), (simcc_x, simcc_y), (colours.BLUE, colours.VERMILLION), ("-", "--"), strict=True
    )
    for axes, name, curve, colour, line in sides:
        places = np.arange(len(curve)) / split_ratio
        best = int(np.argmax(curve))
        axes.plot(places, curve, line, color=colour)
        axes.plot(places[best], curve[best], "o", color=colour)
        leftwards = best > 0.6 * len(curve)
        write_beside(
            axes, f"{name} = {places[best]:g} px", (places[best], curve[best]), -9 if leftwards else 9
        )
        axes.set(xlabel=f"{name} in the crop, pixels", xlim=(0, places[-1]))
    panels[0].set_ylabel("network output")
    tail = "" if score is None else f", score {score:.2f}"
    figure.suptitle(f"{readable(keypoint)}{tail}", x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def parity_dots(parity: pd.DataFrame) -> Figure:
    """Draws the largest difference of every artefact from its reference, on a logarithmic axis.

    The bar is the tolerance; hollow marks are random weights; rows that did not run say why.

    Args:
        parity: Rows of parity.csv, with one unit or several (a panel each).
    """
    if parity.empty:
        return empty_figure("Nothing was compared in this run.")
    units = list(dict.fromkeys(parity.loc[parity["status"] == "ok", "unit"])) or [""]
    parity = parity[parity["unit"].isin(units) | parity["status"].ne("ok")]
    names = parity[["model", "backend", "precision"]].agg(" · ".join, axis=1)
    order = list(dict.fromkeys(names))[::-1]
    figure, panels = new_figure(1.3 + 0.34 * len(order), len(units), sharey=True)
    marks = encoding(parity.loc[parity["status"] == "ok", "quantity"])
    for axes, unit in zip(panels, units, strict=True):
        drawn = parity[(parity["status"] == "ok") & (parity["unit"] == unit)]
        floor = (
            max(drawn["max_diff"][drawn["max_diff"] > 0].min() / 3, 1e-9)
            if (drawn["max_diff"] > 0).any()
            else 1e-6
        )
        for index, row in drawn.iterrows():
            mark, height = marks[row["quantity"]], order.index(names[index])
            face = "none" if row["weights"] == "random" else mark.colour
            look = {"color": mark.colour, "markerfacecolor": face, "markersize": 8, "markeredgewidth": 1.6}
            axes.plot(max(row["max_diff"], floor), height, mark.marker, **look)
            axes.plot(
                [row["tolerance"]] * 2, [height - 0.32, height + 0.32], color=current_theme().ink, linewidth=2
            )
        axes.set_xscale("log")
        axes.set_xlabel("largest noise, a share" if unit == "1" else f"largest difference, {unit}")
    for index, row in parity[parity["status"] != "ok"].iterrows():
        reason = f"{row['status']}: {_shortened(row['reason'], 70 // len(units))}"
        write_beside(panels[0], reason, (panels[0].get_xlim()[0], order.index(names[index])), muted=True)
    panels[0].set_yticks(range(len(order)), order)
    panels[0].set_ylim(-0.6, len(order) - 0.4)
    for quantity, mark in marks.items():
        panels[0].plot([], [], mark.marker, color=mark.colour, label=readable(quantity))
    panels[0].plot(
        [], [], "|", color=current_theme().ink, markersize=12, markeredgewidth=2, label="tolerance"
    )
    if (parity["weights"] == "random").any():
        panels[0].plot(
            [], [], "o", color=current_theme().muted, markerfacecolor="none", label="hollow: random weights"
        )
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def layer_signals(layers: pd.DataFrame) -> Figure:
    """Draws how much signal each layer alone leaves in the outputs, in the network's order.

    A panel a model and precision; filled marks stay FP32, hollow ones lose precision.

    Args:
        layers: Rows of layers.csv.
    """
    rows = layers[layers["status"] == "ok"]
    if rows.empty:
        return empty_figure("No layer was looked at in this run; the table says why.")
    groups = list(rows.groupby(["model", "precision"], sort=False))
    figure, panels = new_figure(0.8 + 2.3 * len(groups), 1, len(groups))
    marks = encoding(rows["kind"])
    for axes, ((model, precision), group) in zip(panels, groups, strict=True):
        for kind, those in group.groupby("kind", sort=False):
            mark = marks[kind]
            for stays, filled in (("yes", True), ("no", False)):
                chosen = those[those["stays"] == stays]
                axes.plot(chosen["place"], chosen["signal_db"], mark.marker, color=mark.colour, markersize=6,
                          markerfacecolor=mark.colour if filled else "none", markeredgewidth=1.3)  # fmt: skip
        kept = (group["stays"] == "yes").sum()
        axes.set_title(f"{model}, {precision.upper()}: {kept} of {len(group)} layers stay FP32")
        axes.set_ylabel("signal left, dB")
    panels[-1].set_xlabel("place in the network: from the picture to the outputs")
    for kind, mark in marks.items():
        panels[0].plot([], [], mark.marker, color=mark.colour, label=kind)
    for label, face in (("filled: stays FP32", current_theme().muted), ("hollow: loses precision", "none")):
        panels[0].plot([], [], "o", color=current_theme().muted, markerfacecolor=face, label=label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=6)
    return figure


def file_sizes(backends: pd.DataFrame) -> Figure:
    """Draws the size of every file that was exported or built, in megabytes (rows of backends.csv)."""
    rows = backends[(backends["status"] == "ok") & backends["size_bytes"].gt(0)]
    if rows.empty:
        return empty_figure("No file was written in this run.")
    # The device tells engines apart that were built for several GPUs; elsewhere it only makes labels long.
    parts = (
        ["model", "precision", "device"]
        if rows["backend"].nunique() == 1
        else ["model", "backend", "precision"]
    )
    rows = rows.assign(name=rows[parts].agg(" · ".join, axis=1))[::-1]
    figure, (axes,) = new_figure(0.9 + 0.32 * len(rows))
    marks = encoding(backends["precision"])
    for position, row in enumerate(rows.itertuples()):
        mark, megabytes = marks[row.precision], row.size_bytes / 1e6
        axes.barh(position, megabytes, height=0.62, color=mark.colour, hatch=mark.hatch,
                  edgecolor=current_theme().background)  # fmt: skip
        write_beside(axes, f"{megabytes:.1f}", (megabytes, position), 5)
    axes.set_yticks(range(len(rows)), rows["name"])
    axes.set(xlabel="megabytes", xlim=(0, rows["size_bytes"].max() / 1e6 * 1.12))
    axes.grid(visible=False, axis="y")
    return figure


def published_latency(summary: pd.DataFrame) -> Figure:
    """Draws the eight published medians (a T4 and its host) with what this machine measured.

    Args:
        summary: From `study.latency.latency_summary`; the smallest person count of each row is taken.
    """
    theirs = published_benchmark()
    keys = ["backend", "device", "precision", "pipeline"]
    ours = summary.sort_values(["persons", "median_ms"]).drop_duplicates(keys)[
        [*keys, "median_ms", "low", "high"]
    ]
    rows = theirs.merge(ours, on=keys, how="left", suffixes=("_theirs", ""))
    figure, (axes,) = new_figure(1.3 + 0.4 * len(rows))
    heights = np.arange(len(rows))[::-1]
    axes.plot(rows["median_ms_theirs"], heights, "D", color=colours.VERMILLION, markerfacecolor="none",
              markersize=8, markeredgewidth=1.8, label=published_label())  # fmt: skip
    axes.hlines(heights, rows["low"], rows["high"], color=colours.BLUE, linewidth=4, alpha=0.45)
    axes.plot(rows["median_ms"], heights, "o", color=colours.BLUE, markersize=8, label="ours, this machine")
    top = max(rows["median_ms_theirs"].max(), rows["median_ms"].max())
    for height, row in zip(heights, rows.itertuples(), strict=True):
        missing = np.isnan(row.median_ms)
        write_beside(
            axes,
            "not run here" if missing else f"ours {row.median_ms:.3g} ms",
            (top * 1.4, height),
            7,
            missing,
        )
    axes.set_xscale("log")
    axes.set_xlim(1, top * 8)
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes.set_yticks(heights, rows["name"])
    axes.set_xlabel(
        "milliseconds per call (median), logarithmic; another machine and other models: not a race"
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def accuracy_against_latency(rows: pd.DataFrame, metric_label: str = "keypoint AP") -> Figure:
    """Draws accuracy against latency; the line joins what nothing else beats in both.

    Args:
        rows: Columns config, median_ms, low, high (its interval), accuracy, and optionally accuracy_low
            and accuracy_high.
        metric_label: What the accuracy is.
    """
    rows = rows.dropna(subset=["median_ms", "accuracy"]).sort_values("median_ms")
    if rows.empty:
        return empty_figure("No configuration has both a latency and an accuracy in this run.")
    best = rows["accuracy"].cummax().shift(fill_value=-np.inf)
    front = rows[rows["accuracy"] > best]
    figure, (axes,) = new_figure(4.2)
    axes.plot(
        front["median_ms"], front["accuracy"], color=current_theme().muted, linewidth=1.2, linestyle="--"
    )
    marks = encoding(rows["config"])
    for row in rows.itertuples():
        mark = marks[row.config]
        axes.hlines(row.accuracy, row.low, row.high, color=mark.colour, linewidth=3, alpha=0.45)
        if hasattr(row, "accuracy_low"):
            axes.vlines(
                row.median_ms, row.accuracy_low, row.accuracy_high, color=mark.colour, linewidth=3, alpha=0.45
            )
        axes.plot(row.median_ms, row.accuracy, mark.marker, color=mark.colour, markersize=9, label=row.config)
    axes.set_xlim(0, rows["high"].max() * 1.1)
    axes.set(xlabel="milliseconds per frame (median)", ylabel=metric_label)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
