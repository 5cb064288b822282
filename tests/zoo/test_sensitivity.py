"""Noise of 8 and 16 bits in single layers, and the files that follow from it."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from pose_utils.zoo import export, quantize, sensitivity
from pose_utils.zoo.sensitivity import activation_ranges, layer_noise, tolerable
from pose_utils.zoo.spoiling import layers_of, with_eight_bits


@pytest.fixture
def two_layers(tmp_path):
    """Two 1 x 1 convolutions: the second one's input has an outlier that takes up the whole range."""
    rng = np.random.default_rng(0)
    values = {
        "plain": rng.choice([-1.0, 1.0], (8, 3, 1, 1)), "spiky": rng.choice([-1.0, 1.0], (4, 8, 1, 1)),
        "outlier": np.where(np.arange(64).reshape(1, 1, 8, 8) == 0, 3000.0, 0.0),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["input", "plain"], ["a"], name="even"),
        helper.make_node("Add", ["a", "outlier"], ["b"], name="spoil"),
        helper.make_node("Conv", ["b", "spiky"], ["out"], name="/head/uneven"),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 4, 8, 8])],
        [numpy_helper.from_array(value.astype("float32"), name) for name, value in values.items()],
    )
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_operatorsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    return [rng.uniform(-1, 1, (1, 3, 8, 8)).astype("float32") for _ in range(4)]


def noise_of(path, samples):
    model = onnx.load(path)
    ranges = activation_ranges(model, samples)
    return layer_noise(
        model, layers_of(model), lambda whole, names: with_eight_bits(whole, ranges, names), samples
    )


def test_noise_of_uniform_values_is_what_theory_gives(two_layers, samples):
    """The first layer's values are uniform and its weights exact: rounding noise of 255 steps, 48.1 dB."""
    model = onnx.load(two_layers)
    del model.graph.node[1:]
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 8, 8, 8]))
    ranges = activation_ranges(model, samples)
    table = layer_noise(
        model, layers_of(model), lambda whole, names: with_eight_bits(whole, ranges, names), samples
    )
    assert table.loc[0, "signal_db"] == pytest.approx(48.1, abs=1)


def test_the_most_sensitive_layer_comes_first(two_layers, samples):
    table = noise_of(two_layers, samples)
    assert (np.diff(table["noise"]) <= 0).all() and set(table["layer"]) == {"even", "/head/uneven"}


def test_the_quietest_layers_are_taken_while_their_sum_allows():
    table = pd.DataFrame({"layer": list("abcd"), "noise": [0.5, 0.004, 0.005, 0.002]})
    assert tolerable(table, 20.0) == ["d", "b"]
    assert tolerable(table, 10.0) == ["d", "b", "c"]
    assert tolerable(table, 60.0) == []


def test_an_outlier_is_clipped_and_an_even_range_is_not():
    assert sensitivity._best_range(np.linspace(-1, 3, 5000)) == pytest.approx((-1, 3), rel=0.05)
    spiky = np.append(np.random.default_rng(0).normal(0, 1, 1_000_000), 12.0)
    assert sensitivity._best_range(spiky)[1] < 10.0


def test_the_int8_file_is_standard_close_says_its_layers_and_is_made_once(two_layers, samples, monkeypatch):
    monkeypatch.setitem(quantize.LEAST_SIGNAL_DB, "int8", 5.0)
    path = quantize.int8_onnx(two_layers, "0" * 64, samples)
    model = onnx.load(path)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    table = quantize.variant_layers(path)
    assert set(table["layer"]) == {"even", "/head/uneven"} and not table["stays"].all()
    assert export.read_metadata(path)["precision"] == "int8"
    whole = [tensor for tensor in model.graph.initializer if tensor.name.endswith("/int8/values")]
    assert whole and all(np.abs(numpy_helper.to_array(tensor)).max() <= 63 for tensor in whole), "7 bits"
    given = {"input": samples[0]}
    ours, theirs = (
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, given)[0]
        for file in (path, two_layers)
    )
    assert np.abs(ours - theirs).max() > 0
    before = path.stat().st_mtime_ns
    assert quantize.int8_onnx(two_layers, "0" * 64, samples).stat().st_mtime_ns == before
    assert quantize.int8_onnx(two_layers, "0" * 64, samples[:2]) != path, "other pictures, another file"


def test_random_weights_keep_heads_and_depthwise_layers_by_name(two_layers, samples):
    table = quantize.variant_layers(quantize.int8_onnx(two_layers, "1" * 64, samples, trained=False))
    assert table.set_index("layer")["stays"].to_dict() == {"even": False, "/head/uneven": True}


def test_a_layer_that_overflows_in_fp16_is_found_and_stays(two_layers, samples):
    model = onnx.load(two_layers)
    for tensor in model.graph.initializer:
        if tensor.name == "outlier":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 100, "outlier"))
    onnx.save(model, two_layers)
    table = quantize.fp16_layers(two_layers, samples).set_index("layer")
    assert table.loc["/head/uneven", "stays"] and not table.loc["even", "stays"]
    path = quantize.fp16_onnx(two_layers, "2" * 64, samples)
    types = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert types["plain"] == TensorProto.FLOAT16 and types["spiky"] == TensorProto.FLOAT
