"""Sampling of the fused file as ONNX nodes: what `runtime.geometry` does with OpenCV.

The letterbox is cv2.resize to the last bit: its fixed-point rounding moves every eighth grey level, and
the nano detector answers that with scores that differ in the fourth digit. The person crops are
RoiAlign: with half-pixel coordinates and one sample a bin, bin u of a region that starts at x0 with
bins of b pixels reads the picture at x0 - .5 + (u + .5) b, which is cv2.warpAffine for a region moved
by .5 - b / 2.
"""

from __future__ import annotations

import numpy as np

from pose_utils.zoo.graph_writer import GraphWriter
from pose_utils.zoo.specs import RTMDET_PAD, ModelSpec


def picture_planes(graph: GraphWriter, frame: str) -> tuple[str, str]:
    """Turns the uint8 frame (1, h, w, 3) into float32 (1, 3, h, w), and returns its int64 (w, h) as well.

    The cast comes first: TensorRT takes uint8 inputs into nothing else.
    """
    planes = graph.op("Transpose", graph.cast(frame), perm=[0, 3, 1, 2])
    size = graph.op("Gather", graph.op("Shape", planes), graph.whole(3, 2))
    return planes, size


def letterbox(graph: GraphWriter, planes: str, size: str, spec: ModelSpec) -> tuple[str, str]:
    """Returns the detector's input (1, 3, height, width), and the float32 scale (x, y) that led to it."""
    width, height = spec.input_size
    new_size = _fitted_size(graph, size, width, height)
    scale = graph.op("Div", graph.cast(new_size), graph.cast(size))
    rows = _taps(graph, size, new_size, 1, height)
    columns = _taps(graph, size, new_size, 0, width)
    blended = [_horizontally(graph, graph.op("Gather", planes, row, axis=2), columns) for row in rows[:2]]
    quarters = [
        graph.op("Floor", graph.op("Mul", line, graph.op("Mul", weight, graph.constant(0.25**8))))
        for line, weight in zip(blended, rows[2:], strict=True)
    ]
    total = graph.op("Add", graph.op("Add", *quarters), graph.constant(2.0))
    resized = graph.op("Floor", graph.op("Mul", total, graph.constant(0.25)))
    across, down = np.arange(width), np.arange(height)[:, None]
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
    if axis == 1:
        weights = [graph.op("Unsqueeze", each, graph.whole(1)) for each in weights]
    return [*lines, *weights]


def _horizontally(graph: GraphWriter, lines: str, columns: list[str]) -> str:
    """Blends columns in 1/2048 and drops four bits, in float32 that holds these whole numbers exactly."""
    parts = [
        graph.op("Mul", graph.op("Gather", lines, index, axis=3), weight)
        for index, weight in zip(columns[:2], columns[2:], strict=True)
    ]
    return graph.op("Floor", graph.op("Mul", graph.op("Add", *parts), graph.constant(1 / 16)))


def person_crops(
    graph: GraphWriter, planes: str, size: str, boxes: str, spec: ModelSpec
) -> tuple[str, str, str]:
    """Cuts the persons out as `geometry.person_affines` and `crop_persons` do.

    Returns:
        The pose network's input (n, 3, height, width); the place (n, 1, 2) of each crop's first pixel in
        the picture, and the picture pixels a crop pixel is wide, (n, 1, 1).
    """
    width, height = spec.input_size
    low, high = graph.columns(boxes, 0, 2), graph.columns(boxes, 2, 4)
    centre = graph.op("Mul", graph.op("Add", low, high), graph.constant(0.5))
    sides = graph.op("Max", graph.op("Sub", high, low), graph.constant(1.0))
    # Both sides as widths at the crop's aspect ratio; the larger decides, and over width it is the bin.
    factors = np.float32([[1.0, width / height]]) * np.float32(spec.padding / width)
    step = graph.op("ReduceMax", graph.op("Mul", sides, graph.constant(factors)), axes=[1], keepdims=1)
    extent = graph.constant([[width, height]])
    start = graph.op("Sub", centre, graph.op("Mul", step, graph.constant([[width / 2, height / 2]])))
    half = graph.constant(0.5)
    moved = graph.op("Add", start, graph.op("Sub", half, graph.op("Mul", step, half)))
    end = graph.op("Add", moved, graph.op("Mul", step, extent))
    regions = graph.op("Concat", moved, end, axis=1)
    count = graph.columns(graph.op("Shape", boxes), 0, 1, axis=0)
    owners = graph.op("Expand", graph.whole(0), count)
    sampled = graph.op(
        "RoiAlign", planes, regions, owners, coordinate_transformation_mode="half_pixel", mode="avg",
        output_height=height, output_width=width, sampling_ratio=1, spatial_scale=1.0,
    )  # fmt: skip
    for axis, count, shape in ((0, width, [-1, 1, 1, width]), (1, height, [-1, 1, height, 1])):
        place = graph.op(
            "Add", graph.columns(start, axis, axis + 1),
            graph.op("Mul", step, graph.constant(np.arange(count)[None])),
        )  # fmt: skip
        sampled = graph.op("Mul", sampled, _share_inside(graph, place, size, axis, shape))
    crops = _normalised(graph, graph.op("Round", sampled), spec)
    return crops, graph.op("Unsqueeze", start, graph.whole(1)), graph.op("Unsqueeze", step, graph.whole(1))


def _share_inside(graph: GraphWriter, place: str, size: str, axis: int, shape: list[int]) -> str:
    """How much of a sample's weight lies on the picture.

    Within a pixel beyond the edge RoiAlign repeats the edge, where warpAffine fades to 0.
    """
    side = graph.cast(graph.columns(size, axis, axis + 1, axis=0))
    near = graph.op("Min", graph.op("Add", place, graph.constant(1.0)), graph.op("Sub", side, place))
    share = graph.op("Min", graph.op("Max", near, graph.constant(0.0)), graph.constant(1.0))
    return graph.op("Reshape", share, graph.constant(shape, "int64"))


def _normalised(graph: GraphWriter, pixels: str, spec: ModelSpec) -> str:
    if spec.channels == "rgb":
        pixels = graph.op("Gather", pixels, graph.whole(2, 1, 0), axis=1)
    mean, std = (np.float32(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return graph.op("Div", graph.op("Sub", pixels, graph.constant(mean)), graph.constant(std))
