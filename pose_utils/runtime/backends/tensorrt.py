"""TensorRT and TensorRT-RTX engines on an NVIDIA GPU."""

from __future__ import annotations

import numpy as np

from pose_utils.runtime.backends.base import Backend, nvidia_driver_missing
from pose_utils.runtime.backends.engine_runner import (
    EngineRunner,
    GpuStream,
    context_maker,
    records_itself,
)
from pose_utils.runtime.variants import onnx_variant
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.engines import build_engine, load_library


class TensorRTBackend(Backend):
    """An engine behind an `EngineRunner`; batches above the largest of its profile run in several pieces."""

    name = "tensorrt"
    format = "onnx"
    flavour = "tensorrt"

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Builds or loads the engine; raises Unavailable without a GPU or the library."""
        super().__init__(artifact, precision, device, threads)
        import torch

        if device != "cuda":
            raise self.refuse("TensorRT runs on NVIDIA GPUs only")
        if precision not in ("fp32", "fp16", "int8"):
            raise self.refuse("this back end builds fp32, fp16 and int8 engines")
        if not torch.cuda.is_available():
            raise self.refuse(nvidia_driver_missing() or "PyTorch finds no CUDA GPU")
        trt = load_library(self.flavour)
        source = onnx_variant(artifact, precision, symmetric=True)
        built = build_engine(artifact, precision, self._target(), self.flavour, source)
        self._logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        engine = self._runtime.deserialize_cuda_engine(built.path.read_bytes())
        if engine is None:
            raise self.refuse(f"{built.path.name} was built for another GPU or version; delete it")
        tensors = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.output_names = tuple(
            name for name in tensors if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        )
        (input_name,) = set(tensors) - set(self.output_names)
        largest = engine.get_tensor_profile_shape(input_name, 0)[2][0]
        open_context, keep = context_maker(trt, engine, built.path, torch.cuda.get_device_name())
        records = not records_itself(trt)
        self._runner = EngineRunner(
            open_context, input_name, self.output_names, largest, GpuStream(), records, keep
        )
        self.provider_used = f"{torch.cuda.get_device_name()}, {trt.__name__} {trt.__version__}"

    def _target(self) -> str:
        import torch

        return torch.cuda.get_device_name()

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """See Backend.run."""
        return self._runner.run(inputs)


class TensorRTRTXBackend(TensorRTBackend):
    """TensorRT for RTX: engines come from the ahead-of-time builder."""

    name = "tensorrt-rtx"
    flavour = "tensorrt_rtx"

    def _target(self) -> str:
        import torch

        return "SM{}{}".format(*torch.cuda.get_device_capability())
