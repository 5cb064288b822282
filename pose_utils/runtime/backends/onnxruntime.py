"""ONNX Runtime with its CPU, CUDA and TensorRT providers; what was asked for is asserted."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from pose_utils import paths
from pose_utils.runtime.backends.base import Backend, nvidia_driver_missing
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.quantize import fp16_onnx


class OnnxRuntimeBackend(Backend):
    """One InferenceSession on exactly the provider that was asked for."""

    name = "onnxruntime"
    format = "onnx"
    provider: ClassVar = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Opens the session; raises Unavailable where its provider does not come up."""
        super().__init__(artifact, precision, device, threads)
        import onnxruntime

        if precision not in ("fp32", "fp16"):
            raise self.refuse("this back end runs fp32 and fp16 files")
        if device == "cpu" and precision == "fp16":
            raise self.refuse(
                "ONNX Runtime's CPU provider has no FP16 convolutions: it would compute in FP32"
            )
        if device not in self.provider:
            raise self.refuse(f"no provider for device {device!r}")
        provider = self.provider[device]
        if provider not in onnxruntime.get_available_providers():
            raise self.refuse(f"this build of onnxruntime has no {provider}")
        if device == "cuda":
            if problem := nvidia_driver_missing():
                raise self.refuse(problem)
            # Finds the CUDA and cuDNN libraries that pip installed; without it the provider is silently lost.
            onnxruntime.preload_dlls()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4
        path = fp16_onnx(artifact.path, artifact.digest) if precision == "fp16" else artifact.path
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=[(provider, self._provider_options())]
            )
        except Exception as error:  # onnxruntime raises classes of its C extension
            raise self.refuse(f"the session cannot be made: {str(error).splitlines()[0]}") from error
        self._session.disable_fallback()
        used = self._session.get_providers()
        if used[0] != provider:
            raise self.refuse(f"{provider} did not come up; the session would have run on {used[0]}")
        self.provider_used = provider
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
