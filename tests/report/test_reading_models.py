"""Sentences and tables of notebooks 02 and 03 say what their records say."""

from pose_utils.report.reading import layer_sentence, layer_table


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
