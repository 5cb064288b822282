"""What this machine is, as recorded with every run."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

from pose_utils import __version__, paths
from pose_utils.cores import available_cores

PACKAGES = (
    "torch", "torchvision", "mmcv", "mmdet", "mmpose", "mmengine", "onnx", "onnxruntime-gpu", "onnxruntime",
    "openvino", "ai-edge-litert", "tensorrt", "tensorrt_rtx_cu13", "opencv-python", "numpy", "pandas",
    "matplotlib", "jupyterlab", "papermill", "nbconvert", "ipywidgets", "pycocotools",
)  # fmt: skip

_ISA = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


def package_versions() -> dict[str, str]:
    """Returns the version of each package that matters, "missing" where it is not installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    return versions


def describe_machine() -> dict[str, Any]:
    """Returns hardware, operating system, versions and git revision; nothing names the user or host."""
    cpu, flags = _cpu()
    return {
        "cpu": cpu,
        "instruction_sets": [name for name in _ISA if name in flags],
        "cores_usable": available_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": _gpu(),
        "clock_mhz": _clock(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "pose_utils": __version__,
        "git_revision": _git_revision(),
        "packages": package_versions(),
    }


def _cpu() -> tuple[str, set[str]]:
    entries = [line.partition(":") for line in (_read("/proc/cpuinfo") or "").splitlines()]
    values = {key.strip(): value.strip() for key, _, value in entries}
    return values.get("model name") or platform.processor() or platform.machine(), set(
        values.get("flags", "").split()
    )


def _gpu() -> str:
    """Name and driver from nvidia-smi, "none" where no driver answers."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return _output(query) or "none"


def _clock() -> float | None:
    clock = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return round(clock.current) if clock else None


def _git_revision() -> str:
    revision = _output(["git", "-C", str(paths.ROOT), "rev-parse", "--short", "HEAD"])
    changed = _output(["git", "-C", str(paths.ROOT), "status", "--porcelain", "--untracked-files=no"])
    return f"{revision}{'+changes' if changed else ''}" if revision else "unknown"


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
