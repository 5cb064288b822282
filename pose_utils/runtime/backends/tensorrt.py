"""TensorRT and TensorRT-RTX engines on an NVIDIA GPU, inputs and outputs in GPU memory of PyTorch."""

from __future__ import annotations

import numpy as np

from pose_utils.runtime.backends.base import Backend, nvidia_driver_missing
from pose_utils.runtime.variants import onnx_variant
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.engines import build_engine, load_library


class TensorRTBackend(Backend):
    """One execution context; batches above the largest of the profile run in several pieces."""

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
        engine = build_engine(artifact, precision, self._target(), self.flavour, source)
        self._logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(engine.path.read_bytes())
        if self._engine is None:
            raise self.refuse(f"{engine.path.name} was built for another GPU or version; delete it")
        self._context = self._engine.create_execution_context()
        self._torch, self._stream = torch, torch.cuda.Stream()
        tensors = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        outputs = [name for name in tensors if self._engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]
        (self._input,) = set(tensors) - set(outputs)
        self.output_names = tuple(outputs)
        self._largest = self._engine.get_tensor_profile_shape(self._input, 0)[2][0]
        self.provider_used = f"{torch.cuda.get_device_name()}, {trt.__name__} {trt.__version__}"

    def _target(self) -> str:
        import torch

        return torch.cuda.get_device_name()

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """See Backend.run."""
        pieces = [
            self._run_piece(inputs[start : start + self._largest])
            for start in range(0, len(inputs), self._largest)
        ]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def _run_piece(self, inputs: np.ndarray) -> list[np.ndarray]:
        torch = self._torch
        with torch.cuda.stream(self._stream):
            pixels = torch.from_numpy(np.ascontiguousarray(inputs)).to("cuda")
            self._context.set_input_shape(self._input, tuple(pixels.shape))
            self._context.set_tensor_address(self._input, pixels.data_ptr())
            outputs = []
            for name in self.output_names:
                output = torch.empty(tuple(self._context.get_tensor_shape(name)), device="cuda")
                self._context.set_tensor_address(name, output.data_ptr())
                outputs.append(output)
            self._context.execute_async_v3(self._stream.cuda_stream)
        self._stream.synchronize()
        return [output.cpu().numpy() for output in outputs]


class TensorRTRTXBackend(TensorRTBackend):
    """TensorRT for RTX: engines come from the ahead-of-time builder."""

    name = "tensorrt-rtx"
    flavour = "tensorrt_rtx"

    def _target(self) -> str:
        import torch

        return "SM{}{}".format(*torch.cuda.get_device_capability())
