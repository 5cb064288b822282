"""Runs that are killed at any moment are taken up again and end with the same records."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pandas as pd
import pytest

from pose_utils import paths
from pose_utils.study.records import RunFolder
from tests.study.known_pipeline import PLACES

PROGRAM = """
import sys, time
from pathlib import Path
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import run_robustness
from tests.study.known_pipeline import ByBrightness

class Slow(ByBrightness):
    def detector(self, image):
        time.sleep(0.03)
        return super().detector(image)

folder, pictures = Path(sys.argv[1]), sorted(Path(sys.argv[2]).glob("*.png"))
run = RunFolder(folder) if (folder / "run.json").is_file() else RunFolder.create({}, folder)
print("started", flush=True)
run_robustness(Slow(), pictures, ["noise_heavy", "low_light_severe", "fog"], truth=None, seed=1, run=run,
               bootstrap=50, progress=False, workers=2)
"""


def start(folder, pictures):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(pictures)]
    return subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def tables(folder):
    run = RunFolder(folder)
    frames = {name: run.read(name) for name in ("persons.parquet", "poses.parquet", "metrics.csv")}
    metrics = frames["metrics.csv"]
    frames["metrics.csv"] = metrics[metrics["metric"] != "fps"].reset_index(drop=True)
    return {name: frame.drop(columns="run_id") for name, frame in frames.items()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for index, places in enumerate(PLACES):
        image = np.zeros((180, 240, 3), np.uint8)
        for x, y in places:
            image[y : y + 100, x : x + 80] = 255
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = start(folder, pictures)
    process.stdout.readline()
    begun = time.monotonic()
    assert process.wait(300) == 0
    return tables(folder), time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("count", range(int(os.environ.get("POSE_KILLS", 2))))
def test_after_a_kill_at_a_random_moment_the_records_are_the_same(whole, pictures, tmp_path, count):
    expected, span = whole
    draw, folder = random.Random(count), tmp_path / "run"
    for sign in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None):
        process = start(folder, pictures)
        process.stdout.readline()
        try:
            process.wait(None if sign is None else draw.uniform(0, span / 2))
        except subprocess.TimeoutExpired:
            process.send_signal(sign)
        code = process.wait(300)
    assert code == 0
    found = tables(folder)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(frame, found[name], check_exact=True)
    assert list(folder.rglob("*.temporary*")) == []
    assert json.loads((folder / "run.json").read_text())["run_id"] == "run"
