"""Cameras: the newest frame is next, delays stay bounded, and hours leave no trace in memory."""

import json
import os
import resource
import threading
import time

import numpy as np
import pytest

from pose_utils.errors import InputError, Unavailable
from pose_utils.runtime import live, stream
from pose_utils.runtime.inference import Tracking, run_inference
from pose_utils.runtime.live import Slot
from pose_utils.runtime.media import Frame, Source
from pose_utils.runtime.outputs import ResultsFile, Window
from pose_utils.runtime.smoothing import OneEuro
from pose_utils.runtime.tracking import TrackedPipeline
from tests.runtime.fakes import FakePipeline, standing
from tests.runtime.walkers import SyntheticPipeline, Walkers


class Camera:
    """Gives `count` numbered frames, then nothing, or hangs; each read waits for `pace`."""

    def __init__(self, count, pace=lambda index: None, hangs=False):
        self.count, self.pace, self.hangs = count, pace, hangs
        self.given, self.released = 0, False

    def read(self):
        self.pace(self.given)
        if self.given == self.count:
            if self.hangs:
                time.sleep(30)
            return False, None
        self.given += 1
        return True, np.full((60, 80, 3), (self.given - 1) % 256, np.uint8)

    def release(self):
        self.released = True


@pytest.fixture
def run(tmp_path, monkeypatch):
    def start(camera, pipeline=None, **options):
        monkeypatch.setattr(stream, "open_capture", lambda location: camera)
        source = Source("0", "camera")
        summary = run_inference(pipeline or FakePipeline(), source, tmp_path, progress=False, **options)
        return summary, json.loads((tmp_path / "results.json").read_text())

    return start


def test_the_newest_frame_is_next_and_late_ones_are_dropped(run):
    started, delivered = threading.Event(), threading.Event()
    seen = []

    def pace(index):
        if index == 1:
            started.wait(10)  # the pipeline works on frame 0
        if index == 20:
            delivered.set()

    def work(image):
        seen.append(int(image[0, 0, 0]))
        if len(seen) == 1:
            started.set()
            delivered.wait(10)

    summary, results = run(Camera(20, pace), FakePipeline(before=work))
    assert seen == [0, 19], "the 18 between were late"
    assert (
        summary.live["captured"] == 20 and summary.live["dropped"] == 18 and results["live"] == summary.live
    )
    assert results["frames"] == 2 and results["live"]["latency_ms"]["n"] == 2
    assert [image["file_name"] for image in results["images"]] == ["camera-0#000000", "camera-0#000019"]
    assert "no more frames after 20" in results["skipped"][0]["reason"]


def test_capture_goes_on_while_the_pipeline_works(run):
    during = []
    camera = Camera(400, lambda index: time.sleep(0.002))

    def work(image):
        before = camera.given
        time.sleep(0.1)
        during.append(camera.given - before)

    run(camera, FakePipeline(before=work), max_frames=3)
    assert max(during) > 5 and camera.released


def test_a_stream_that_stalls_ends_with_what_came(run, monkeypatch):
    monkeypatch.setattr(stream, "STALL_SECONDS", 0.3)
    summary, results = run(Camera(2, lambda index: time.sleep(0.05), hangs=True))
    assert summary.frames >= 1 and not summary.interrupted
    assert "stalled: no frame for 0.3 s" in results["skipped"][0]["reason"]


def test_a_stream_that_never_gives_a_frame_is_an_error(run, monkeypatch):
    monkeypatch.setattr(stream, "STALL_SECONDS", 0.2)
    with pytest.raises(InputError, match="stalled"):
        run(Camera(0, hangs=True))
    monkeypatch.setattr(stream, "STALL_SECONDS", 10)
    assert "no frame could be decoded" in run(Camera(0))[1]["skipped"][0]["reason"]


def test_an_error_of_the_pipeline_ends_the_run_and_frees_the_camera(run):
    camera = Camera(5, lambda index: time.sleep(0.01))

    def fail(image):
        raise Unavailable("the GPU is gone")

    with pytest.raises(Unavailable, match="the GPU is gone"):
        run(camera, FakePipeline(before=fail))
    assert camera.released


def test_ctrl_c_ends_a_camera_run_and_keeps_its_results(run, monkeypatch):
    camera = Camera(10_000, lambda index: time.sleep(0.01))
    calls = iter(range(100))

    def draw(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(live.LiveFrames, "shown", draw)
    summary, results = run(camera, tracking=Tracking(smooth=True))
    assert summary.interrupted and results["frames"] == 4 and camera.released


def test_annotated_pictures_say_how_old_they_are(run, tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr("pose_utils.runtime.inference.draw_note", lambda canvas, text: notes.append(text))
    run(Camera(3, lambda index: time.sleep(0.05)), save_pictures=1)
    assert len(list(tmp_path.glob("*.jpg"))) == 1
    assert "ms" in notes[0] and "dropped" in notes[0]


def test_a_slot_holds_one_thing():
    slot = Slot()
    for thing in range(5):
        slot.put(thing)
    assert slot.get(0) == 4 and slot.dropped == 4
    with pytest.raises(TimeoutError):
        slot.get(0.01)
    slot.end()
    assert slot.get(0) is None


def test_a_window_without_a_display_is_said_and_not_a_crash(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(Unavailable, match="leave --show out"):
        Window()


def test_half_an_hour_of_a_stream_takes_no_more_memory_than_its_beginning(tmp_path):
    """Fast-forwarded through tracking, smoothing and the results; POSE_LONG_TESTS=1: all 45,000 frames."""
    frames = 45_000 if os.environ.get("POSE_LONG_TESTS") else 4_500
    scene = Walkers(frames=600, people=3)
    find, smooth, results = TrackedPipeline(SyntheticPipeline(scene)), OneEuro(), ResultsFile(tmp_path)
    images = list(scene.images())
    early = 0
    for index in range(frames):
        image = images[index % 600]
        poses = smooth(find(image), index / 25)
        results.book(Frame(f"camera-0#{index:06d}", image, index, 1.0), poses, 10.0)
        if index == frames // 10:
            early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results.publish({"source": "synthetic"}, [])
    results.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early < 20_000, "kilobytes"
    assert len(find.tracker.tracks) < 20 and len(smooth._past) < 20
    content = json.loads((tmp_path / "results.json").read_text())
    assert len(content["images"]) == frames and len(content["annotations"]) == results.persons > 2 * frames


def test_the_identity_is_drawn(run):
    summary, results = run(Camera(5, lambda index: time.sleep(0.02)), tracking=Tracking())
    assert {entry["track_id"] for entry in results["annotations"]} == {1}
    assert results["tracking"] == {"detect_every": 1, "smooth": False}
    assert summary.persons == len(results["annotations"]) and standing()
