"""Kills a run at random moments, takes it up again, and compares its records with an unbroken run's.

`python tools/kill_and_resume.py [--times 20] [--kills 1] [--seed 0] [--folder DIR] -- COMMAND...`: COMMAND is
one of pose_utils without --run-dir, as in `report --profile smoke`. SIGINT, SIGTERM and SIGKILL by turns.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from pose_utils import paths
from pose_utils.errors import InputError
from pose_utils.study.records import RunFolder
from pose_utils.study.schemas import SCHEMAS

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
TIMED_TABLES = ("latency.parquet", "configs.csv", "machine.csv")
TIMED_COLUMNS = {"backends.csv": ["build_s"]}
TIMED_UNITS = ("ms", "images/s")
"""What tells how long something took this time: not to be compared."""


def records(folder: Path) -> dict[str, pd.DataFrame]:
    """Returns every table of a run without what was measured with a clock, in a fixed order."""
    run, found = RunFolder(folder), {}
    for name in SCHEMAS:
        if not run.has(name) or name in TIMED_TABLES:
            continue
        frame = run.read(name).drop(columns=["run_id", *TIMED_COLUMNS.get(name, [])], errors="ignore")
        if "unit" in frame:
            frame = frame[~frame["unit"].isin(TIMED_UNITS)]
        found[name] = frame.sort_values(list(frame.columns), ignore_index=True)
    return found


def differences(first: Path, second: Path) -> list[str]:
    """Returns the names of the tables that differ, and of temporary files that were left behind."""
    mine, other = records(first), records(second)
    changed = [name for name in mine if name not in other or not mine[name].equals(other[name])]
    changed += sorted(set(other) - set(mine))
    return changed + [path.name for path in second.rglob("*.temporary*")]


def start(command: list[str], folder: Path) -> subprocess.Popen:
    """Starts `pose_utils COMMAND --run-dir folder` as the head of its own process group."""
    whole = [sys.executable, "-m", "pose_utils", *command, "--run-dir", str(folder)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(whole, cwd=paths.ROOT, stdout=quiet, stderr=quiet, start_new_session=True)


def one_round(
    command: list[str], folder: Path, kills: list[tuple[signal.Signals, float]]
) -> tuple[list[str], int]:
    """Kills a run again and again, each time after so many seconds, and lets the last one end.

    Returns:
        What became of every run but the last, and the exit code of the last.
    """
    told = []
    for sign, after_s in kills:
        process = start(command, folder)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, sign)
        running = process.returncode is None
        code = process.wait(300)
        told.append(f"{sign.name} after {after_s:.1f} s, exit {code}" if running else "ended by itself")
    return told, start(command, folder).wait()


def main() -> int:
    """Prints a line for each run that was killed and ended, and returns how many differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="kills in all")
    parser.add_argument("--kills", type=int, default=1, help="kills of one run before it may end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="where an unbroken run may be from before")
    parser.add_argument("command", nargs="+")
    chosen = parser.parse_args()
    base = chosen.folder or Path(tempfile.mkdtemp())
    draw = random.Random(chosen.seed)
    length = base / "whole-seconds.txt"
    if not length.is_file():
        begun = time.monotonic()
        start(chosen.command, base / "whole").wait()
        length.write_text(f"{time.monotonic() - begun:.1f}")
    span = float(length.read_text())
    print(f"unbroken: {span:.0f} s, tables {', '.join(records(base / 'whole'))}", flush=True)
    failed = 0
    moments = [
        (SIGNALS[count % len(SIGNALS)], draw.uniform(0.02, 0.98) * span) for count in range(chosen.times)
    ]
    for begin in range(0, chosen.times, chosen.kills):
        folder = base / f"broken-{chosen.seed}-{begin}"
        told, again = one_round(chosen.command, folder, moments[begin : begin + chosen.kills])
        try:
            changed = differences(base / "whole", folder)
        except InputError as error:
            changed = [str(error)]
        failed += bool(changed)
        print(f"{begin + 1}: {'; '.join(told)}; resumed {again}, {changed or 'same records'}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
