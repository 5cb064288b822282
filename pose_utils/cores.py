"""How many processor cores this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Returns how many cores this process may use, which cgroups and taskset can make fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
