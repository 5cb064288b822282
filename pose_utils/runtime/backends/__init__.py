"""Back ends by name. Their libraries are imported when one is opened, never before."""

from __future__ import annotations

import difflib
import importlib

from pose_utils.errors import Unavailable, UsageError
from pose_utils.runtime.backends.base import Backend
from pose_utils.zoo.artifacts import Artifact, find_artifact
from pose_utils.zoo.specs import ModelSpec

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
DEVICES = ("cpu", "cuda")

_CLASSES = {
    "torch": "torch:TorchBackend",
    "torch-compile": "torch:CompiledTorchBackend",
    "onnxruntime": "onnxruntime:OnnxRuntimeBackend",
    "onnxruntime-tensorrt": "onnxruntime:OnnxRuntimeTensorRTBackend",
    "openvino": "openvino:OpenVinoBackend",
    "litert": "litert:LiteRTBackend",
    "tensorrt": "tensorrt:TensorRTBackend",
    "tensorrt-rtx": "tensorrt:TensorRTRTXBackend",
}

BACKENDS = tuple(_CLASSES)
"""Every back end's name, whether or not this machine has its library."""


def backend_class(name: str) -> type[Backend]:
    """Returns the class of back end `name`.

    Raises:
        UsageError: There is no such back end.
        Unavailable: Its module cannot be imported here.
    """
    if name not in _CLASSES:
        near = difflib.get_close_matches(name, BACKENDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UsageError(f"there is no back end {name!r}{hint} Known: {', '.join(BACKENDS)}.")
    module, _, class_name = _CLASSES[name].partition(":")
    try:
        return getattr(importlib.import_module(f"pose_utils.runtime.backends.{module}"), class_name)
    except ImportError as error:
        raise Unavailable(f"{name}: its library is not installed ({error})") from error


def open_backend(
    name: str,
    model: ModelSpec | Artifact,
    precision: str = "fp32",
    device: str = "cpu",
    threads: int | None = None,
    weights: str = "auto",
) -> Backend:
    """Opens `model` on one back end.

    Args:
        name: One of BACKENDS.
        model: A spec, whose file is then found or made, or a file that was chosen already.
        precision: One of PRECISIONS.
        device: One of DEVICES.
        threads: CPU threads; None for every core this process may use.
        weights: "trained", "random" or "auto", see `zoo.artifacts.find_artifact`.

    Raises:
        Unavailable: This machine cannot honour the request; the message says why.
        UsageError: A name that does not exist.
        AssetError: Trained weights were asked for and cannot be had.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision is {precision!r}; allowed: {', '.join(PRECISIONS)}")
    if device not in DEVICES:
        raise UsageError(f"device is {device!r}; allowed: {', '.join(DEVICES)}")
    backend = backend_class(name)
    artifact = model if isinstance(model, Artifact) else find_artifact(model, backend.format, weights)
    if artifact.format != backend.format:
        raise Unavailable(f"{name} reads {backend.format} files; {artifact.name} is {artifact.format}")
    try:
        return backend(artifact, precision, device, threads)
    except ImportError as error:
        raise Unavailable(f"{name}: its library is not installed ({error})") from error
