"""Sentences and tables of notebooks 02 and 03 say what their records say."""

import pandas as pd

from pose_utils.report.reading import layer_sentence, layer_table, not_run, parity_table, proof_table


def test_the_sentence_on_layers_counts_what_stays_and_names_the_worst(synthetic):
    said = layer_sentence(synthetic.layers())
    assert "rtmdet-nano in FP16: 2 of 6 layers stay FP32" in said
    assert "/matmul_2 (MatMul), alone leaves 13 dB" in said
    assert "rtmpose-t" not in said


def test_without_a_layer_the_sentence_points_to_the_table(synthetic):
    layers = synthetic.layers()
    assert "the table says why" in layer_sentence(layers[layers["status"] != "ok"])


def test_the_table_holds_the_worst_of_each_file_and_every_reason(synthetic):
    table = layer_table(synthetic.layers(), most=2)
    assert table.groupby(["model", "precision"]).size().to_dict() == {
        ("rtmdet-nano", "fp16"): 2, ("rtmdet-nano", "int8"): 2, ("rtmpose-t", "fp16"): 1,
    }  # fmt: skip
    assert set(table.loc[table["status"] == "ok", "kind"]) == {"MatMul"}
    assert "random weights" in set(table["reason"])


def test_parity_is_read_by_artefact_and_what_did_not_run_by_reason(synthetic):
    table = parity_table(synthetic.parity())
    assert len(table) == 5 and table.loc[0, "artefact"] == "rtmdet-nano, onnxruntime FP32"
    assert table.loc[0, "compared"] == "boxes, px"
    lost = not_run(synthetic.parity(), "model")
    assert lost["artefact"].tolist() == ["rtmpose-m, tensorrt FP32"] and "libnvinfer" in lost.loc[0, "reason"]


def test_the_proof_gives_changes_in_points_with_their_intervals():
    figures = {
        "status": "ok",
        "files": "fused",
        "backend": "openvino",
        "precision": "int8",
        "size_bytes": 2e6,
    }
    pose = {"keypoint_change": -0.0112, "keypoint_low": -0.02, "keypoint_high": 0.001}
    person = {f"person_{name}": float("nan") for name in ("change", "low", "high")}
    row = proof_table(pd.DataFrame([figures | pose | person])).iloc[0]
    assert row["artefact"] == "fused, openvino INT8" and row["size_mb"] == 2
    assert row["keypoints_change"] == "-1.12 (-2.00 to 0.10)" and row["boxes_change"] == ""
