"""PyTorch: the mmdet and mmpose modules themselves, without their pre- and post-processing."""

from __future__ import annotations

import warnings

import numpy as np

from pose_utils.runtime.backends.base import Backend, nvidia_driver_missing
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.checkpoints import load_module, output_names, raw_network


class TorchBackend(Backend):
    """Eager PyTorch, raw heads, in FP32, BF16 or (on a GPU) FP16; convolutions channels last."""

    name = "torch"
    format = "torch"

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Loads the module; raises Unavailable without the GPU or the precision asked for."""
        super().__init__(artifact, precision, device, threads)
        import torch

        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        if precision not in dtypes:
            raise self.refuse("eager PyTorch runs fp32, bf16 and fp16")
        if device == "cuda" and not torch.cuda.is_available():
            raise self.refuse(nvidia_driver_missing() or "PyTorch finds no CUDA GPU")
        if device == "cpu" and precision == "fp16":
            raise self.refuse("PyTorch has no FP16 convolutions worth running on a CPU; use bf16")
        if device == "cpu" and precision == "bf16" and not _bf16_convolutions():
            raise self.refuse(
                "this CPU has no BF16 instructions that PyTorch uses (AVX512 or AMX); "
                "it would convolve without oneDNN, slower than in FP32"
            )
        if device == "cpu":
            torch.set_num_threads(self.threads)
        self._torch, self._dtype = torch, dtypes[precision]
        network = raw_network(load_module(artifact.spec, artifact.path), artifact.spec)
        self._network = network.to(device=device, dtype=self._dtype, memory_format=torch.channels_last)
        self.output_names = output_names(artifact.spec)
        self.provider_used = (
            torch.cuda.get_device_name() if device == "cuda" else f"CPU, {self.threads} threads"
        )

    def side_by_side(self, count: int) -> list[Backend]:
        """See Backend.side_by_side; PyTorch's threads belong to the whole process."""
        return [self]

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """See Backend.run; copying back waits for the GPU."""
        torch = self._torch
        # mmdet still spells autocast the old way; one warning a call helps nobody.
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            pixels = torch.from_numpy(inputs).to(
                self.device, dtype=self._dtype, memory_format=torch.channels_last
            )
            return [output.float().cpu().numpy() for output in self._network(pixels)]


def _bf16_convolutions() -> bool:
    """Says whether PyTorch hands BF16 convolutions on this CPU to oneDNN, by its own test."""
    import torch

    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class CompiledTorchBackend(TorchBackend):
    """The same module behind torch.compile, which takes minutes at the first call of each batch size."""

    name = "torch-compile"

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Loads the module; it is compiled by the first call."""
        super().__init__(artifact, precision, device, threads)
        self._network = self._torch.compile(self._network, dynamic=False)
