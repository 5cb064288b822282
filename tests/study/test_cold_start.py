"""A configuration in a process of its own: the figures are that process's."""

import numpy as np

from pose_utils.study import cold_start
from pose_utils.study.cold_start import measure_cold_start, peak_memory_mb
from pose_utils.study.configurations import POSE_ONLY, Config

IMAGE = np.full((120, 160, 3), 90, np.uint8)
BOXES = np.float32([[10, 10, 60, 100]])


def test_memory_is_that_of_the_fresh_process_and_not_its_parents():
    ballast = np.ones(150_000_000)
    config = Config("rtmdet-nano+rtmpose-t", "onnxruntime", pipeline=POSE_ONLY, weights="random")
    found = measure_cold_start(config, IMAGE, BOXES, threads=1)
    assert found["problem"] == ""
    assert found["load_s"] > 0 and found["first_call_ms"] > 0
    assert 50 < found["peak_memory_mb"] < ballast.nbytes / 1e6 < peak_memory_mb()
    assert np.isnan(found["gpu_memory_mb"])


def test_a_configuration_that_breaks_there_says_why():
    found = measure_cold_start(Config("rtmdet-nano+no-such-model", "onnxruntime"), IMAGE, BOXES)
    assert "no-such-model" in found["problem"] and np.isnan(found["peak_memory_mb"])


def test_a_process_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(cold_start, "TIMEOUT_S", 0.01)
    assert "not done" in measure_cold_start(Config("rtmdet-nano+rtmpose-t", "torch"), IMAGE, BOXES)["problem"]
