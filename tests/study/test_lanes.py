"""Pictures dealt out to pipelines side by side: the order, the errors, and the same records as one by one."""

import threading
import time

import cv2
import pandas as pd
import pytest

from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.torch import TorchBackend
from pose_utils.runtime.opening import side_by_side
from pose_utils.runtime.pipeline import Detector, PoseEstimator, PosePipeline
from pose_utils.study.lanes import Lanes
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import TABLES, run_robustness
from tests.runtime.fakes import FakeBackend
from tests.runtime.toy_networks import frame_with, toy_detector, toy_simcc
from tests.study.known_pipeline import ByBrightness


def nothing():
    pass


def test_results_keep_the_order_of_the_items_whoever_ends_first():
    started = threading.Event()

    def work(number):
        if number == 0:
            assert started.wait(10)  # the first ends only after the second began
        else:
            started.set()
        return 10 * number

    done = []
    assert Lanes("pipeline", workers=2).deal(work, range(6), lambda: done.append(1)) == [
        0, 10, 20, 30, 40, 50,
    ]  # fmt: skip
    assert len(done) == 6


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_on_a_thread_ends_it_with_that_error_and_drops_the_rest(error):
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.01)
        if number == 3:
            raise error("picture 3")
        return number

    with pytest.raises(error, match="picture 3"):
        Lanes("pipeline", workers=2).deal(work, range(1000), nothing)
    assert len(begun) < 900
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]


def test_an_error_where_progress_is_told_ends_it_too():
    def done():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Lanes("pipeline", workers=2).deal(lambda number: number, range(100), done)


def test_a_pipeline_that_cannot_be_copied_is_used_by_one_thread_at_a_time():
    lanes = Lanes(ByBrightness(), workers=4)
    inside, most = [], []

    def work(number):
        with lanes.free() as pipeline:
            inside.append(pipeline)
            most.append(len(inside))
            time.sleep(0.002)
            inside.pop()

    lanes.deal(work, range(20), nothing)
    assert lanes.count == 1 and max(most) == 1


def test_a_lane_is_given_back_after_an_error():
    lanes = Lanes(ByBrightness(), workers=1)
    with pytest.raises(ValueError, match="no"), lanes.free():
        raise ValueError("no")
    with lanes.free() as pipeline:
        assert isinstance(pipeline, ByBrightness)


def toy_pipeline(folder, backend):
    detector, pose = (open_backend(backend, make(folder)) for make in (toy_detector, toy_simcc))
    return PosePipeline(Detector(detector), PoseEstimator(pose), min_score=0.4, max_persons=7)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_side_by_side_on_real_back_ends_the_records_are_those_of_one_lane(tmp_path, backend):
    pipeline = toy_pipeline(tmp_path, backend)
    (tmp_path / "in").mkdir()
    for number in range(8):
        cells = [(5 + 3 * number, 8), (20, 30 - number)][: number % 3]
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), frame_with(cells, 240, 320, seed=number))
    found = {}
    for workers in (1, 3):
        run = RunFolder.create({}, tmp_path / f"run-{workers}")
        files, conditions = sorted((tmp_path / "in").iterdir()), ["noise_moderate", "defocus:1"]
        options = {"truth": None, "seed": 2, "bootstrap": 20, "progress": False, "workers": workers}
        run_robustness(pipeline, files, conditions, run=run, **options)
        found[workers] = [run.read(table).drop(columns="run_id") for table in TABLES]
    assert len(found[1][1]) > 17, "nobody was found: there is nothing to compare"
    for one, several in zip(*found.values(), strict=True):
        if "metric" in one:
            one, several = (each[each["metric"] != "fps"].reset_index(drop=True) for each in (one, several))
        pd.testing.assert_frame_equal(one, several, check_exact=True)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_copies_compute_on_one_thread_with_the_same_settings(tmp_path, backend):
    pipeline = toy_pipeline(tmp_path, backend)
    copies = side_by_side(pipeline, 2)
    assert len({id(copy.pose.backend) for copy in [pipeline, *copies]}) == 3
    for copy in copies:
        assert [backend.threads for backend in copy.backends] == [1, 1]
        assert (copy.min_score, copy.max_persons, copy.models) == (0.4, 7, pipeline.models)


def test_pytorch_stays_one_lane_because_its_threads_belong_to_the_process():
    class Torch(FakeBackend):
        side_by_side = TorchBackend.side_by_side

    pipeline = PosePipeline(None, PoseEstimator(Torch("rtmpose-t", None)))
    assert side_by_side(pipeline, 4) == [pipeline]
