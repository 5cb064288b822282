"""Advice follows from intervals, never from the figures alone."""

import numpy as np
import pandas as pd

from pose_utils.report.reading_remedies import (
    advice_table,
    gate_table,
    left_out_sentence,
    remedy_sentence,
    remedy_table,
    video_sentence,
    video_table,
)


def rows(remedy, condition, gain, low, high, ms=3.0):
    values = {"keypoint_ap": (0.5, 0.4, 0.6), "gain": (gain, low, high), "ms_added": (ms, ms - 1, ms + 1),
              "extra_persons": (0.5, 0.2, 0.8)}  # fmt: skip
    return [{"remedy": remedy, "condition": condition, "severity": 0, "metric": metric, "value": value[0],
             "low": value[1], "high": value[2], "n": 24} for metric, value in values.items()]  # fmt: skip


def gate(condition, **figures):
    return [{"remedy": "frame gate", "condition": condition, "severity": 0, "metric": metric, "value": value,
             "low": value, "high": value, "n": 24} for metric, value in figures.items()]  # fmt: skip


TABLE = pd.DataFrame(
    rows("as it is", "clean", 0, 0, 0) + rows("gamma", "clean", -0.05, -0.1, -0.01)
    + rows("tiling", "clean", 0.2, -0.01, 0.4, ms=90.0)
    + rows("as it is", "low_light", 0, 0, 0) + rows("gamma", "low_light", 0.1, 0.05, 0.2)
    + rows("tiling", "low_light", 0.15, 0.1, 0.3)
    + gate("clean", skipped=0.1, failing=0.2, gate_precision=0.5, gate_recall=0.25)
)  # fmt: skip


def test_what_gains_most_beyond_doubt_is_advised_and_the_rest_is_not():
    advice = advice_table(TABLE).set_index("condition")
    assert advice.loc["clean", "do"] == "nothing here helps beyond doubt"  # tiling's interval holds 0
    assert advice.loc["clean", "makes it worse"] == "gamma" and np.isnan(advice.loc["clean", "ms added"])
    assert advice.loc["low light", "do"] == "tiling" and advice.loc["low light", "helps too"] == "gamma"


def test_the_sentence_names_figure_pictures_and_where_nothing_helps():
    text = remedy_sentence(TABLE)
    assert "keypoint AP most, beyond doubt (24 pictures): tiling under low light (+0.150)" in text
    assert text.endswith("Nothing does under clean.")
    none = TABLE[TABLE["condition"] == "clean"]
    assert remedy_sentence(none).startswith("No remedy raises keypoint AP")


def test_every_remedy_has_its_gain_by_condition_and_its_price():
    table = remedy_table(TABLE).set_index("remedy")
    assert list(table.index) == ["gamma", "tiling"]
    assert table.loc["gamma", "low light"] == "+0.100 (+0.050 to +0.200)"
    assert table.loc["tiling", "ms added"] == 90


def test_the_gate_is_judged_by_precision_and_recall():
    row = gate_table(TABLE).iloc[0]
    assert (row["frames skipped"], row["precision"], row["recall"]) == (0.1, 0.5, 0.25)


def video(way, condition, gain, low, high):
    values = {"consistency": 0.8, "gain": 0.1, "persons_kept": 0.7 + gain, "kept_gain": gain, "ms": 30.0}
    return [{"remedy": way, "condition": condition, "severity": 0, "metric": metric, "value": value,
             "low": low, "high": high, "n": 50} for metric, value in values.items()]  # fmt: skip


VIDEO = pd.DataFrame(
    video("as it is", "noise", 0.0, 0.0, 0.0) + video("tracked", "noise", 0.1, 0.02, 0.2)
    + video("tracked, gaps filled", "noise", 0.2, 0.1, 0.3)
    + video("tracked", "dark", 0.1, -0.02, 0.2)
)  # fmt: skip


def test_memory_is_credited_only_beyond_doubt():
    text = video_sentence(VIDEO)
    assert "(50 frames): under noise, tracked, gaps filled: +0.200 of the persons." in text
    assert "dark" not in text
    assert video_sentence(VIDEO[VIDEO["condition"] == "dark"]).startswith(
        "Memory between frames brings nobody"
    )


def test_a_way_is_compared_with_the_pipeline_as_it_is():
    table = video_table(VIDEO)
    assert table["gain of persons"].tolist()[:2] == ["", "+0.100 (+0.020 to +0.200)"]
    assert table.loc[2, "persons kept"] == 0.7 + 0.2 and table["condition"].tolist() == ["noise"] * 3 + [
        "dark"
    ]


def test_what_was_not_tried_is_named_once_for_each_reason():
    text = left_out_sentence({"tiling": "one stage", "flip test": "one stage", "stronger": "no weights."})
    assert text == "Not tried: tiling, flip test (one stage); stronger (no weights)."
    assert left_out_sentence({}).startswith("Every remedy")
