"""What every back end has in common: it maps one input array to its output arrays."""

from __future__ import annotations

import ctypes
import os
from abc import ABC, abstractmethod

import numpy as np

from pose_utils.cores import available_cores
from pose_utils.errors import Unavailable
from pose_utils.zoo.artifacts import Artifact


class Backend(ABC):
    """A network on one runtime, precision and device. Subclasses differ in `run` and nothing else.

    A subclass raises `Unavailable` in its constructor when it cannot honour what was asked; it
    never runs on something else instead.

    Attributes:
        artifact: What runs.
        precision: fp32, fp16, bf16 or int8.
        device: cpu or cuda.
        threads: Threads that compute on the CPU.
        provider_used: What the session reports to run on.
        file: What runs: the artifact's own file, or its variant in a lower precision; None for a module.
        output_names: Names of the outputs, in the order of `run`.
    """

    name: str
    format: str

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        self.artifact = artifact
        self.precision = precision
        self.device = device
        self.threads = threads or available_cores()
        self.provider_used = ""
        self.file = artifact.path
        self.output_names: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> float:
        """Size of the file that runs, NaN where there is none."""
        return float(self.file.stat().st_size) if self.file else float("nan")

    @abstractmethod
    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Runs the network.

        Args:
            inputs: What `geometry.to_network_input` made: float32 (n, 3, h, w) with n >= 1, or
                uint8 (1, h, w, 3) for MoveNet.

        Returns:
            The outputs as float32 (labels as integers), owned by the caller.
        """

    def side_by_side(self, count: int) -> list[Backend]:
        """Opens the network `count` times more, each for one CPU thread, to be used by as many at once.

        Where that is not possible, on a GPU for one, the back end itself is returned alone.
        """
        if self.device != "cpu":
            return [self]
        return [type(self)(self.artifact, self.precision, self.device, 1) for _ in range(count)]

    def refuse(self, reason: str) -> Unavailable:
        """Makes the error that says why this request cannot be honoured here."""
        return Unavailable(f"{self.name} {self.precision} on {self.device}: {reason}")


def nvidia_driver_missing() -> str:
    """Returns why no NVIDIA GPU can be used, "" where a driver library is there.

    Asked before a CUDA session is tried, because the libraries print pages about what this tells in a line.
    """
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver on this machine"
    return ""
