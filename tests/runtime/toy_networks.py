"""Networks whose answers can be foretold: bright cells are persons, and fixed random weights find joints."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pose_utils.zoo.artifacts import from_file
from pose_utils.zoo.specs import get_spec

REACH = 20.0
"""Every bright cell of 8 input pixels is the corner of a box that reaches so far to all sides."""
SIDE = 320


def toy_detector(folder):
    """RTMDet's six raw outputs at 320 x 320; a cell that is white has logit 10, all else is far below 0."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["grey"], axes=[1]),
        helper.make_node("AveragePool", ["grey"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Sub", ["cells", "middle"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["logits_8"]),
    ]
    constants = {"middle": 1.5, "steep": 11.0, "never": -20.0, "reach": REACH, "nothing": 0.0}
    for stride in (16, 32):
        pool = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes += [
            helper.make_node("AveragePool", ["grey"], [f"cells_{stride}"], **pool),
            helper.make_node("Mul", [f"cells_{stride}", "nothing"], [f"flat_{stride}"]),
            helper.make_node("Add", [f"flat_{stride}", "never"], [f"logits_{stride}"]),
        ]
    for stride, source in ((8, "cells"), (16, "cells_16"), (32, "cells_32")):
        nodes += [
            helper.make_node("Mul", [source, "nothing"], [f"zero_{stride}"]),
            helper.make_node("Add", [f"zero_{stride}", "reach"], [f"one_{stride}"]),
            helper.make_node("Concat", [f"one_{stride}"] * 4, [f"distances_{stride}"], axis=1),
        ]
    names = [f"{kind}_{stride}" for kind in ("logits", "distances") for stride in (8, 16, 32)]
    path = _saved(folder / "toy-detector.onnx", nodes, constants, (SIDE, SIDE), names)
    return from_file(path, "rtmdet", get_spec("rtmdet-nano"))


def toy_simcc(folder):
    """SimCC vectors that are fixed random mixtures of the crop's column and row means."""
    rng = np.random.default_rng(5)
    nodes, constants = [], {}
    for name, axes, side in (("x", [1, 2], 192), ("y", [1, 3], 256)):
        constants[f"mix_{name}"] = rng.normal(size=(side, 17 * 2 * side)).astype("float32")
        constants[f"shape_{name}"] = np.array([-1, 17, 2 * side], "int64")
        nodes += [
            helper.make_node("ReduceMean", ["input"], [f"profile_{name}"], axes=axes, keepdims=0),
            helper.make_node("MatMul", [f"profile_{name}", f"mix_{name}"], [f"mixed_{name}"]),
            helper.make_node("Reshape", [f"mixed_{name}", f"shape_{name}"], [f"simcc_{name}"]),
        ]
    path = _saved(folder / "toy-simcc.onnx", nodes, constants, (256, 192), ["simcc_x", "simcc_y"])
    return from_file(path, "simcc", get_spec("rtmpose-t"))


def toy_heatmap(folder):
    """Heatmaps (n, 17, 64, 48): fixed random filters on the crop's 4 x 4 means."""
    kernel = np.random.default_rng(6).normal(size=(17, 3, 9, 9)).astype("float32")
    nodes = [
        helper.make_node("AveragePool", ["input"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["small", "kernel"], ["heatmaps"], pads=[4] * 4),
    ]
    path = _saved(folder / "toy-heatmap.onnx", nodes, {"kernel": kernel}, (256, 192), ["heatmaps"])
    return from_file(path, "heatmap", get_spec("pp-tinypose"))


def frame_with(cells, height, width, seed=0):
    """A dim frame whose letterbox is white at these (column, row) cells of 8 x 8 pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (9 + 3 * plane)) * np.cos(y / (7 + 2 * plane)) for plane in range(3)]
    frame = np.clip(45 + 40 * np.stack(waves, axis=2) + rng.normal(0, 3, (height, width, 3)), 0, 90)
    scale = SIDE / max(height, width)
    for column, row in cells:
        left, top = (int(np.floor((8 * cell - 1) / scale)) for cell in (column, row))
        right, bottom = (int(np.ceil((8 * cell + 9) / scale)) for cell in (column, row))
        frame[max(top, 0) : bottom, max(left, 0) : right] = 255
    return frame.astype("uint8")


def _saved(path, nodes, constants, size, outputs):
    values = [
        numpy_helper.from_array(np.array(v, getattr(v, "dtype", "float32")), n) for n, v in constants.items()
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, *size])
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, path.stem, [given], told, values)
    model = helper.make_model(graph, opset_imports=[helper.make_operatorsetid("", 13)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path
