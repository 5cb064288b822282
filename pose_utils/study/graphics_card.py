"""What an NVIDIA card says of itself through NVML, the library that comes with its driver."""

from __future__ import annotations

import ctypes
import os

import numpy as np

_SM_CLOCK, _CORE_SENSOR = 1, 0


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class GraphicsCard:
    """The first card; every figure is NaN where the driver does not tell it."""

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        """Takes an initialised NVML and the handle of a card; see `first`."""
        self._library, self._handle = library, handle

    @classmethod
    def first(cls) -> GraphicsCard | None:
        """Returns the first card, None where no driver answers."""
        try:
            library = ctypes.CDLL("nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1")
            handle = ctypes.c_void_p()
            if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)):
                return None
        except (OSError, AttributeError):
            return None
        return cls(library, handle)

    def joules(self) -> float:
        """Returns the energy used since the driver was loaded."""
        return self._ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong()) / 1000

    def clock_mhz(self) -> float:
        """Returns the clock of the multiprocessors."""
        return self._ask("nvmlDeviceGetClockInfo", ctypes.c_uint(), _SM_CLOCK)

    def temperature_c(self) -> float:
        """Returns the temperature of the core."""
        return self._ask("nvmlDeviceGetTemperature", ctypes.c_uint(), _CORE_SENSOR)

    def memory_used_mb(self) -> float:
        """Returns the memory in use on the card, all processes together."""
        memory = _Memory()
        failed = self._library.nvmlDeviceGetMemoryInfo(self._handle, ctypes.byref(memory))
        return np.nan if failed else memory.used / 1e6

    def _ask(self, function: str, answer: ctypes._SimpleCData, *arguments: int) -> float:
        try:
            failed = getattr(self._library, function)(self._handle, *arguments, ctypes.byref(answer))
        except AttributeError:
            return np.nan
        return np.nan if failed else float(answer.value)
