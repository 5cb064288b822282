"""Sentences and tables of robustness say what the records say, and no more."""

import pandas as pd
import pytest

from pose_utils.report import reading_robustness as robust
from pose_utils.report.markup import Shown


def figure(condition, metric, value, low=None, high=None, boxes="detected", severity=0):
    low, high = value - 0.1 if low is None else low, value + 0.1 if high is None else high
    return {"models": "m", "backend": "b", "precision": "fp32", "condition": condition, "severity": severity,
            "boxes": boxes, "metric": metric, "value": value, "low": low, "high": high}  # fmt: skip


def split(condition, difference, loss=-0.3, metric="keypoint_ap"):
    return [
        figure(condition, f"{metric}_minus_clean", loss),
        figure(condition, f"{metric}_lost_to_detector", 0.2),
        figure(condition, f"{metric}_lost_to_pose", 0.1),
        figure(condition, f"{metric}_detector_minus_pose", difference),
    ]


def test_the_bottleneck_is_confirmed_refuted_or_left_open_by_condition():
    metrics = pd.DataFrame(
        split("dark", 0.2) + split("blur_heavy", -0.2) + split("noise", 0.05) + split("fog", 0.2, loss=-0.05)
    )
    text = robust.bottleneck_sentence(metrics)
    assert "confirmed under dark;" in text and "refuted under blur heavy, where the pose model" in text
    assert "neither under noise" in text and "without object under fog" in text


def test_without_a_split_the_sentence_says_why():
    assert "can't be split" in robust.bottleneck_sentence(pd.DataFrame([figure("clean", "keypoint_ap", 0.5)]))


def test_keypoint_ap_answers_before_consistency():
    metrics = pd.DataFrame(split("dark", 0.2, metric="consistency") + split("dark", -0.2))
    assert "refuted under dark" in robust.bottleneck_sentence(metrics)
    assert robust.split_table(metrics, "consistency")["bottleneck"].tolist() == ["detector"]


def test_a_row_for_each_condition_and_no_column_that_nobody_measured():
    metrics = pd.DataFrame([
        figure("clean", "keypoint_ap", 0.5), figure("clean", "keypoint_ap", 0.6, boxes="truth"),
        figure("defocus", "keypoint_ap", 0.25, severity=2), figure("corrupted", "mpc", 0.25),
    ])  # fmt: skip
    table = robust.metrics_by_condition(metrics)
    assert table.columns.tolist() == ["condition", "severity", "AP", "AP, true boxes"]
    assert table["AP"].tolist() == ["0.500 (0.40–0.60)", "0.250 (0.15–0.35)"]
    assert table["AP, true boxes"].tolist() == ["0.600 (0.50–0.70)", ""]


def test_means_carry_their_intervals_and_their_boxes():
    metrics = pd.DataFrame([figure("clean", "keypoint_ap", 0.5), figure("corrupted", "rpc", 0.5)])
    assert robust.mean_table(metrics)[["value", "low"]].to_numpy().tolist() == [[0.5, 0.4], [0.5, 0.4]]


def test_a_family_of_severities_has_its_own_mean():
    metrics = pd.DataFrame([
        figure("fog", "keypoint_ap", 0.4, severity=2), figure("corrupted", "mpc", 0.3),
        figure("corrupted", "mpc_fog", 0.4),
    ])  # fmt: skip
    table = robust.mean_table(metrics).set_index("figure")["value"]
    assert table["keypoint AP under corruption (mPC), fog"] == 0.4 and len(table) == 2


def test_joints_lose_the_mean_over_the_corrupted_conditions():
    rows = [
        figure(condition, "pck_nose", value)
        for condition, value in (("clean", 0.9), ("fog", 0.5), ("rain", 0.7))
    ]
    rows += [figure("fog", "pck_minus_clean", -0.2), figure("fog", "pck_nose", 0.1, boxes="truth")]
    table = robust.joint_losses(pd.DataFrame(rows)).set_index("keypoint")["value"]
    assert table["nose"] == pytest.approx(0.3)


def test_what_is_folded_stays_readable_and_its_summary_is_escaped():
    shown = robust.folded(Shown("<p>table</p>", "table"), "a < b")
    assert shown.html == "<details><summary>a &lt; b</summary><p>table</p></details>"
    assert shown.text == "table"
