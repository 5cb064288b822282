"""Sampling of the fused file as ONNX nodes: what `runtime.geometry` does with OpenCV.

Both are OpenCV's to the last bit or nearly so, because networks answer a single grey level: the letterbox
with cv2.resize's fixed-point rounding, without which scores of the nano detector differ in the fourth digit;
the person crops with the float32 arithmetic of cv2.warpAffine in OpenCV 5, without which heatmap peaks of
equal height change places. Without rotation a sample's x depends on its column alone, its y on its row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_utils.zoo.graph_writer import GraphWriter
from pose_utils.zoo.specs import RTMDET_PAD, ModelSpec


def float_frame(graph: GraphWriter, frame: str) -> tuple[str, str]:
    """Turns the uint8 frame (1, h, w, 3) into float32, and returns its int64 (w, h) as well.

    The cast comes first: TensorRT takes uint8 inputs into nothing else.
    """
    pixels = graph.cast(frame)
    return pixels, graph.op("Gather", graph.op("Shape", pixels), graph.whole(2, 1))


def letterbox(graph: GraphWriter, frame: str, size: str, spec: ModelSpec) -> tuple[str, str]:
    """Returns the detector's input (1, 3, height, width), and the float32 scale (x, y) that led to it."""
    width, height = spec.input_size
    new_size = _fitted_size(graph, size, width, height)
    scale = graph.op("Div", graph.cast(new_size), graph.cast(size))
    rows = _taps(graph, size, new_size, 1, height)
    columns = _taps(graph, size, new_size, 0, width)
    blended = [_horizontally(graph, graph.op("Gather", frame, row, axis=1), columns) for row in rows[:2]]
    quarters = [
        graph.op("Floor", graph.op("Mul", line, graph.op("Mul", weight, graph.constant(0.25**8))))
        for line, weight in zip(blended, rows[2:], strict=True)
    ]
    total = graph.op("Add", graph.op("Add", *quarters), graph.constant(2.0))
    resized = graph.op("Floor", graph.op("Mul", total, graph.constant(0.25)))
    across, down = np.arange(width), np.arange(height)[:, None]
    resized = graph.op("Transpose", resized, perm=[0, 3, 1, 2])
    inside = graph.op(
        "And",
        graph.op("Less", graph.constant(across, "int64"), graph.columns(new_size, 0, 1, axis=0)),
        graph.op("Less", graph.constant(down, "int64"), graph.columns(new_size, 1, 2, axis=0)),
    )
    padded = graph.op("Where", inside, resized, graph.constant(float(RTMDET_PAD)))
    return _normalised(graph, padded, spec), scale


def _fitted_size(graph: GraphWriter, size: str, width: int, height: int) -> str:
    """int(side * scale + .5) without rounding errors: with scale = fit / of, (2 side fit + of) / (2 of)."""
    across, down = graph.columns(size, 0, 1, axis=0), graph.columns(size, 1, 2, axis=0)
    wide, high = graph.whole(width), graph.whole(height)
    flat = graph.op("LessOrEqual", graph.op("Mul", down, wide), graph.op("Mul", across, high))
    fit, of = graph.op("Where", flat, wide, high), graph.op("Where", flat, across, down)
    two = graph.whole(2)
    doubled = graph.op("Add", graph.op("Mul", graph.op("Mul", size, fit), two), of)
    rounded = graph.op("Div", doubled, graph.op("Mul", of, two))
    limit = graph.whole(width, height)
    return graph.op("Max", graph.op("Min", rounded, limit), graph.whole(1))


def _taps(graph: GraphWriter, size: str, new_size: str, axis: int, count: int) -> list[str]:
    """Returns the two source lines of every target line, and their weights in 1/2048, as cv2.resize has them.

    Target i reads the source at ((2 i + 1) old - new) / (2 new), a number that OpenCV keeps as float32.
    """
    old, new = (graph.columns(each, axis, axis + 1, axis=0) for each in (size, new_size))
    odd = graph.constant(2 * np.arange(count) + 1, "int64")
    one = graph.whole(1)
    doubled = graph.op("Add", new, new)
    # One line further, so that the division of whole numbers rounds down.
    above = graph.op("Add", graph.op("Mul", odd, old), new)
    line = graph.op("Div", above, doubled)
    rest = graph.op("Sub", above, graph.op("Mul", line, doubled))
    fraction = graph.op("Div", graph.cast(rest), graph.cast(doubled))
    place = graph.op("Add", graph.cast(graph.op("Sub", line, one)), fraction)
    floor = graph.op("Floor", place)
    share = graph.op("Sub", place, floor)
    low, last = graph.cast(floor, "int64"), graph.op("Sub", old, one)
    high = graph.op("Add", low, one)
    if axis == 0:  # OpenCV takes columns beyond the edge as they are, and blends rows with themselves
        started = graph.op("GreaterOrEqual", low, graph.whole(0))
        between = graph.op("And", started, graph.op("Less", low, last))
        share = graph.op("Where", between, share, graph.constant(0.0))
    lines = [graph.clipped(index, last) for index in (low, high)]
    shares = [graph.op("Sub", graph.constant(1.0), share), share]
    weights = [graph.op("Round", graph.op("Mul", each, graph.constant(2048.0))) for each in shares]
    axes = graph.whole(1, 2) if axis == 1 else graph.whole(1)  # to broadcast over (1, h, w, 3)
    return [*lines, *(graph.op("Unsqueeze", each, axes) for each in weights)]


def _horizontally(graph: GraphWriter, lines: str, columns: list[str]) -> str:
    """Blends columns in 1/2048 and drops four bits, in float32 that holds these whole numbers exactly."""
    parts = [
        graph.op("Mul", graph.op("Gather", lines, index, axis=2), weight)
        for index, weight in zip(columns[:2], columns[2:], strict=True)
    ]
    return graph.op("Floor", graph.op("Mul", graph.op("Add", *parts), graph.constant(1 / 16)))


def person_crops(
    graph: GraphWriter, frame: str, size: str, boxes: str, spec: ModelSpec
) -> tuple[str, str, str]:
    """Cuts the persons out as `geometry.person_affines` and `crop_persons` do.

    Args:
        graph: Takes the nodes.
        frame: float32 (1, h, w, 3).
        size: int64 (w, h).
        boxes: float32 (n, 4) xyxy in frame pixels.
        spec: The pose model.

    Returns:
        The pose network's input (n, 3, height, width), and the map from frame to crop pixels in float64:
        its scale (n, 1, 1) and its offset (n, 1, 2).
    """
    width, height = spec.input_size
    scale, offset = _affines(graph, boxes, spec)
    # OpenCV inverts the map in float64 and samples in float32; x in one rounding, y in two.
    step = graph.op("Mul", scale, graph.op("Div", _double(graph, 1), graph.op("Mul", scale, scale)))
    start = graph.cast(graph.op("Neg", graph.op("Mul", step, offset)))
    step = graph.cast(step)
    across = graph.op("Mul", graph.cast(step, "float64"), _double(graph, np.arange(width)[None]))
    first_x = graph.cast(graph.columns(start, 0, 1), "float64")
    x = graph.cast(graph.op("Add", across, first_x))
    down = graph.op("Mul", step, graph.constant(np.arange(height)[None]))
    y = graph.op("Add", down, graph.columns(start, 1, 2))
    columns = _pair(graph, x, graph.columns(size, 0, 1, axis=0), (0, 1, -1, 1))
    rows = _pair(graph, y, graph.columns(size, 1, 2, axis=0), (0, -1, 1, 1))
    pixels = graph.op("Reshape", frame, graph.whole(-1, 3))
    lines = [_line(graph, pixels, row, columns, graph.columns(size, 0, 1, axis=0)) for row in rows.taps]
    sampled = graph.op("Round", _between(graph, *lines, rows.share))
    crops = _normalised(graph, graph.op("Transpose", sampled, perm=[0, 3, 1, 2]), spec)
    return crops, graph.op("Unsqueeze", scale, graph.whole(1)), graph.op("Unsqueeze", offset, graph.whole(1))


def to_frame(graph: GraphWriter, points: str, scale: str, offset: str) -> str:
    """Maps crop pixels (n, 17, 2) back to frame pixels, as `geometry.crop_to_image` does."""
    moved = graph.op("Sub", graph.cast(points, "float64"), offset)
    return graph.cast(graph.op("Div", moved, scale))


def _affines(graph: GraphWriter, boxes: str, spec: ModelSpec) -> tuple[str, str]:
    """Returns `geometry.person_affines` in float64 as scale (n, 1) and offset (n, 2)."""
    width, height = spec.input_size
    corners = graph.cast(boxes, "float64")
    low, high = graph.columns(corners, 0, 2), graph.columns(corners, 2, 4)
    centre = graph.op("Mul", graph.op("Add", low, high), _double(graph, 0.5))
    sides = graph.op("Max", graph.op("Sub", high, low), _double(graph, 1))
    sides = graph.op("Mul", sides, _double(graph, spec.padding))
    as_wide = graph.op("Mul", graph.columns(sides, 1, 2), _double(graph, width))
    as_wide = graph.op("Div", as_wide, _double(graph, height))
    crop_width = graph.op("Max", graph.columns(sides, 0, 1), as_wide)
    scale = graph.op("Div", _double(graph, width), crop_width)
    middle = _double(graph, [[width / 2, height / 2]])
    return scale, graph.op("Sub", middle, graph.op("Mul", scale, centre))


@dataclass(frozen=True)
class _Pair:
    """Along one axis: two neighbouring lines for every sample, and the second one's share.

    Attributes:
        taps: (index, inside) twice: int64 lines limited to the frame, and 1.0 where they lie on it, else 0.0.
        share: float32, 0 to 1.
    """

    taps: tuple[tuple[str, str], tuple[str, str]]
    share: str


def _pair(graph: GraphWriter, place: str, side: str, shape: tuple[int, ...]) -> _Pair:
    """Splits places (n, k) along an axis of `side` pixels; everything is reshaped to broadcast as `shape`."""
    floor = graph.op("Floor", place)
    low, last = graph.cast(floor, "int64"), graph.op("Sub", side, graph.whole(1))
    taps = []
    for line in (low, graph.op("Add", low, graph.whole(1))):
        kept = graph.clipped(line, last)
        inside = graph.cast(graph.op("Equal", line, kept))
        taps.append((graph.op("Reshape", kept, graph.whole(*shape[:3])), _shaped(graph, inside, shape)))
    return _Pair(tuple(taps), _shaped(graph, graph.op("Sub", place, floor), shape))


def _line(graph: GraphWriter, pixels: str, row: tuple[str, str], columns: _Pair, across: str) -> str:
    """Blends two pixels of one row for every sample, (n, height, width, 3); outside the frame is 0."""
    start = graph.op("Mul", row[0], across)
    ends = [
        graph.op("Mul", graph.op("Gather", pixels, graph.op("Add", start, column), axis=0), inside)
        for column, inside in columns.taps
    ]
    return graph.op("Mul", _between(graph, *ends, columns.share), row[1])


def _between(graph: GraphWriter, low: str, high: str, share: str) -> str:
    return graph.op("Add", low, graph.op("Mul", graph.op("Sub", high, low), share))


def _shaped(graph: GraphWriter, tensor: str, shape: tuple[int, ...]) -> str:
    return graph.op("Reshape", tensor, graph.whole(*shape))


def _double(graph: GraphWriter, values: object) -> str:
    return graph.constant(values, "float64")


def _normalised(graph: GraphWriter, pixels: str, spec: ModelSpec) -> str:
    if spec.channels == "rgb":
        pixels = graph.op("Gather", pixels, graph.whole(2, 1, 0), axis=1)
    mean, std = (np.float32(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return graph.op("Div", graph.op("Sub", pixels, graph.constant(mean)), graph.constant(std))
