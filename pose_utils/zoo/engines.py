"""TensorRT and TensorRT-RTX engines. TensorRT-RTX builds them ahead of time, without a GPU."""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from pose_utils import paths
from pose_utils.atomic import write_atomic
from pose_utils.errors import InputError, Unavailable
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.locks import making
from pose_utils.zoo.manifest import digest
from pose_utils.zoo.quantize import fp16_onnx, variant_layers

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
        precision: fp32, fp16 or int8.
        build_s: Seconds the build took; 0 where the engine came from the cache.
        layers: How many convolutions and matrix products compute in each type, such as {"HALF": 45}.
    """

    path: Path
    target: str
    precision: str
    build_s: float
    layers: Mapping[str, int]


class OutOfPrecision(Unavailable):
    """Layers of a graph compute in a wider type than was asked for."""


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


def engine_path(
    artifact: Artifact,
    precision: str,
    target: str,
    flavour: Flavour,
    version: str,
    source: Path | None = None,
) -> Path:
    """Returns where the cache keeps an engine; every part that could make one stale is in its name.

    The model's part is the digest of the very file that is built (`source`, else the artifact's own): the
    same weights may be exported or quantised anew.
    """
    profile = "x".join(map(str, batch_sizes(artifact)))
    target = re.sub(r"[^\w.-]", "-", target)
    model = f"{artifact.spec.name}-{digest(source or artifact.path)[:16]}"
    name = f"{model}-{precision}-b{profile}-{target}-{version}.engine"
    return paths.cache_dir() / "engines" / flavour / name


def batch_sizes(artifact: Artifact) -> tuple[int, int, int]:
    """Returns the smallest, usual and largest batch: persons of a frame, or one frame for a detector."""
    return PERSONS if artifact.spec.kind == "pose" else (1, 1, 1)


def build_engine(
    artifact: Artifact,
    precision: str,
    target: str,
    flavour: Flavour = "tensorrt_rtx",
    source: Path | None = None,
) -> Engine:
    """Builds an engine, or takes it from the cache.

    TensorRT-RTX builds for any GPU of TARGETS on a machine without one; TensorRT builds for the GPU
    that is here. Networks are strongly typed: FP16 means an ONNX file converted to FP16, INT8 one with
    QuantizeLinear nodes whose zero points are 0, and every layer computes in the type that the file gives it.

    Args:
        artifact: An ONNX file with raw outputs.
        precision: fp32, fp16 or int8.
        target: A key of TARGETS, or for TensorRT the name of the GPU that is here.
        flavour: Which of the two libraries.
        source: The artifact's variant in that precision; needed for int8.

    Raises:
        OutOfPrecision: Layers fell out of FP16 that the file does not keep in FP32 on purpose.
        Unavailable: The library is missing, cannot parse the file, or has no kernels for the target.
    """
    trt = load_library(flavour)
    if flavour == "tensorrt_rtx" and target not in TARGETS:
        raise Unavailable(
            f"TensorRT-RTX {trt.__version__} cannot build for {target}; it can for {', '.join(TARGETS)}"
        )
    if artifact.format != "onnx" or artifact.path is None:
        raise InputError(f"{artifact.name} is no ONNX file; engines are built from ONNX")
    if source is None:
        if precision == "int8":
            raise InputError(f"{artifact.name}: an INT8 engine needs the quantised file")
        source = fp16_onnx(artifact.path, artifact.digest) if precision == "fp16" else artifact.path
    path = engine_path(artifact, precision, target, flavour, trt.__version__, source)
    notes = path.with_suffix(".json")
    with making(path):
        if path.is_file() and notes.is_file():
            return Engine(path, target, precision, 0.0, json.loads(notes.read_text()))
        start = time.perf_counter()
        plan, layers = _build(trt, artifact, source, target, precision)
        draft = path.with_suffix(".draft")
        try:
            draft.write_bytes(plan)
            notes.write_text(json.dumps(layers))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)  # half of it, where the disk was full
    return Engine(path, target, precision, time.perf_counter() - start, layers)


def _build(
    trt: ModuleType, artifact: Artifact, source: Path, target: str, precision: str
) -> tuple[bytes, dict[str, int]]:
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
    layers = compute_layers(trt, network)
    if precision == "fp16":
        check_half(layers, _kept_wide(source), artifact.spec.name)
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
    # TensorRT-RTX measures nothing when it builds: it keeps no times either.
    timings = timing_cache_path(trt, target) if trt.__name__ == "tensorrt" else None
    if timings is not None:
        cache = config.create_timing_cache(timings.read_bytes() if timings.is_file() else b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        detail = problems[0].splitlines()[0] if problems else "no reason given"
        raise Unavailable(f"{trt.__name__} has no engine of {artifact.spec.name} for {target}: {detail}")
    if timings is not None:
        _keep_timings(config, timings)
    counts: dict[str, int] = {}
    for kind in layers.values():
        counts[kind] = counts.get(kind, 0) + 1
    return bytes(plan), counts


def compute_layers(trt: ModuleType, network: object) -> dict[str, str]:
    """Returns the type, such as HALF, that each convolution and matrix product of a parsed network gives.

    In a strongly typed network this is what the engine computes in: the builder may not choose another. (The
    engine's own inspector says the same, but only where the GPU is that it was built for.)
    """
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION, trt.LayerType.MATRIX_MULTIPLY)
    found = {}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type in kinds:
            found[layer.name] = layer.get_output(0).dtype.name
    return found


def check_half(layers: Mapping[str, str], kept: set[str], model: str) -> None:
    """Raises OutOfPrecision where a layer is not HALF and its name is not among those kept wide."""
    fell = [name for name, kind in layers.items() if kind != "HALF" and name not in kept]
    if fell or not layers:
        named = ", ".join(fell[:3]) + (" and others" if len(fell) > 3 else "")
        raise OutOfPrecision(f"{model}: {len(fell)} of {len(layers)} layers fell out of FP16: {named}")


def _kept_wide(source: Path) -> set[str]:
    table = variant_layers(source)
    return set() if table is None else set(table.loc[table["stays"], "layer"])


def timing_cache_path(trt: ModuleType, target: str) -> Path:
    """Returns where measured kernel times are kept between builds: they hold for one version and one GPU."""
    place = re.sub(r"[^\w.-]", "-", target)
    return paths.cache_dir() / "engines" / trt.__name__ / f"timings-{place}-{trt.__version__}.cache"


def _keep_timings(config: object, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None and (content := bytes(cache.serialize())):
        write_atomic(path, lambda draft: draft.write_bytes(content))
