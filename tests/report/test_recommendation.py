"""What to deploy, from made-up records: never without an accuracy that was measured."""

from __future__ import annotations

import pandas as pd

from pose_utils.report.recommendation import recommend
from pose_utils.report.summary import answer

HERE = "On this machine"


def test_the_fastest_within_a_point_and_the_most_accurate_are_named_with_their_commands(synthetic):
    sentence, points = recommend(synthetic.latency(), synthetic.accuracy(bf16=0.004), HERE)
    assert sentence.startswith(
        "On this machine, use openvino-bf16-cpu with rtmdet-m+rtmpose-m (AP 0.696, 42."
    )
    assert "less than 1 AP point lost, and openvino-fp32-cpu" in sentence, (
        "the fastest of the equally accurate"
    )
    assert "--models rtmdet-m+rtmpose-m --backend openvino --precision bf16 --device cpu" in points[0]
    assert "--precision fp32" in points[1]
    assert "24 pictures" in points[2] and "4 of the 4 whole pipelines" in points[2]


def test_a_loss_of_a_point_is_too_much(synthetic):
    sentence, points = recommend(synthetic.latency(), synthetic.accuracy(bf16=0.0101), HERE)
    assert "bf16" not in sentence and "whatever is faster loses 1 AP point or more" in sentence
    assert sum(point.startswith("Run it") for point in points) == 1


def test_what_is_fastest_and_most_accurate_is_named_once(synthetic):
    sentence, _ = recommend(synthetic.latency(), synthetic.accuracy(torch=0.02, onnxruntime=0.02), HERE)
    assert "openvino-bf16-cpu" in sentence and "both fastest and most accurate" in sentence


def test_a_fused_file_is_recommended_with_the_command_that_makes_it(synthetic):
    fused = synthetic.latency().assign(pipeline="fused")
    sentence, points = recommend(fused, synthetic.accuracy(bf16=0.004), HERE)
    assert "openvino-bf16-cpu" in sentence
    assert "export --fused --models rtmdet-m+rtmpose-m --precision bf16" in points[0]


def test_video_rows_are_no_answer_for_single_frames(synthetic):
    assert recommend(synthetic.latency().assign(pipeline="video"), synthetic.accuracy(), HERE) is None


def test_without_a_measured_accuracy_nothing_is_recommended(synthetic):
    accuracy = synthetic.accuracy()
    assert recommend(synthetic.latency(), accuracy.assign(status="skipped", reason="random"), HERE) is None
    assert recommend(synthetic.latency(), accuracy.assign(boxes="truth"), HERE) is None
    assert recommend(synthetic.latency().assign(pipeline="pose"), accuracy, HERE) is None


def test_the_answer_begins_with_the_recommendation_and_keeps_the_speed(synthetic):
    tables = {"latency.parquet": synthetic.latency(), "accuracy.csv": synthetic.accuracy()}
    found = answer(tables, {"cpu": "A"})
    assert found.headline.startswith("On this machine (A), use openvino-bf16-cpu")
    assert any("6.1 times as fast as torch-fp32-cpu" in point for point in found.points)
    assert "Accuracy was not measured in this run." not in found.points


def test_models_beside_those_of_the_table_do_not_take_its_headline(synthetic):
    small = {"small-cpu": ("openvino", "bf16", 1.0, 0.5)}
    other = synthetic.latency(configs=small).assign(models="rtmdet-nano+rtmpose-t")
    found = answer({"latency.parquet": pd.concat([synthetic.latency(), other])}, {})
    assert found.headline.startswith("On this machine, openvino-bf16-cpu runs rtmdet-m+rtmpose-m fastest")


def test_the_answer_says_when_its_accuracy_is_that_of_demo_weights(synthetic):
    said = "rtmdet-nano-demo+rtmpose-t-demo: small demo weights that stand in for released ones."
    metrics = synthetic.metrics()
    for models, expected in (("rtmdet-nano+rtmpose-m", False), ("rtmdet-nano-demo+rtmpose-t-demo", True)):
        points = answer({"metrics.csv": metrics.assign(models=models)}, {}).points
        assert any(said in point for point in points) == expected
