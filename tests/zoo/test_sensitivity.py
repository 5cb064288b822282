"""Noise of 8 bits against figures worked out by hand, and the INT8 file that follows from it."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pose_utils.zoo import quantize
from pose_utils.zoo.sensitivity import layer_noise


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


def test_uniform_values_have_the_noise_that_theory_gives(two_layers, samples):
    table = layer_noise(two_layers, samples).set_index("layer")
    # Values uniform over a range r have power r²/12 and rounding noise (r/255)²/12: 255² = 48.1 dB.
    assert table.loc["even", "activations_db"] == pytest.approx(48.1, abs=0.5)
    assert table.loc["even", "weights_db"] > 100, "weights of -1 and 1 are exact in 8 bits"


def test_the_most_sensitive_layer_comes_first(two_layers, samples):
    table = layer_noise(two_layers, samples)
    assert (np.diff(table["signal_db"]) > 0).all() and set(table["layer"]) == {"even", "/head/uneven"}


def test_heads_are_left_out_by_name_and_noisy_layers_by_noise(two_layers, samples, monkeypatch):
    monkeypatch.setattr(quantize, "LEAST_SIGNAL_DB", 0.0)
    assert quantize.sensitive_layers(two_layers, samples) == ["/head/uneven"]
    monkeypatch.setattr(quantize, "LEAST_SIGNAL_DB", 200.0)
    assert set(quantize.sensitive_layers(two_layers, samples)) == {"even", "/head/uneven"}


def test_the_int8_file_is_standard_close_and_made_once(two_layers, samples):
    path = quantize.int8_onnx(two_layers, "0" * 64, samples)
    model = onnx.load(path)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    quantised = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert quantised and not any("uneven" in node.name for node in quantised)
    given = {"input": samples[0]}
    ours, theirs = (
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, given)[0]
        for file in (path, two_layers)
    )
    assert 0 < np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()
    before = path.stat().st_mtime_ns
    assert quantize.int8_onnx(two_layers, "0" * 64, samples).stat().st_mtime_ns == before
    assert quantize.int8_onnx(two_layers, "0" * 64, samples[:2]) != path, "other pictures, another file"
