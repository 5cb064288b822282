"""OpenVINO on a CPU in FP32, BF16 or INT8, straight from the ONNX file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pose_utils.errors import Unavailable
from pose_utils.runtime.backends.base import Backend
from pose_utils.runtime.variants import onnx_variant
from pose_utils.zoo.artifacts import Artifact

if TYPE_CHECKING:
    import openvino


def compile_model(
    source: Path | bytes,
    precision: str,
    threads: int,
    shape: Sequence[int] | None = None,
    streams: int | None = None,
    profiled: bool = False,
) -> tuple[openvino.CompiledModel, str]:
    """Compiles a model for the CPU and asserts the precision that the plugin says it computes in.

    Args:
        source: A file or its content.
        precision: fp32 or bf16.
        threads: CPU threads.
        shape: Of the one input where it shall be fixed.
        streams: How many requests compute at once, sharing the threads; None for one with all of them.
        profiled: Requests then tell the time of every layer.

    Returns:
        The compiled model and the name of that precision.

    Raises:
        Unavailable: The CPU lacks the precision, the plugin cannot read or compile the model, or it chose
            another precision.
    """
    import openvino

    wanted = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16}[precision]
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise Unavailable("this CPU has no BF16 instructions (AVX512_BF16 or AMX); OpenVINO would use FP32")
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": wanted,
        "PERF_COUNT": profiled,
    }
    if streams:
        # The streams of two models would be pinned to the same cores, and wait for each other there.
        config |= {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams, "ENABLE_CPU_PINNING": False}
    try:
        model = core.read_model(source)
        if shape is not None:
            model.reshape(list(shape))
        compiled = core.compile_model(model, "CPU", config)
    except RuntimeError as error:
        raise Unavailable(f"the model cannot be compiled: {str(error).strip().splitlines()[-1]}") from error
    used = compiled.get_property("INFERENCE_PRECISION_HINT")
    if used != wanted:
        raise Unavailable(f"OpenVINO chose {used.get_type_name()} instead")
    return compiled, used.get_type_name()


def compile_artifact(
    artifact: Artifact, precision: str, threads: int, streams: int | None = None, profiled: bool = False
) -> tuple[openvino.CompiledModel, str, Path]:
    """Compiles the file that runs an ONNX artifact in fp32, bf16 or int8; a detector for its one input.

    Returns:
        As `compile_model`, and the file: the artifact's own or its INT8 variant. An INT8 file says itself
        which layers compute in 8 bits; what it leaves out stays FP32.

    Raises:
        Unavailable, AssetError: As `compile_model` and `runtime.variants.onnx_variant`.
    """
    width, height = artifact.spec.input_size
    shape = (1, 3, height, width) if artifact.spec.kind == "detector" else None
    path = onnx_variant(artifact, "int8" if precision == "int8" else "fp32")
    hint = "bf16" if precision == "bf16" else "fp32"
    return *compile_model(path, hint, threads, shape, streams, profiled), path


class OpenVinoBackend(Backend):
    """One compiled model; the precision that the plugin reports is asserted."""

    name = "openvino"
    format = "onnx"

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Compiles the model; raises Unavailable where the CPU lacks the precision."""
        super().__init__(artifact, precision, device, threads)
        self._compiled = self._open()
        self._request = self._compiled.create_infer_request()
        self.output_names = tuple(output.get_any_name() for output in self._compiled.outputs)

    def _open(self, streams: int | None = None) -> openvino.CompiledModel:
        artifact, precision = self.artifact, self.precision
        if self.device != "cpu":
            raise self.refuse("this project runs OpenVINO on CPUs")
        if precision not in ("fp32", "bf16", "int8"):
            raise self.refuse("this back end runs fp32, bf16 and int8")
        try:
            compiled, used, self.file = compile_artifact(artifact, precision, self.threads, streams)
        except Unavailable as error:
            raise self.refuse(f"{artifact.name}: {error}") from error
        self.provider_used = f"CPU, {used}, {self.threads} threads"
        return compiled

    def side_by_side(self, count: int) -> list[Backend]:
        """See Backend.side_by_side; one compiled model, whose streams the copies share."""
        one = copy.copy(self)
        one.threads = count
        one._compiled = one._open(streams=count)
        copies = [copy.copy(one) for _ in range(count)]
        for each in copies:
            each.threads, each._request = 1, one._compiled.create_infer_request()
        return copies

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """See Backend.run."""
        self._request.infer([inputs], share_inputs=True)
        # The tensors belong to the request and are overwritten by its next call.
        return [tensor.data.copy() for tensor in self._request.output_tensors]
