"""Decoding of the fused file as ONNX nodes: what `runtime.decode` does in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pose_utils.errors import InputError
from pose_utils.zoo.graph_writer import GraphWriter
from pose_utils.zoo.specs import RTMDET_STRIDES, SIMCC_SPLIT_RATIO, ModelSpec


def candidates(graph: GraphWriter, outputs: Mapping[str, str], spec: ModelSpec) -> tuple[str, str]:
    """Returns boxes (1, n, 4) xyxy in input pixels and scores (1, 1, n) from a detector's outputs.

    Raises:
        InputError: The outputs are neither RTMDet's raw heads nor boxes with NMS behind them.
    """
    if "dets" in outputs:
        corners = graph.columns(outputs["dets"], 0, 4, axis=2)
        scores = graph.op("Squeeze", graph.columns(outputs["dets"], 4, 5, axis=2), graph.whole(2))
        person = graph.op("Equal", outputs["labels"], graph.constant(0, "int64"))
        kept = graph.op("Where", person, scores, graph.constant(0.0))
        return corners, graph.op("Unsqueeze", kept, graph.whole(1))
    if len(outputs) != 2 * len(RTMDET_STRIDES):
        raise InputError(f"{spec.name}: outputs {', '.join(outputs)} are not those of RTMDet")
    names = list(outputs.values())
    logits, distances = (
        graph.op(
            "Concat",
            *(graph.op("Reshape", name, graph.whole(1, depth, -1)) for name in part),
            axis=2,
        )
        for part, depth in ((names[:3], 1), (names[3:], 4))
    )
    width, height = spec.input_size
    grids = [np.mgrid[0:height:step, 0:width:step][::-1].reshape(1, 2, -1) for step in RTMDET_STRIDES]
    priors = graph.constant(np.concatenate(grids, axis=2))
    low = graph.op("Sub", priors, graph.columns(distances, 0, 2))
    high = graph.op("Add", priors, graph.columns(distances, 2, 4))
    zero = graph.constant(0.0)
    corners = graph.op("Max", graph.op("Concat", low, high, axis=1), zero)
    limits = np.float32([width, height, width, height]).reshape(1, 4, 1)
    corners = graph.op("Min", corners, graph.constant(limits))
    sides = graph.op("Sub", graph.columns(corners, 2, 4), graph.columns(corners, 0, 2))
    # A box without area is nobody's; NMS itself would keep it.
    least = graph.op("ReduceMin", sides, axes=[1], keepdims=1)
    scores = graph.op("Where", graph.op("Greater", least, zero), graph.op("Sigmoid", logits), zero)
    return graph.op("Transpose", corners, perm=[0, 2, 1]), scores


def suppressed(
    graph: GraphWriter, boxes: str, scores: str, max_persons: str, iou: str, min_score: str
) -> tuple[str, str]:
    """Returns the boxes (n, 4) and scores (n,) that NMS keeps, best first."""
    kept = graph.op("NonMaxSuppression", boxes, scores, max_persons, iou, min_score)
    chosen = graph.op("Squeeze", graph.columns(kept, 2, 3), graph.whole(1))
    boxes = graph.op("Gather", graph.op("Squeeze", boxes, graph.whole(0)), chosen)
    return boxes, graph.op("Gather", graph.op("Squeeze", scores, graph.whole(0, 1)), chosen)


def at_least_one(graph: GraphWriter, boxes: str) -> tuple[str, str]:
    """Returns the boxes, one of nobody in their place where there is none, and int64 (1,) how many are real.

    Runtimes refuse batches of 0 at different operators; `first` cuts the stand-in's results off again.
    """
    count = graph.columns(graph.op("Shape", boxes), 0, 1, axis=0)
    more = graph.op("Concat", boxes, graph.constant([[0, 0, 1, 1]]), axis=0)
    enough = graph.op("Max", count, graph.whole(1))
    return first(graph, more, enough), count


def first(graph: GraphWriter, tensor: str, count: str) -> str:
    """Returns the first `count` rows."""
    return graph.op("Slice", tensor, graph.whole(0), count, graph.whole(0))


def keypoints(graph: GraphWriter, outputs: Mapping[str, str], spec: ModelSpec) -> tuple[str, str]:
    """Returns keypoints (n, 17, 2) in crop pixels and scores (n, 17) from a pose network's outputs.

    Raises:
        InputError: The codec has no form in the fused file, or the outputs are not its own.
    """
    names = list(outputs.values())
    if spec.codec == "simcc" and len(names) == 2:
        return _simcc(graph, *names)
    if spec.codec == "heatmap" and len(names) == 1:
        return _heatmap(graph, names[0], spec)
    raise InputError(f"{spec.name}: outputs {', '.join(outputs)} cannot be decoded as {spec.codec}")


def _simcc(graph: GraphWriter, x_vectors: str, y_vectors: str) -> tuple[str, str]:
    peaks = [graph.op("ReduceMax", vectors, axes=[2], keepdims=0) for vectors in (x_vectors, y_vectors)]
    scores = graph.op("Min", *peaks)
    bins = [graph.cast(graph.op("ArgMax", vectors, axis=2, keepdims=1)) for vectors in (x_vectors, y_vectors)]
    found = _or_minus_one(graph, graph.op("Concat", *bins, axis=2), scores)
    return graph.op("Div", found, graph.constant(SIMCC_SPLIT_RATIO)), scores


def _heatmap(graph: GraphWriter, maps: str, spec: ModelSpec) -> tuple[str, str]:
    sides = graph.cast(graph.op("Gather", graph.op("Shape", maps), graph.whole(3, 2)))
    columns = graph.columns(graph.op("Shape", maps), 3, 4, axis=0)
    cells = graph.op("Reshape", maps, graph.whole(0, 0, -1))
    best = graph.op("ArgMax", cells, axis=2, keepdims=1)
    scores = graph.op("ReduceMax", cells, axes=[2], keepdims=0)
    y = graph.op("Div", best, columns)
    x = graph.op("Sub", best, graph.op("Mul", y, columns))
    last = graph.op("Sub", graph.op("Shape", cells), graph.whole(1))
    last = graph.columns(last, 2, 3, axis=0)
    places = []
    for place, other, step, order in ((x, y, graph.whole(1), 0), (y, x, columns, 1)):
        after, before = (
            graph.op("GatherElements", cells, graph.clipped(graph.op(kind, best, step), last), axis=2)
            for kind in ("Add", "Sub")
        )
        slope = graph.op("Mul", graph.op("Sign", graph.op("Sub", after, before)), graph.constant(0.25))
        inside = _refined(graph, graph.cast(place), graph.cast(other), sides, order)
        places.append(graph.op("Add", graph.cast(place), graph.op("Mul", slope, graph.cast(inside))))
    found = _or_minus_one(graph, graph.op("Concat", *places, axis=2), scores)
    factor = graph.op("Div", graph.constant(list(spec.input_size)), sides)
    return graph.op("Mul", found, factor), scores


def _refined(graph: GraphWriter, place: str, other: str, sides: str, order: int) -> str:
    """A peak moves only where 1 < place < side - 1 and 0 < other < its side, as mmpose's does."""
    side, its_side = (graph.columns(sides, axis, axis + 1, axis=0) for axis in (order, 1 - order))
    one = graph.constant(1.0)
    along = graph.op(
        "And",
        graph.op("Greater", place, one),
        graph.op("Less", place, graph.op("Sub", side, one)),
    )
    across = graph.op(
        "And", graph.op("Greater", other, graph.constant(0.0)), graph.op("Less", other, its_side)
    )
    return graph.op("And", along, across)


def _or_minus_one(graph: GraphWriter, places: str, scores: str) -> str:
    seen = graph.op("Greater", graph.op("Unsqueeze", scores, graph.whole(2)), graph.constant(0.0))
    return graph.op("Where", seen, places, graph.constant(-1.0))
