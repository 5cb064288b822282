"""The answer: computed from records, with its caveats, and silent about what wasn't measured."""

from __future__ import annotations

import pytest

from pose_utils.report.summary import answer, machine


def test_speed_up_names_its_baseline_and_interval(synthetic):
    headline = answer({"latency.parquet": synthetic.latency()}, {}).headline
    assert headline.startswith("On this machine, openvino-bf16-cpu runs rtmdet-m+rtmpose-m fastest: 42.0 ms")
    assert "6.1 times as fast as torch-fp32-cpu" in headline


def test_random_weights_are_a_caveat(synthetic):
    points = answer({"latency.parquet": synthetic.latency(weights="random")}, {}).points
    assert any("weights are random" in point for point in points)


def test_int8_of_random_weights_is_not_the_last_word(synthetic):
    timed = {"a": ("openvino", "int8", 20.0, 5.0), "b": ("openvino", "fp32", 40.0, 9.0)}
    points = answer({"latency.parquet": synthetic.latency(weights="random", configs=timed)}, {}).points
    assert any("fastest without it: b, " in point for point in points)
    trained = answer({"latency.parquet": synthetic.latency(configs=timed)}, {}).points
    assert not any("INT8" in point for point in trained)


def test_rows_that_cannot_be_told_apart_are_named(synthetic):
    alike = {"a-cpu": ("openvino", "fp32", 31.0, 5.7), "b-cpu": ("onnxruntime", "fp32", 31.0, 5.7)}
    points = answer({"latency.parquet": synthetic.latency(configs=alike)}, {}).points
    assert any("can't tell" in point and "overlap" in point for point in points)


def test_the_pose_stage_alone_is_no_answer(synthetic):
    rows = synthetic.latency().assign(pipeline="pose")
    assert "stays open" in answer({"latency.parquet": rows}, {}).headline


def test_accuracy_and_the_worst_condition(synthetic):
    points = " ".join(answer({"metrics.csv": synthetic.metrics()}, {}).points)
    assert "keypoint AP 0.580" in points and "costs most: keypoint AP 0.450" in points


def test_without_truth_the_comparison_is_named(synthetic):
    rows = synthetic.metrics().query("metric == 'detection_rate'").assign(metric="persons_kept")
    assert "No ground truth" in " ".join(answer({"metrics.csv": rows}, {}).points)


def test_what_was_left_out_is_counted(synthetic):
    points = answer({"backends.csv": synthetic.backends(), "configs.csv": synthetic.configs()}, {}).points
    assert "Of 6 models on back ends, 1 skipped and 1 failed; the tables say why." in points
    assert "Of 6 configurations, 2 skipped; the tables say why." in points


def test_an_empty_run_has_an_answer_too():
    assert "stays open" in answer({}, {}).headline
    assert answer({}, {}).points == ("Accuracy was not measured in this run.",)


@pytest.mark.parametrize(
    ("info", "named"),
    [
        ({"cpu": "A"}, "A"),
        ({"hardware": {"cpu": "A", "gpu": "B"}}, "A, B"),
        ({"cpu": "A", "gpu": "none"}, "A"),
        ({}, ""),
    ],
)
def test_the_machine_is_named_from_run_json(info, named):
    assert machine(info) == named
