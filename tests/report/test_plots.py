"""Every figure from made-up records: it is drawn, in both themes, and shows what the records say."""

from __future__ import annotations

import base64
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pose_utils import palette
from pose_utils.report import plots, style
from pose_utils.report.published import published_benchmark, published_robustness
from pose_utils.study.latency import latency_summary


@pytest.fixture(scope="module")
def cases(synthetic):
    latency = synthetic.latency()
    summary = latency_summary(latency)
    return {
        "stage_waterfall": (latency,),
        "latency_by_config": (latency,),
        "latency_by_persons": (latency,),
        "latency_distribution": (latency,),
        "speedup_bars": (latency, "torch-fp32-cpu"),
        "metric_by_condition": (synthetic.metrics(), "keypoint_ap"),
        "metric_by_severity": (synthetic.metrics((1, 3, 5)).query("boxes != 'clean'"), "keypoint_ap"),
        "precision_changes": (synthetic.precisions(),),
        "published_detection_rate": (synthetic.metrics(),),
        "failure_shares": (synthetic.failures(),),
        "joint_values": (synthetic.joint_losses(), "PCK lost"),
        "loss_by_stage": (synthetic.split(),),
        "failure_flow": (
            {"noise": synthetic.flow(), "blur": synthetic.flow()},
            ["found", "no box", "box poor"],
        ),
        "losses_by_group": (synthetic.groups(),),
        "score_reliability": (synthetic.bins(), ["clean", "noise_heavy"]),
        "simcc_curves": (*synthetic.simcc(), "left_wrist"),
        "parity_dots": (synthetic.parity(),),
        "layer_signals": (synthetic.layers(),),
        "file_sizes": (synthetic.backends(),),
        "published_latency": (summary,),
        "accuracy_against_latency": (
            summary[summary.persons == 1].assign(accuracy=[0.66, 0.67, 0.67, 0.68]),
        ),
    }


def texts(figure):
    found = [text.get_text() for text in figure.findobj(mpl.text.Text)]
    return " | ".join(found)


def test_the_cases_cover_every_figure(cases):
    assert set(cases) == set(plots.__all__)


@pytest.mark.parametrize("name", plots.__all__)
def test_a_figure_is_drawn_in_both_themes_and_leaves_nothing_open(cases, name):
    before = dict(mpl.rcParams)
    shown = style.themed(getattr(plots, name), *cases[name], alt="What it shows", caption="a < b")
    assert shown.html.count("data:image/") == 2 and "a &lt; b" in shown.html
    assert len(shown.html) < 220_000
    assert plt.get_fignums() == [] and dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", plots.__all__)
def test_no_text_is_cut_off_or_tiny(cases, name):
    with style.theme(style.LIGHT):
        figure = getattr(plots, name)(*cases[name])
        figure.canvas.draw()
        width, height = figure.canvas.get_width_height()
        for text in figure.findobj(mpl.text.Text):
            if text.get_visible() and text.get_text().strip():
                assert text.get_fontsize() >= 8 or "mathdefault" in text.get_text()
                box = text.get_window_extent()
                inside = box.x0 >= -2 and box.x1 <= width + 2 and box.y0 >= -2 and box.y1 <= height + 2
                assert inside or not _drawn(text, figure), text.get_text()


def _drawn(text, figure):
    """Ticks beyond an axis' limits exist but are not drawn."""
    return all(text not in axis.get_ticklabels() or _within(text, axis) for axes in figure.axes
               for axis in (axes.xaxis, axes.yaxis))  # fmt: skip


def _within(label, axis):
    low, high = sorted(axis.get_view_interval())
    place = label.get_position()[0 if axis.axis_name == "x" else 1]
    return low <= place <= high


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("stage_waterfall", ()), ("latency_by_config", ()), ("latency_by_persons", ()),
     ("latency_distribution", ()),
     ("metric_by_condition", ("keypoint_ap",)), ("metric_by_severity", ("keypoint_ap",)),
     ("failure_shares", ()), ("loss_by_stage", ()), ("losses_by_group", ()),
     ("score_reliability", (["clean"],)), ("parity_dots", ()), ("file_sizes", ()),
     ("layer_signals", ())],
)  # fmt: skip
def test_without_rows_a_figure_says_so(cases, name, arguments):
    empty = cases[name][0].iloc[:0]
    assert texts(getattr(plots, name)(empty, *arguments)).strip(" |")


def test_dark_figures_are_dark(cases):
    with style.theme(style.DARK):
        figure = plots.latency_by_config(*cases["latency_by_config"])
        figure.canvas.draw()
        corner = np.asarray(figure.canvas.buffer_rgba())[0, 0, :3]
    assert tuple(corner) == palette.bgr(palette.DARK_BACKGROUND)[::-1]


def test_a_waterfall_adds_up_to_the_medians(synthetic):
    latency = synthetic.latency(persons=(1,))
    figure = plots.stage_waterfall(latency)
    stages = latency[(latency["config"] == "torch-fp32-cpu") & (latency["stage"] != "total")]
    assert f"{stages.groupby('stage')['ms'].median().sum():.1f}" in texts(figure)


def test_failure_shares_add_up_to_100_and_print_how_many_persons(synthetic):
    figure = plots.failure_shares(synthetic.failures())
    bars = figure.axes[0].patches
    ends = {}
    for bar in bars:
        ends[round(bar.get_y(), 3)] = ends.get(round(bar.get_y(), 3), 0) + bar.get_width()
    assert all(total == pytest.approx(100) for total in ends.values()) and "clean  (204)" in texts(figure)


def test_who_loses_more_is_written_only_where_it_was_shown(synthetic):
    printed = texts(plots.loss_by_stage(synthetic.split()))
    assert printed.count("detector loses more") == 1 and printed.count("can't be told") == 1
    assert "defocus 3" in printed


def test_a_flow_keeps_every_person_on_both_sides(synthetic):
    figure = plots.failure_flow({"noise": synthetic.flow()}, ["found", "no box", "box poor"])
    columns = {0: 0.0, 1: 0.0}
    for bar in figure.axes[0].patches:
        if hasattr(bar, "get_height") and bar.get_height() > 0:
            columns[round(bar.get_x() + bar.get_width() / 2)] += bar.get_height()
    assert columns == pytest.approx({0: 1.0, 1: 1.0})
    assert "60" in texts(figure)  # found on the clean pictures


def test_random_weights_are_named(synthetic):
    assert "random weights" in texts(plots.latency_by_config(synthetic.latency(weights="random")))
    assert "random weights" not in texts(plots.latency_by_config(synthetic.latency()))


def test_parity_prints_why_a_row_is_missing(synthetic):
    assert "skipped: libnvinfer.so.10" in texts(plots.parity_dots(synthetic.parity()))


def test_published_rows_are_marked_and_never_invented(cases):
    printed = texts(plots.published_latency(*cases["published_latency"]))
    assert "published, T4" in printed and printed.count("not run here") == 6
    printed = texts(plots.published_detection_rate(cases["published_detection_rate"][0].iloc[:0]))
    assert printed.count("not run here") == 9


def test_simcc_marks_the_place_in_pixels_of_the_crop(synthetic):
    printed = texts(plots.simcc_curves(*synthetic.simcc(x=70.5, y=160), "left_wrist", split_ratio=2))
    assert "x = 70.5 px" in printed and "y = 160 px" in printed


def test_eight_categories_differ_without_colour():
    marks = style.encoding("abcdefgh").values()
    assert len({mark.marker for mark in marks}) == len({mark.hatch for mark in marks}) == 8
    assert len({(mark.colour, mark.line) for mark in marks}) == 8


def test_an_svg_is_the_same_bytes_each_time(cases):
    first, second = (
        style.themed(plots.latency_by_config, *cases["latency_by_config"], alt="x") for _ in range(2)
    )
    assert first.html == second.html
    svg = base64.b64decode(re.search(r"svg\+xml;base64,([^\"]+)", first.html)[1]).decode()
    assert "<metadata" not in svg and "<svg" in svg


def test_published_tables_hold_the_published_figures():
    benchmark = published_benchmark().set_index("name")
    assert benchmark.loc["TensorRT full, FP16", "fps"] == 54.24 and len(benchmark) == 8
    rates = published_robustness().set_index("condition")["detection_rate"]
    assert rates["clean"] == 0.9517 and rates["noise_heavy"] == 0.6665 and len(rates) == 9


def test_the_interval_of_a_summary_holds_its_median_and_follows_the_blocks():
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(10), 20)
    base = {"config": "a", "models": "m", "backend": "b", "precision": "p", "device": "cpu",
            "pipeline": "detect+pose", "stage": "total", "persons": 1, "repeat": 0,
            "weights": "trained"}  # fmt: skip
    drift = 100 + 5 * rng.standard_normal(10)[block]
    drifting = pd.DataFrame(base | {"block": block, "ms": drift}, index=range(200))
    steady = drifting.assign(ms=100 + 5 * rng.standard_normal(200))
    wide, narrow = (latency_summary(rows).iloc[0] for rows in (drifting, steady))
    assert wide["low"] <= wide["median_ms"] <= wide["high"]
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])
