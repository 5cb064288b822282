"""TensorRT and TensorRT-RTX engines. TensorRT-RTX builds them ahead of time, without a GPU."""

from __future__ import annotations

import importlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import onnx
from filelock import FileLock

from pose_utils import paths
from pose_utils.errors import InputError, Unavailable
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.manifest import digest
from pose_utils.zoo.quantize import fp16_onnx

Flavour = Literal["tensorrt", "tensorrt_rtx"]

TARGETS = {
    "SM75": "T4, RTX 20", "SM80": "A100", "SM86": "RTX 30, A10", "SM89": "RTX 40, L4", "SM120": "RTX 50",
}  # fmt: skip
"""Compute capabilities that TensorRT-RTX 1.7 can build for, with cards that have them."""

PERSONS = (1, 4, 16)
"""Smallest, usual and largest batch of a pose engine's optimisation profile."""


@dataclass(frozen=True)
class Engine:
    """A serialised engine.

    Attributes:
        path: The file.
        target: Compute capability it was built for, such as "SM86", or the GPU of this machine.
        precision: fp32 or fp16.
        build_s: Seconds the build took; 0 where the engine came from the cache.
    """

    path: Path
    target: str
    precision: str
    build_s: float


def load_library(flavour: Flavour) -> ModuleType:
    """Imports `tensorrt` or `tensorrt_rtx`.

    Raises:
        Unavailable: It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(flavour)
    except (ImportError, OSError) as error:
        package = (
            "tensorrt (make setup GPU=1)" if flavour == "tensorrt" else "tensorrt_rtx_cu13 (Linux x86-64)"
        )
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unavailable(f"{package} cannot be imported: {reason}") from error


def engine_path(artifact: Artifact, precision: str, target: str, flavour: Flavour, version: str) -> Path:
    """Returns where the cache keeps an engine; every part that could make one stale is in its name.

    The model's part is the digest of the ONNX file itself: the same weights may be exported anew.
    """
    profile = "x".join(map(str, batch_sizes(artifact)))
    target = re.sub(r"[^\w.-]", "-", target)
    model = f"{artifact.spec.name}-{digest(artifact.path)[:16]}"
    name = f"{model}-{precision}-b{profile}-{target}-{version}.engine"
    return paths.cache_dir() / "engines" / flavour / name


def batch_sizes(artifact: Artifact) -> tuple[int, int, int]:
    """Returns the smallest, usual and largest batch: persons of a frame, or one frame for a detector."""
    return PERSONS if artifact.spec.kind == "pose" else (1, 1, 1)


def build_engine(
    artifact: Artifact, precision: str, target: str, flavour: Flavour = "tensorrt_rtx"
) -> Engine:
    """Builds an engine, or takes it from the cache.

    TensorRT-RTX builds for any GPU of TARGETS on a machine without one; TensorRT builds for the GPU
    that is here. Networks are strongly typed: FP16 means an ONNX file converted to FP16.

    Args:
        artifact: An ONNX file with raw outputs.
        precision: fp32 or fp16.
        target: A key of TARGETS, or for TensorRT the name of the GPU that is here.
        flavour: Which of the two libraries.

    Raises:
        Unavailable: The library is missing, cannot parse the file, or has no kernels for the target.
    """
    trt = load_library(flavour)
    if flavour == "tensorrt_rtx" and target not in TARGETS:
        raise Unavailable(
            f"TensorRT-RTX {trt.__version__} cannot build for {target}; it can for {', '.join(TARGETS)}"
        )
    if artifact.format != "onnx" or artifact.path is None:
        raise InputError(f"{artifact.name} is no ONNX file; engines are built from ONNX")
    path = engine_path(artifact, precision, target, flavour, trt.__version__)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = fp16_onnx(artifact.path, artifact.digest) if precision == "fp16" else artifact.path
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            return Engine(path, target, precision, 0.0)
        start = time.perf_counter()
        plan = _build(trt, artifact, source, target)
        draft = path.with_suffix(".draft")
        try:
            draft.write_bytes(plan)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)  # half of it, where the disk was full
    return Engine(path, target, precision, time.perf_counter() - start)


def _build(trt: ModuleType, artifact: Artifact, source: Path, target: str) -> bytes:
    problems: list[str] = []

    class Collector(trt.ILogger):
        """Keeps the library's complaints for the error message instead of printing them."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                problems.append(message)

    logger = Collector()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        raise Unavailable(f"{trt.__name__} cannot parse {source.name}: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    width, height = artifact.spec.input_size
    profile.set_shape(
        network.get_input(0).name, *((batch, 3, height, width) for batch in batch_sizes(artifact))
    )
    config.add_optimization_profile(profile)
    if target in TARGETS and hasattr(trt, "ComputeCapability"):
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        detail = problems[0].splitlines()[0] if problems else "no reason given"
        raise Unavailable(f"{trt.__name__} has no engine of {artifact.spec.name} for {target}: {detail}")
    return bytes(plan)


def float_types(path: Path) -> dict[str, int]:
    """Counts the weights of an ONNX file by floating-point type: one that fell out of FP16 shows."""
    counts: dict[str, int] = {}
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        if "FLOAT" in name:
            counts[name] = counts.get(name, 0) + 1
    return counts
