"""Intervals that hold what they should: nothing here is timed, every sample is drawn."""

import numpy as np
import pandas as pd
import pytest

from pose_utils.study.latency import bootstrap_medians, latency_summary, speedups

BASE = "torch-fp32-cpu"


def samples(config, factor, rng, drift=None, blocks=6, calls=20, pipeline="detect+pose", persons=1):
    """Log-normal calls around 100 ms / factor in interleaved blocks that share the machine's drift."""
    drift = np.ones(blocks) if drift is None else drift
    rows = []
    for block in range(blocks):
        for repeat, ms in enumerate(100 / factor * drift[block] * rng.lognormal(0, 0.05, calls)):
            rows.append({
                "config": config, "models": "d+p", "backend": config.split("-")[0], "precision": "fp32",
                "device": "cpu", "pipeline": pipeline, "stage": "total", "persons": persons, "block": block,
                "repeat": repeat, "ms": ms, "weights": "random",
            })  # fmt: skip
    return pd.DataFrame(rows)


def compared(factor, seed, drift=None):
    rng = np.random.default_rng(seed)
    both = [samples(BASE, 1.0, rng, drift), samples("other", factor, rng, drift)]
    table = speedups(pd.concat(both), BASE, draws=300).set_index("config")
    return table.loc["other"]


def test_alike_configurations_have_an_interval_that_holds_1():
    held = [row.speedup_low <= 1 <= row.speedup_high for row in (compared(1.0, seed) for seed in range(40))]
    # Six blocks make a percentile interval somewhat too narrow; far fewer would be a fault.
    assert np.mean(held) > 0.7


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_difference_of_a_fifth_is_never_missed(factor):
    for seed in range(20):
        row = compared(factor, seed)
        assert not row.speedup_low <= 1 <= row.speedup_high
        assert row.speedup == pytest.approx(factor, rel=0.06)


def test_drift_that_hits_all_alike_does_not_widen_a_speedup():
    drift = np.array([1.0, 1.1, 1.5, 2.0, 1.3, 0.9])
    row = compared(1.25, 1, drift)
    assert row.speedup_high - row.speedup_low < 0.2
    assert row.speedup_low > 1
    alone = latency_summary(samples("other", 1.0, np.random.default_rng(1), drift)).iloc[0]
    assert alone.high / alone.low > 1.2, "one median alone does feel the drift"


def test_a_summary_says_what_the_samples_say():
    frame = samples("a", 1.0, np.random.default_rng(0))
    row = latency_summary(frame).iloc[0]
    assert row.median_ms == np.median(frame["ms"]) and row.mean_ms == pytest.approx(np.mean(frame["ms"]))
    assert row.p95_ms == pytest.approx(np.percentile(frame["ms"], 95))
    assert row.fps == pytest.approx(1000 / row.median_ms) and row.calls == 120
    assert row.low <= row.median_ms <= row.high
    assert (row.models, row.backend, row.precision, row.weights) == ("d+p", "a", "fp32", "random")


def test_rows_are_split_by_persons_and_sorted_by_speed():
    rng = np.random.default_rng(0)
    frame = pd.concat(
        [samples("slow", 0.5, rng), samples("fast", 2.0, rng), samples("fast", 1.0, rng, persons=4)]
    )
    table = latency_summary(frame)
    assert list(zip(table["config"], table["persons"], strict=True)) == [
        ("fast", 1),
        ("fast", 4),
        ("slow", 1),
    ]


def test_only_the_stage_that_was_asked_for_counts():
    frame = samples("a", 1.0, np.random.default_rng(0))
    frame = pd.concat([frame, frame.assign(stage="detect", ms=1.0)])
    assert latency_summary(frame, "detect").iloc[0].median_ms == 1.0
    assert latency_summary(frame).iloc[0].median_ms > 50


def test_pose_only_rows_are_compared_with_the_pose_only_baseline():
    rng = np.random.default_rng(0)
    frame = pd.concat([
        samples(BASE, 1.0, rng),
        samples(f"{BASE}-pose", 10.0, rng, pipeline="pose"),
        samples("ort-pose", 20.0, rng, pipeline="pose"),
        samples("movenet-litert", 4.0, rng, pipeline="one-stage"),
    ])  # fmt: skip
    table = speedups(frame, BASE).set_index("config")
    assert table.loc["ort-pose", "baseline"] == f"{BASE}-pose"
    assert table.loc["ort-pose", "speedup"] == pytest.approx(2, rel=0.05), (
        "22 times would be a pipeline's against a stage's"
    )
    assert table.loc["movenet-litert", "speedup"] == pytest.approx(4, rel=0.05)
    assert table.loc[BASE, ["speedup", "speedup_low", "speedup_high"]].tolist() == [1, 1, 1]


def test_video_whose_detector_rests_is_compared_with_every_frame_and_says_so():
    rng = np.random.default_rng(0)
    frame = pd.concat([samples(BASE, 1.0, rng), samples("x-every5", 3.0, rng, pipeline="video")])
    row = speedups(frame, BASE).set_index("config").loc["x-every5"]
    assert row["baseline"] == f"{BASE} (detecting in every frame)"
    assert row["speedup"] == pytest.approx(3, rel=0.05)


def test_rows_without_their_baseline_are_left_out():
    rng = np.random.default_rng(0)
    frame = pd.concat([samples(BASE, 1.0, rng), samples("a", 1.0, rng, persons=4)])
    assert list(speedups(frame, BASE)["config"]) == [BASE]


def test_nothing_timed_is_an_empty_table():
    empty = samples("a", 1.0, np.random.default_rng(0)).iloc[:0]
    assert latency_summary(empty).empty and speedups(empty, BASE).empty
    assert "median_ms" in latency_summary(empty) and "speedup" in speedups(empty, BASE)


def test_few_blocks_resample_calls_and_one_call_has_a_point_interval():
    calls = np.arange(100.0)
    spread = bootstrap_medians([calls], 500, 0)
    assert spread.std() == pytest.approx(np.sqrt(np.pi / 2) * calls.std() / 10, rel=0.5)
    assert set(bootstrap_medians([np.array([3.0])], 10, 0)) == {3.0}


def test_whole_blocks_are_resampled():
    # Every block is constant: a median of resampled blocks can only be one of three values or between two.
    medians = bootstrap_medians([np.full(9, value) for value in (1.0, 2.0, 3.0)], 2000, 0)
    assert set(np.unique(medians)) == {1.0, 2.0, 3.0}
    # P(median of three draws is 1) = P(at least two ones) = 7 / 27.
    assert np.mean(medians == 1.0) == pytest.approx(7 / 27, abs=0.04)
