"""Writes an ONNX graph node by node, whole models spliced in: standard operators, one opset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from pose_utils.errors import InputError

IR_VERSION = 8
"""The one of opset 17; a newer one would only shut out older runtimes."""


class GraphWriter:
    """Collects nodes and constants; every method returns the name of what it wrote."""

    def __init__(self, opset: int) -> None:
        """Starts an empty graph of standard operators at `opset`."""
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Adds a node with one output and returns that output's name."""
        self._count += 1
        name = f"{kind.lower()}_{self._count}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: object, dtype: str = "float32") -> str:
        """Adds a constant tensor; a plain number becomes a scalar."""
        self._count += 1
        name = f"constant_{self._count}"
        self._initializers.append(numpy_helper.from_array(np.array(values, dtype=dtype), name))
        return name

    def whole(self, *values: int) -> str:
        """Adds an int64 vector: axes, sizes, positions."""
        return self.constant(list(values), "int64")

    def clipped(self, index: str, last: str) -> str:
        """Limits an int64 tensor to 0..last."""
        return self.op("Min", self.op("Max", index, self.whole(0)), last)

    def cast(self, tensor: str, dtype: str = "float32") -> str:
        """Casts a tensor to a NumPy dtype."""
        return self.op("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def columns(self, tensor: str, start: int, stop: int, axis: int = 1) -> str:
        """Cuts `start:stop` out of one axis."""
        return self.op("Slice", tensor, *map(self.whole, (start, stop, axis)))

    def take_input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Declares an input that must be given; strings are dynamic sides."""
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, element, list(shape)))
        return name

    def take_setting(self, name: str, value: float | int, dtype: str) -> str:
        """Declares a scalar input with a default: in ONNX, an input that is a constant as well."""
        self._initializers.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return self.take_input(name, dtype, [])

    def give(self, tensor: str, name: str, shape: Sequence[int | str]) -> None:
        """Declares a float32 output."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name], name=f"give_{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def splice(self, model: onnx.ModelProto, prefix: str, tensor: str) -> dict[str, str]:
        """Puts a whole model of one input into the graph, fed with `tensor`.

        Returns:
            The model's own output names -> their names in this graph.

        Raises:
            InputError: The model uses operators that are not ONNX's own, or cannot be brought to this opset.
        """
        foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
        if foreign:
            raise InputError(f"{prefix}: operators of {', '.join(foreign)} are not standard ONNX")
        own = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        if own != self._opset:
            try:
                model = version_converter.convert_version(model, self._opset)
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                raise InputError(f"{prefix}: opset {own} cannot become {self._opset}: {reason}") from error
        constants = {entry.name for entry in model.graph.initializer}
        inputs = [entry.name for entry in model.graph.input if entry.name not in constants]
        outputs = [entry.name for entry in model.graph.output]
        if len(inputs) != 1:
            raise InputError(f"{prefix}: a network of one input is expected, it has {', '.join(inputs)}")
        graph = compose.add_prefix(model, f"{prefix}/").graph
        self._nodes.append(helper.make_node("Identity", [tensor], [f"{prefix}/{inputs[0]}"]))
        self._nodes.extend(graph.node)
        self._initializers.extend(graph.initializer)
        return {name: f"{prefix}/{name}" for name in outputs}

    def model(self, name: str, metadata: dict[str, str]) -> onnx.ModelProto:
        """Returns the checked model."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._initializers)
        opset = helper.make_operatorsetid("", self._opset)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model
