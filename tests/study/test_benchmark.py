"""What is timed and how it is booked; the clock itself is never judged."""

import numpy as np
import pytest

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.pipeline import Detector, OneStage, PoseEstimator, PosePipeline
from pose_utils.study import benchmark, timed_frames
from pose_utils.study.benchmark import Config, Workload, make_workloads, run_benchmark, standard_configs
from pose_utils.study.configurations import DETECT_EVERY, FUSED, VIDEO
from pose_utils.study.latency import speedups
from pose_utils.study.records import RunFolder
from pose_utils.study.timed_frames import VideoRow, time_call, unfit, warm_up
from tests.runtime.fakes import FakeBackend, rtmdet_outputs, simcc_outputs

IMAGE = np.full((320, 320, 3), 90, np.uint8)


def boxes(count):
    return np.float32([[10 * i, 0, 10 * i + 40, 100] for i in range(count)])


def workload(persons):
    return Workload(f"{persons}.png", IMAGE, boxes(persons))


def fake(found=((40, 40, 120, 200, 0.9),), pose=simcc_outputs, detector=True):
    backend = FakeBackend("rtmdet-nano", lambda inputs: rtmdet_outputs(found))
    return PosePipeline(
        Detector(backend) if detector else None, PoseEstimator(FakeBackend("rtmpose-t", pose))
    )


def test_every_configuration_poses_the_persons_of_the_workload_and_not_its_own():
    pipeline = fake(found=[])
    stages = time_call(pipeline, workload(3))
    assert pipeline.pose.backend.shapes == [(3, 3, 256, 192)]
    assert len(pipeline.detector.backend.shapes) == 1, "the detector runs on the picture all the same"
    assert set(stages) == {"letterbox", "detect", "nms", "crop", "pose", "keypoints", "total"}


def test_the_total_is_measured_around_the_stages(monkeypatch):
    seconds = iter(range(1, 100))
    monkeypatch.setattr("pose_utils.study.timed_frames.time.perf_counter", lambda: float(next(seconds)))
    clock = timed_frames.StageClock
    monkeypatch.setattr(timed_frames, "StageClock", lambda: clock(_last=1.0))
    stages = time_call(fake(), workload(1))
    total = stages.pop("total")
    assert total == 1000 + sum(stages.values())


def test_a_pose_only_row_runs_no_detector():
    stages = time_call(fake(detector=False), workload(2))
    assert set(stages) == {"crop", "pose", "keypoints", "total"}


def test_a_one_stage_row_runs_its_network_once():
    backend = FakeBackend("movenet-multipose", lambda inputs: [np.zeros((1, 6, 56), "float32")])
    stages = time_call(PosePipeline(None, OneStage(backend)), workload(2))
    assert len(backend.shapes) == 1 and set(stages) == {"letterbox", "detect", "keypoints", "total"}


def totals(monkeypatch, values):
    given = iter(values)
    monkeypatch.setattr(timed_frames, "time_call", lambda *arguments: {"total": next(given)})


def test_warm_up_ends_when_times_have_settled(monkeypatch):
    totals(monkeypatch, [90, 80, 70, 60, 50, 40, 30, 20, *[10.0] * 100])
    # The last eight calls are all alike for the first time after sixteen calls.
    assert 14 <= warm_up(None, None, 8) <= 16


def test_warm_up_ends_even_if_times_never_settle(monkeypatch):
    totals(monkeypatch, (2.0**-i for i in range(1000)))
    assert warm_up(None, None, 8) == 8 * timed_frames.MAX_WARMUP_FACTOR


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_short_warm_up_is_as_long_as_was_asked(monkeypatch, calls):
    totals(monkeypatch, (2.0**-i for i in range(1000)))
    assert warm_up(None, None, calls) == calls


def test_workloads_are_the_emptiest_pictures_that_suffice():
    pictures = [("five", IMAGE, boxes(5)), ("none", IMAGE, boxes(0)), ("two", IMAGE, boxes(2))]
    made = make_workloads(pictures, (1, 2, 3, 12))
    assert [each.name for each in made] == ["two", "two", "five", "five (5 persons, posed repeatedly)"]
    assert [each.persons for each in made] == [1, 2, 3, 12]
    np.testing.assert_array_equal(made[3].boxes[5:7], boxes(2))
    with pytest.raises(Unavailable, match="no picture shows a person"):
        make_workloads(pictures[1:2], (1,))


def test_standard_configurations_have_names_of_their_own_and_pose_only_baselines():
    names = [config.name for config in standard_configs("rtmdet-m+rtmpose-m")]
    assert len(set(names)) == len(names)
    assert {"torch-fp32-cpu", "torch-fp32-cpu-pose", "openvino-bf16-cpu", "tensorrt-fp16-cuda-pose"} <= set(
        names
    )
    assert "movenet-multipose-litert-fp32-cpu" in names


CONFIGS = [
    Config("rtmdet-nano+rtmpose-t", backend)
    for backend in ("torch", "onnxruntime", "openvino", "tensorrt", "litert")
]


@pytest.fixture
def record(monkeypatch, tmp_path):
    """A whole run on fakes: one row is unavailable, one lacks weights, one breaks in its first call."""
    order, stop = [], {}

    def broken(inputs):
        raise RuntimeError("out of memory")

    def load(config, threads):
        if config.backend == "tensorrt":
            raise Unavailable("no NVIDIA driver on this machine\nand more")
        if config.backend == "litert":
            raise AssetError("no weights")
        return fake(pose=broken if config.backend == "openvino" else simcc_outputs)

    real = benchmark._sample_rows

    def noted(config, pipeline, work, block, repeat, weights):
        order.append((block, config.backend, work.persons, repeat))
        if len(order) == stop.get("after"):
            raise KeyboardInterrupt
        return real(config, pipeline, work, block, repeat, weights)

    monkeypatch.setattr(benchmark, "load", load)
    monkeypatch.setattr(benchmark, "_sample_rows", noted)

    def go(seed=0, runs=10, interrupted_after=None, **options):
        order.clear()
        stop["after"] = interrupted_after
        run = RunFolder.create({}, tmp_path / f"run-{seed}-{runs}")
        try:
            run_benchmark(
                CONFIGS, [workload(1), workload(4)], run, runs=runs, warmup=1, blocks=3, seed=seed, **options
            )
        except KeyboardInterrupt:
            assert interrupted_after
        return run, list(order)

    return go


def test_what_cannot_run_is_a_row_with_its_reason(record):
    rows = record()[0].read("configs.csv").set_index("backend")
    assert list(rows.index) == [config.backend for config in CONFIGS]
    assert rows["status"].to_dict() == {
        "torch": "ok", "onnxruntime": "ok", "openvino": "failed", "tensorrt": "skipped", "litert": "skipped",
    }  # fmt: skip
    assert rows.loc["tensorrt", "reason"] == "no NVIDIA driver on this machine"
    assert rows.loc["openvino", "reason"] == "RuntimeError: out of memory"
    assert rows.loc["torch", "first_call_ms"] > 0 and np.isnan(rows.loc["tensorrt", "first_call_ms"])


def test_every_call_is_kept(record):
    latency = record()[0].read("latency.parquet")
    whole = latency[latency["stage"] == "total"]
    assert whole.groupby(["config", "persons"]).size().to_dict() == {
        (f"{name}-fp32-cpu", persons): 10 for name in ("torch", "onnxruntime") for persons in (1, 4)
    }
    assert sorted(whole["block"].unique()) == [0, 1, 2]
    parts = latency[latency["stage"] != "total"].groupby(["config", "persons", "block", "repeat"])["ms"].sum()
    total = whole.set_index(["config", "persons", "block", "repeat"])["ms"]
    assert (parts <= total.loc[parts.index]).all()
    assert len(speedups(latency, "torch-fp32-cpu")) == 4


def test_blocks_are_interleaved_in_an_order_that_the_seed_decides(record):
    def sequence(calls):
        return [(block, backend, persons) for block, backend, persons, repeat in calls if repeat == 0]

    first = sequence(record(0)[1])
    assert [block for block, *_ in first] == [0] * 4 + [1] * 4 + [2] * 4
    for block in range(3):
        assert len({entry[1:] for entry in first if entry[0] == block}) == 4, "each pair once in each block"
    assert first == sequence(record(0, 11)[1])
    assert any(sequence(record(seed)[1]) != first for seed in (1, 2, 3))


def test_an_interrupted_benchmark_goes_on_with_the_block_it_was_in(record):
    # Three blocks of 4, 3 and 3 calls on four pairs: the 20th call is in the second block.
    assert len(record(0, 10, interrupted_after=20)[1]) == 20
    run, calls = record(0, 10)
    assert {block for block, *_ in calls} == {1, 2} and len(calls) == 24, "the first block is not run again"
    whole = run.read("latency.parquet").query("stage == 'total'")
    assert whole.groupby(["config", "persons"]).size().tolist() == [10] * 4
    assert len(run.read("machine.csv")) == 12
    assert len(record(0, 10)[1]) == 40, "a finished one is timed anew"


def test_another_request_takes_nothing_over_from_an_interrupted_one(record, tmp_path):
    record(0, 10, interrupted_after=20)
    run = RunFolder(tmp_path / "run-0-10")
    run_benchmark(CONFIGS, [workload(1), workload(4)], run, runs=7, warmup=1, blocks=3, seed=0)
    whole = run.read("latency.parquet").query("stage == 'total'")
    assert whole.groupby(["config", "persons"]).size().tolist() == [7] * 4
    assert not list(run.path.rglob("parts/*/*"))


def test_a_benchmark_that_leaves_a_precision_out_is_another_request(record):
    record(0, 10, interrupted_after=20)
    assert len(record(0, 10, left_out={"int8": "left out of this profile"})[1]) == 40


def test_a_video_row_detects_once_in_k_frames_and_poses_in_all():
    row = VideoRow(fake())
    stages = time_call(row, workload(3))
    assert len(row.pipeline.detector.backend.shapes) == 1
    assert row.pipeline.pose.backend.shapes == [(3, 3, 256, 192)] * DETECT_EVERY
    assert sum(ms for stage, ms in stages.items() if stage != "total") <= stages["total"]


def test_the_tracker_of_a_video_row_keeps_everybody_in_every_frame(monkeypatch):
    followed = []
    real = timed_frames.Tracker.follow

    def noted(tracker, poses):
        found = real(tracker, poses)
        followed.append(len(found))
        return found

    monkeypatch.setattr(timed_frames.Tracker, "follow", noted)
    time_call(VideoRow(fake()), workload(7))
    assert followed == [7] * (DETECT_EVERY - 1)


class Fused:
    """Finds three persons at most, whatever it is asked for."""

    def limited_to(self, persons):
        return lambda image: range(min(3, persons))


def test_a_fused_file_is_timed_on_the_persons_that_it_finds_itself(monkeypatch):
    monkeypatch.setattr(timed_frames, "FusedRow", Fused)
    assert unfit(Fused(), workload(3)) == "" and unfit(fake(), workload(8)) == ""
    assert unfit(Fused(), workload(4)) == "finds 3 of 4 persons by itself"
    assert set(time_call(Fused(), workload(2))) == {"total"}


def test_fused_and_video_rows_have_names_of_their_own():
    configs = {config.name: config for config in standard_configs("rtmdet-m+rtmpose-m")}
    assert configs["openvino-fp32-cpu-fused"].pipeline == FUSED
    assert configs[f"openvino-fp32-cpu-every{DETECT_EVERY}"].pipeline == VIDEO


def test_fewer_runs_than_blocks_are_still_runs(record):
    latency = record(0, 2)[0].read("latency.parquet")
    assert (latency[latency["stage"] == "total"].groupby(["config", "persons"]).size() == 2).all()
