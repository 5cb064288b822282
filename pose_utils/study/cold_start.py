"""One configuration in a process of its own: how long until the first frame, and how much memory.

In the benchmark's own process libraries are already imported and every other model is resident, so
neither figure would belong to the row it stands in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pose_utils import paths
from pose_utils.study.configurations import Config
from pose_utils.study.graphics_card import GraphicsCard

TIMEOUT_S = 600
CALLS = 3
"""Frames after the first one, so that memory which later calls take is seen as well."""


def measure_cold_start(
    config: Config, image: np.ndarray, boxes: np.ndarray, threads: int | None = None
) -> dict[str, Any]:
    """Opens `config` in a fresh process and runs a few frames there.

    Args:
        config: What to open.
        image: uint8 (h, w, 3) BGR.
        boxes: float32 (n, 4) xyxy of the persons that are posed.
        threads: CPU threads; None for all cores this process may use.

    Returns:
        load_s (from a started interpreter to open networks: libraries, files, compilation, a missing
        export or engine build), first_call_ms, peak_memory_mb of the process, gpu_memory_mb on the card;
        and problem, "" where it worked.
    """
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.npz"
        np.savez(frame, image=image, boxes=boxes)
        task = json.dumps({"config": asdict(config), "frame": str(frame), "threads": threads})
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pose_utils.study.cold_start"],
                input=task, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=paths.ROOT, check=False,
                # What can be had is here since the row was opened; hosts would only be asked again.
                env={**os.environ, "POSE_OFFLINE": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return _nothing(f"not done within {TIMEOUT_S} s")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return _nothing((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return json.loads(lines[-1]) | {"problem": ""}


def peak_memory_mb() -> float:
    """Returns the most memory that this process had resident.

    Linux's VmHWM starts anew with the program; ru_maxrss would start from the parent's size, which
    survives fork and exec.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):
        return memory.peak_wset / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS


def _nothing(problem: str) -> dict[str, Any]:
    figures = dict.fromkeys(("load_s", "first_call_ms", "peak_memory_mb", "gpu_memory_mb"), np.nan)
    return {**figures, "problem": problem}


def _main() -> None:
    task = json.load(sys.stdin)
    frame = np.load(task["frame"])
    card = GraphicsCard.first() if task["config"]["device"] == "cuda" else None
    before = card.memory_used_mb() if card else np.nan
    start = time.perf_counter()
    from pose_utils.study.timed_frames import Workload, load, time_call

    pipeline = load(Config(**task["config"]), task["threads"])
    seconds = time.perf_counter() - start
    workload = Workload("frame", frame["image"], frame["boxes"])
    calls = [time_call(pipeline, workload)["total"] for _ in range(1 + CALLS)]
    used = card.memory_used_mb() - before if card else np.nan
    print(
        json.dumps(
            {
                "load_s": seconds,
                "first_call_ms": calls[0],
                "peak_memory_mb": peak_memory_mb(),
                "gpu_memory_mb": used,
            }
        )
    )


if __name__ == "__main__":
    _main()
