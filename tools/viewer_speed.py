"""Times the live condition viewer: `python tools/viewer_speed.py RUN_DIR`.

For each choice: from the slider's event to the picture's bytes being handed to the browser, and what of it
the networks took (every call of a back end). The difference is the viewer's own: reading, corrupting,
drawing, tables, encoding. Choices that were shown before come from the viewer's memory and are timed apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.report.galleries import ConditionPictures
from pose_utils.report.live_cases import live_viewer
from pose_utils.runtime.backends.base import Backend
from pose_utils.study.conditions import FAMILIES
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness_chapters import material_of


def networks_clock() -> list[float]:
    """Wraps `run` of every back end that is loaded, and returns the list that it writes seconds into."""
    spent: list[float] = []

    def timed(run: Callable) -> Callable:
        def inner(self: Backend, inputs: np.ndarray) -> list[np.ndarray]:
            start = time.perf_counter()
            try:
                return run(self, inputs)
            finally:
                spent.append(time.perf_counter() - start)

        return inner

    for kind in Backend.__subclasses__():
        kind.run = timed(kind.run)
    return spent


def measure(run: RunFolder) -> pd.DataFrame:
    """Returns a row a move of the severity slider, with the milliseconds in all and in the networks."""
    asked = run.info()["parameters"]
    pictures = ConditionPictures(run, material_of(run, asked["profile"]), asked["seed"])
    viewer = live_viewer(pictures, limit=2)
    controls = {child.description: child for child in viewer.widget().children[0].children}
    controls["Condition"].value = "fog"  # the first one opens the pipeline
    spent, rows, shown = networks_clock(), [], set()
    for name in (name for name in FAMILIES if name != "fog"):
        controls["Condition"].value = name
        for severity in (1, 2, 3, 4, 5, 2):
            key = (name, severity)
            if controls["Severity"].value == severity:
                shown.add(key)
                continue
            spent.clear()
            start = time.perf_counter()
            controls["Severity"].value = severity
            took = (time.perf_counter() - start) * 1000
            rows.append({"condition": name, "severity": severity, "remembered": key in shown, "ms": took,
                         "networks": sum(spent) * 1000})  # fmt: skip
            shown.add(key)
    return pd.DataFrame(rows)


def main() -> None:
    """Prints what the viewer adds to the networks, for each condition and in all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    table = measure(RunFolder(parser.parse_args().run_dir))
    table["own"] = table["ms"] - table["networks"]
    fresh, known = table[~table["remembered"]], table[table["remembered"]]
    by = fresh.groupby("condition", sort=False)[["ms", "networks", "own"]].median().round(0)
    print(by.astype(int).to_string())
    for words, rows in (("computed", fresh), ("remembered", known)):
        own = rows["own"]
        print(f"{words}, {len(rows)} moves: beside the networks {own.median():.0f} ms (median), "
              f"{own.quantile(0.95):.0f} ms (95 %), {own.max():.0f} ms (most); "
              f"within 150 ms {np.mean(own <= 150):.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
