"""How much noise INT8 puts into each layer: which layers can take it, and which stay FP32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import numpy_helper

LAYERS = ("Conv", "MatMul", "Gemm")
LEVELS = 255
PICTURES = 6
"""Calibration inputs that noise is measured on; each holds thousands of values a layer."""


def layer_noise(path: Path, samples: Sequence[np.ndarray]) -> pd.DataFrame:
    """Measures what 8 bits do to the activations and weights that enter each layer.

    Activations get one scale a tensor, from their least to their greatest value over the samples;
    weights one scale an output channel, as `zoo.quantize` has them.

    Args:
        path: An FP32 ONNX file whose nodes have names.
        samples: Network inputs float32 (1, 3, h, w).

    Returns:
        layer, kind, signal_db (signal over noise of activations and weights together, in decibels),
        activations_db, weights_db; the most sensitive layer first.
    """
    import onnxruntime

    model = onnx.load(path)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in LAYERS]
    wanted = list(dict.fromkeys(node.input[0] for node in layers if node.input[0] not in weights))
    known = {each.name for each in (*model.graph.output, *model.graph.input)}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = session.get_inputs()[0].name
    inside = [name for name in wanted if name != given]
    runs = [session.run(inside, {given: sample}) for sample in samples[:PICTURES]]
    seen = {name: [run[index] for run in runs] for index, name in enumerate(inside)}
    seen[given] = list(samples[:PICTURES])
    activations = {name: _noise(np.concatenate([each.ravel() for each in seen[name]])) for name in wanted}
    rows = []
    for node in layers:
        noise = [activations.get(node.input[0], 0.0), _weight_noise(node, weights)]
        shares = [sum(noise), *noise]
        rows.append([node.name, node.op_type, *(-10 * np.log10(max(share, 1e-12)) for share in shares)])
    table = pd.DataFrame(rows, columns=["layer", "kind", "signal_db", "activations_db", "weights_db"])
    return table.sort_values("signal_db", ignore_index=True)


def _weight_noise(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> float:
    if node.input[1] not in weights:
        return 0.0
    values = numpy_helper.to_array(weights[node.input[1]])
    # Output channels come first in a convolution and last in a matrix product.
    channels = (
        values.reshape(len(values), -1) if node.op_type == "Conv" else values.reshape(-1, values.shape[-1]).T
    )
    limits = np.maximum(np.abs(channels).max(axis=1, keepdims=True), 1e-12)
    rounded = np.round(channels / limits * 127) / 127 * limits
    return _share(channels, rounded)


def _noise(values: np.ndarray) -> float:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    step = max(high - low, 1e-12) / LEVELS
    return _share(values, np.round(values / step) * step)


def _share(values: np.ndarray, rounded: np.ndarray) -> float:
    """Noise power over signal power."""
    return float(np.square(values - rounded).mean() / max(float(np.square(values).mean()), 1e-24))
