"""Weights that an ONNX file keeps in other files: only in its own folder or below it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from pose_utils.errors import InputError


def check_external_data(path: Path) -> None:
    """Refuses a model that would make its reader open a file outside its folder.

    ONNX Runtime and OpenVINO refuse it as well, at the end of a long message; TensorRT's parser does not say.

    Raises:
        InputError: A tensor's data lies outside, behind a link that leads outside, or is not there.
    """
    folder = path.resolve().parent
    for tensor in _tensors(onnx.load(path, load_external_data=False).graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        try:
            target = (folder / location).resolve()
            inside = bool(location) and not Path(location).is_absolute() and target.is_relative_to(folder)
            there = inside and target.is_file()
        except (OSError, ValueError, RuntimeError):
            inside = there = False
        if not inside:
            raise InputError(
                f"{path} keeps weights in {location!r}, outside its own folder; it is not opened. "
                "Save it again with its weights inside or beside it."
            )
        if not there:
            raise InputError(f"{path} keeps weights in {location!r}, which is not there; copy it as well")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _tensors(inner)
