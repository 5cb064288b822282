"""The live cell of notebook 01."""

import time

import numpy as np
import pytest

from pose_utils.report import live_view
from pose_utils.runtime import stream
from tests.runtime.fakes import FakePipeline


class Handle:
    def __init__(self):
        self.shown = []

    def update(self, thing):
        self.shown.append(thing)


class Camera:
    def __init__(self, count):
        self.left, self.released = count, False

    def read(self):
        time.sleep(0.02)
        self.left -= 1
        return (True, np.zeros((48, 64, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        self.released = True


@pytest.fixture
def handle(monkeypatch):
    made = Handle()
    monkeypatch.setattr(live_view, "display", lambda *things, display_id: made)
    return made


@pytest.mark.parametrize("camera, said", [("", "No camera was named"), ("97", "cannot be opened")])
def test_without_a_camera_it_says_so_and_shows_nothing(handle, camera, said):
    assert said in live_view.watch_camera(FakePipeline(), camera)
    assert handle.shown == []


def test_a_camera_is_shown_in_place_and_no_picture_stays(handle, monkeypatch):
    camera = Camera(6)
    monkeypatch.setattr(stream, "open_capture", lambda location: camera)
    monkeypatch.setattr("pose_utils.runtime.media.open_capture", lambda location: Camera(0))
    said = live_view.watch_camera(FakePipeline(), "0")
    assert len(handle.shown) >= 2 and type(handle.shown[0]).__name__ == "Image"
    assert handle.shown[-1].data == "" and camera.released
    assert "frames shown" in said and "ms (median)" in said


def test_it_ends_with_its_time(handle, monkeypatch):
    monkeypatch.setattr(stream, "open_capture", lambda location: Camera(10_000))
    monkeypatch.setattr("pose_utils.runtime.media.open_capture", lambda location: Camera(0))
    live_view.watch_camera(FakePipeline(), "0", seconds=0.2)
    assert len(handle.shown) < 200


def test_a_file_is_no_camera(handle, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert "is no camera" in live_view.watch_camera(FakePipeline(), str(tmp_path / "a.jpg"))
