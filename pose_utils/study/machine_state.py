"""What the machine was doing while a block of calls was timed: read, recorded, never altered."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from pose_utils.cores import available_cores
from pose_utils.study.graphics_card import GraphicsCard

_CPU = Path("/sys/devices/system/cpu/cpu0")
_POWERCAP = Path("/sys/class/powercap")

UNTOLD = np.nan
"""What a machine does not tell, such as the temperature inside a virtual machine."""


@dataclass(frozen=True)
class Reading:
    """Counters at one moment; those that the machine does not tell are NaN.

    Attributes:
        seconds: Wall clock.
        busy: CPU seconds of the whole machine that were not idle, since it started.
        own: CPU seconds of this process.
        stolen: CPU seconds that a hypervisor gave to other guests.
        throttled: Times that the processor throttled itself because of heat.
        cpu_joules, gpu_joules: Energy counters (RAPL packages, NVML).
    """

    seconds: float
    busy: float
    own: float
    stolen: float
    throttled: float
    cpu_joules: float
    gpu_joules: float


class MachineState:
    """Reads counters before and after a block; `between` makes the row of machine.csv."""

    def __init__(self) -> None:
        """Finds out once what this machine tells."""
        self._card = GraphicsCard.first()
        self._rapl = sorted(_POWERCAP.glob("intel-rapl:[0-9]")) if _POWERCAP.is_dir() else []
        self._rapl_range = [_number(zone / "max_energy_range_uj") for zone in self._rapl]

    def read(self) -> Reading:
        """Returns the counters now."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Guest time is already inside user time.
        everything = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        mine = os.times()
        energies = [_number(zone / "energy_uj") for zone in self._rapl]
        return Reading(
            seconds=time.perf_counter(),
            busy=everything - idle,
            own=mine.user + mine.system,
            stolen=getattr(times, "steal", UNTOLD),
            throttled=_number(_CPU / "thermal_throttle" / "package_throttle_count"),
            cpu_joules=sum(energies) / 1e6 if energies else UNTOLD,
            gpu_joules=self._card.joules() if self._card else UNTOLD,
        )

    def between(self, before: Reading, after: Reading) -> dict[str, float | str]:
        """Returns what happened between two readings.

        Returns:
            seconds; clock_mhz, governor, temperature_c and gpu_clock_mhz, gpu_temperature_c at the end;
            others_cores, the cores that other processes kept busy; stolen_share of the cores' time;
            throttled, the count of events; cpu_joules and gpu_joules. NaN or "not told" where unknown.
        """
        seconds = max(after.seconds - before.seconds, 1e-9)
        busy, own = after.busy - before.busy, after.own - before.own
        clock = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
        return {
            "seconds": seconds,
            "clock_mhz": float(clock.current) if clock else UNTOLD,
            "governor": _text(_CPU / "cpufreq" / "scaling_governor"),
            "temperature_c": _temperature(),
            "others_cores": max(0.0, busy - own) / seconds,
            "stolen_share": (after.stolen - before.stolen) / seconds / available_cores(),
            "throttled": after.throttled - before.throttled,
            "cpu_joules": self._energy(after.cpu_joules - before.cpu_joules),
            "gpu_joules": after.gpu_joules - before.gpu_joules,
            "gpu_clock_mhz": self._card.clock_mhz() if self._card else UNTOLD,
            "gpu_temperature_c": self._card.temperature_c() if self._card else UNTOLD,
        }

    def _energy(self, joules: float) -> float:
        """Undoes the wrap of one package's counter; anything else that runs backwards is not told."""
        if joules >= 0 or np.isnan(joules):
            return joules
        wrapped = joules + max((each for each in self._rapl_range if each > 0), default=0.0) / 1e6
        return wrapped if wrapped >= 0 else UNTOLD


def _temperature() -> float:
    """The hottest processor sensor in degrees Celsius."""
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    known = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")
    values = [entry.current for name in known for entry in sensors.get(name, []) if entry.current]
    return float(max(values)) if values else UNTOLD


def _number(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return UNTOLD


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return "not told"
