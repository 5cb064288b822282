"""ONNX Runtime with its CPU, CUDA and TensorRT providers; what was asked for is asserted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pose_utils import paths
from pose_utils.errors import Unavailable
from pose_utils.runtime.backends.base import Backend, nvidia_driver_missing
from pose_utils.runtime.variants import ONNX_PRECISIONS, onnx_variant
from pose_utils.zoo.artifacts import Artifact

if TYPE_CHECKING:
    import onnxruntime


PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(
    model: Path | bytes,
    provider: str,
    threads: int,
    provider_options: Mapping[str, str] = MappingProxyType({}),
) -> onnxruntime.InferenceSession:
    """Opens a session on exactly one provider.

    Args:
        model: A file or its content.
        provider: ONNX Runtime's name of the provider.
        threads: CPU threads.
        provider_options: As the provider names them.

    Raises:
        Unavailable: The provider does not come up here, or refuses the model.
    """
    import onnxruntime

    if provider not in onnxruntime.get_available_providers():
        raise Unavailable(f"this build of onnxruntime has no {provider}")
    if provider != PROVIDERS["cpu"]:
        if problem := nvidia_driver_missing():
            raise Unavailable(problem)
        # Finds the CUDA and cuDNN libraries that pip installed; without it the provider is silently lost.
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # Threads of a session spin for a while after its run. The next network would share the cores with them:
    # on two cores the pose model of one person takes twice as long behind the detector as it does alone.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    content = model if isinstance(model, bytes) else str(model)
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=[(provider, dict(provider_options))]
        )
    except Exception as error:  # onnxruntime raises classes of its C extension
        raise Unavailable(f"the session cannot be made: {str(error).splitlines()[0]}") from error
    session.disable_fallback()
    used = session.get_providers()[0]
    if used != provider:
        raise Unavailable(f"{provider} did not come up; the session would have run on {used}")
    return session


class OnnxRuntimeBackend(Backend):
    """One InferenceSession on exactly the provider that was asked for."""

    name = "onnxruntime"
    format = "onnx"
    provider: ClassVar = PROVIDERS

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Opens the session; raises Unavailable where its provider does not come up."""
        super().__init__(artifact, precision, device, threads)
        if precision not in ONNX_PRECISIONS:
            raise self.refuse(f"this back end runs {', '.join(ONNX_PRECISIONS)} files")
        if device == "cpu" and precision == "fp16":
            raise self.refuse(
                "ONNX Runtime's CPU provider has no FP16 convolutions: it would compute in FP32"
            )
        if device not in self.provider:
            raise self.refuse(f"no provider for device {device!r}")
        self.file = path = onnx_variant(artifact, precision)
        try:
            self._session = open_session(path, self.provider[device], self.threads, self._provider_options())
        except Unavailable as error:
            raise self.refuse(str(error)) from error
        self.provider_used = self.provider[device]
        self._input = self._session.get_inputs()[0].name
        self.output_names = tuple(output.name for output in self._session.get_outputs())

    def _provider_options(self) -> dict[str, str]:
        return {}

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """See Backend.run."""
        return self._session.run(None, {self._input: inputs})


class OnnxRuntimeTensorRTBackend(OnnxRuntimeBackend):
    """ONNX Runtime's TensorRT provider, engines cached, 1 to 16 persons in one profile."""

    name = "onnxruntime-tensorrt"
    provider: ClassVar = {"cuda": "TensorrtExecutionProvider"}

    def _provider_options(self) -> dict[str, str]:
        width, height = self.artifact.spec.input_size
        persons = (
            {"min": 1, "opt": 4, "max": 16}
            if self.artifact.spec.kind == "pose"
            else dict.fromkeys(("min", "opt", "max"), 1)
        )
        shapes = {
            f"trt_profile_{name}_shapes": f"input:{count}x3x{height}x{width}"
            for name, count in persons.items()
        }
        cache = paths.cache_dir() / "engines" / "onnxruntime"
        return {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache),
            "trt_engine_cache_prefix": "-".join(
                (self.artifact.spec.name, self.artifact.digest[:16], self.precision)
            ),
            "trt_timing_cache_enable": "1",
            "trt_fp16_enable": str(int(self.precision == "fp16")),
            **shapes,
        }
