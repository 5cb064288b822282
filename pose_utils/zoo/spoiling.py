"""ONNX graphs in which chosen layers compute in 8 or 16 bits, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS = ("Conv", "MatMul", "Gemm")
"""What does nearly all the arithmetic of these networks."""

ACTIVATION_LEVELS = 255
WEIGHT_BITS = 7
"""CPUs without VNNI add pairs of 8-bit products in 16 bits; with 7-bit weights that cannot overflow."""

Range = tuple[float, float]


def layers_of(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Returns the convolutions and matrix products of a model, in its order."""
    return [node for node in model.graph.node if node.op_type in LAYERS]


def inputs_of(model: onnx.ModelProto) -> list[str]:
    """Returns the tensors that enter its layers and are no constants, each once."""
    constants = {tensor.name for tensor in model.graph.initializer}
    names = (name for node in layers_of(model) for name in node.input[:2] if name not in constants)
    return list(dict.fromkeys(names))


def with_eight_bits(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    layers: Collection[str],
    weight_bits: int = WEIGHT_BITS,
    symmetric: bool = False,
) -> onnx.ModelProto:
    """Returns a copy whose chosen layers get 8-bit inputs and weights, as QDQ: standard operators only.

    Inputs are uint8 with one scale and zero point a tensor, weights int8 with one scale an output channel.
    What a layer gives stays FP32, because the range of what SiLU takes is more than 255 steps resolve.

    Args:
        model: FP32, every node named.
        ranges: For each of `inputs_of`, its least and greatest value; beyond them values are clipped.
        layers: Names of the layers.
        weight_bits: 8, or 7 where the sum of two products must fit 16 bits.
        symmetric: Inputs become int8 about 0, which is all that TensorRT takes.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = _Insertions(changed.graph)
    for node in changed.graph.node:
        if node.op_type not in LAYERS or node.name not in layers:
            continue
        for place, name in enumerate(node.input[:2]):
            if name in graph.constants:
                node.input[place] = graph.once(f"{name}/int8", _weights, node, weight_bits)
            else:
                node.input[place] = graph.once(
                    f"{name}/dequantized", _activations, name, ranges[name], symmetric
                )
    return graph.finished(changed)


def with_half_precision(model: onnx.ModelProto, layers: Collection[str]) -> onnx.ModelProto:
    """Returns a copy whose chosen nodes round inputs, weights and outputs to FP16 and add up in FP32."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = _Insertions(changed.graph)
    kinds = _element_types(model)
    for node in changed.graph.node:
        if node.name not in layers:
            continue
        for place, name in enumerate(node.input):
            if kinds.get(name) == TensorProto.FLOAT:
                node.input[place] = graph.once(f"{name}/half", _rounded, name)
        for place, name in enumerate(node.output):
            if kinds.get(name) == TensorProto.FLOAT:
                node.output[place] = f"{name}/whole"
                graph.behind(f"{name}/whole", _rounding(f"{name}/whole", name))
    return graph.finished(changed)


class _Insertions:
    """Collects nodes and constants that go into a graph, each right behind the tensor that it reads."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self._behind: dict[str, list[onnx.NodeProto]] = {}
        self._front: list[onnx.NodeProto] = []
        self._made: set[str] = set()

    def once(self, name: str, make: object, *arguments: object) -> str:
        """Calls `make(self, name, *arguments)` where tensor `name` is not there yet, and returns the name."""
        if name not in self._made:
            self._made.add(name)
            make(self, name, *arguments)
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def front(self, nodes: Sequence[onnx.NodeProto]) -> None:
        self._front.extend(nodes)

    def behind(self, tensor: str, nodes: Sequence[onnx.NodeProto]) -> None:
        self._behind.setdefault(tensor, []).extend(nodes)

    def finished(self, model: onnx.ModelProto) -> onnx.ModelProto:
        nodes = list(self.graph.node)
        del self.graph.node[:]
        self.graph.node.extend(self._front)
        for entry in (*self.graph.input, *self.graph.initializer):
            self.graph.node.extend(self._behind.pop(entry.name, ()))
        for node in nodes:
            self.graph.node.append(node)
            for name in node.output:
                self.graph.node.extend(self._behind.pop(name, ()))
        used = {name for node in self.graph.node for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        return model


def _weights(graph: _Insertions, name: str, node: onnx.NodeProto, bits: int) -> None:
    values = numpy_helper.to_array(graph.constants[node.input[1]])
    # Output channels come first in a convolution and last in a matrix product.
    axis = 0 if node.op_type == "Conv" else values.ndim - 1
    others = tuple(each for each in range(values.ndim) if each != axis)
    scale = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-12) / (2 ** (bits - 1) - 1)
    whole = np.round(values / scale).astype("int8")
    parts = [
        graph.constant(f"{name}/values", whole),
        graph.constant(f"{name}/scale", scale.reshape(-1).astype("float32")),
        graph.constant(f"{name}/zero", np.zeros(values.shape[axis], "int8")),
    ]
    graph.front([helper.make_node("DequantizeLinear", parts, [name], name=name, axis=axis)])


def _activations(graph: _Insertions, name: str, tensor: str, limits: Range, symmetric: bool) -> None:
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    if symmetric:
        step, middle = max(-low, high, 1e-10) / 127, np.int8(0)
    else:
        step = max((high - low) / ACTIVATION_LEVELS, 1e-12)
        middle = np.uint8(round(-low / step))
    scale = graph.constant(f"{name}/scale", np.float32(step))
    zero = graph.constant(f"{name}/zero", middle)
    nodes = [
        helper.make_node("QuantizeLinear", [tensor, scale, zero], [f"{name}/whole"], name=f"{name}/quantize"),
        helper.make_node(
            "DequantizeLinear", [f"{name}/whole", scale, zero], [name], name=f"{name}/dequantize"
        ),
    ]
    graph.behind(tensor, nodes)


def _rounded(graph: _Insertions, name: str, tensor: str) -> None:
    graph.behind(tensor, _rounding(tensor, name))


def _rounding(tensor: str, name: str) -> list[onnx.NodeProto]:
    half = f"{name}/as_half"
    return [
        helper.make_node("Cast", [tensor], [half], name=f"{name}/narrow", to=TensorProto.FLOAT16),
        helper.make_node("Cast", [half], [name], name=f"{name}/widen", to=TensorProto.FLOAT),
    ]


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    told = (*graph.input, *graph.value_info, *graph.output)
    return kinds | {entry.name: entry.type.tensor_type.elem_type for entry in told}
