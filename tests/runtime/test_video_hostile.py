"""The door, case by case: what every odd or hostile video, camera and stream comes to."""

import os
import re
import socket
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_utils.errors import InputError
from pose_utils.runtime import stream
from pose_utils.runtime.media import open_source
from tests.runtime.hostile_files import linked, written


def video(name, frames=30, size=(64, 48), codec="MJPG", keep=1.0, change=None):
    def make(folder):
        path = folder / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, size)
        for index in range(frames):
            writer.write(np.full((size[1], size[0], 3), 8 * index % 256, np.uint8))
        writer.release()
        content = path.read_bytes()[: int(path.stat().st_size * keep)]
        path.write_bytes(change(content) if change else content)
        return path

    return make


def changing_size(folder):
    pictures = [np.full((48 + 16 * (i > 4), 64 + 16 * (i > 4), 3), 20 * i, np.uint8) for i in range(10)]
    (folder / "a.avi").write_bytes(b"".join(cv2.imencode(".jpg", each)[1].tobytes() for each in pictures))
    return folder / "a.avi"


def badly_named(folder):
    path = Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff\xfe.avi"))
    video("a.avi")(folder).rename(path)
    return path


VIDEOS = {
    "avi cut": (video("a.avi", keep=0.5), (range(2, 25), r"ends after \d+ of 30")),
    "mp4 cut": (video("a.mp4", codec="mp4v", keep=0.5), "cannot be opened"),
    "noise inside": (
        video("a.avi", change=lambda old: old[:6000] + bytes(2000) + old[8000:]),
        (range(15, 30), r"after \d+ of 30"),
    ),
    "only a header": (video("a.avi", keep=0.02), "cannot be opened"),
    "no frames, avi": (video("a.avi", frames=0), (range(0, 1), "no frame")),
    "no frames, mp4": (video("a.mp4", codec="mp4v", frames=0), "cannot be opened"),
    "empty file": (written("a.mp4", b""), "cannot be opened"),
    "text named mp4": (written("a.mp4", b"no video"), "cannot be opened"),
    "playlist of another host": (
        written("a.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"),
        "cannot be",
    ),
    "list of other files": (written("a.mp4", b"ffconcat version 1.0\nfile /dev/zero\n"), "cannot be opened"),
    "folder named mp4": (lambda folder: (folder / "d.mp4").mkdir() or folder / "d.mp4", "holds no picture"),
    "dangling link": (linked("a.mp4", "nowhere.mp4"), "cannot be opened: No such file"),
    "pipe": (lambda folder: os.mkfifo(folder / "p.avi") or folder / "p.avi", "no regular file"),
    "unknown codec": (video("a.avi", change=lambda old: old.replace(b"MJPG", b"ZZZZ")), "codec is unknown"),
    "changing size, no duration": (changing_size, (range(10, 11), None)),
    "odd sides": (video("a.avi", frames=5, size=(101, 75)), (range(5, 6), None)),
    "2x2": (video("a.avi", frames=5, size=(2, 2)), (range(5, 6), None)),
    "pattern as a name": (video("%03d.avi"), (range(30, 31), None)),
    "name that is no UTF-8": (badly_named, (range(30, 31), None)),
}


@pytest.mark.parametrize("case", VIDEOS)
def test_a_video_is_read_as_far_as_it_goes_or_refused_in_one_sentence(tmp_path, case):
    make, outcome = VIDEOS[case]
    path = make(tmp_path)
    if isinstance(outcome, str):
        with pytest.raises(InputError, match=outcome):
            list(open_source(path))
        return
    source, (frames, reason) = open_source(path), outcome
    shapes = [frame.image.shape for frame in source]
    assert len(shapes) in frames and len(set(shapes)) <= 1
    assert all(len(shape) == 3 and shape[2] == 3 for shape in shapes)
    found = " ".join(why for _, why in source.skipped)
    assert re.search(reason, found) if reason else found == ""


@pytest.fixture
def silent_host():
    """The port of a host that accepts a connection and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []
        threading.Thread(target=lambda: held.append(server.accept()), daemon=True).start()
        yield server.getsockname()[1]


def test_a_stream_that_never_answers_is_given_up(silent_host, monkeypatch):
    monkeypatch.setattr(stream, "OPEN_SECONDS", 1)
    start = time.monotonic()
    with pytest.raises(InputError, match=r"the stream .* cannot be opened"):
        open_source(f"http://127.0.0.1:{silent_host}/live")
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("address", ["97", "rtsp://127.0.0.1:9/x", "http://127.0.0.1:9/x", "nonsense://x"])
def test_a_camera_or_stream_that_is_not_there_is_refused(address):
    with pytest.raises(InputError, match=r"the (camera|stream) .* cannot be opened"):
        open_source(address)


def test_a_camera_that_goes_away_leaves_what_it_gave(tmp_path, monkeypatch):
    class Unplugged:
        left = 3

        def read(self):
            self.left -= 1
            return (True, np.zeros((48, 64, 3), np.uint8)) if self.left >= 0 else (False, None)

        def release(self):
            pass

    monkeypatch.setattr("pose_utils.runtime.media.open_capture", lambda location: Unplugged())
    source = open_source("0")
    assert len(list(source)) == 3
    assert source.skipped == [("0", "gave no more frames after 3")]


def test_the_password_of_a_stream_is_not_written_down(monkeypatch):
    class Empty:
        def read(self):
            return False, None

        def release(self):
            pass

    monkeypatch.setattr("pose_utils.runtime.media.open_capture", lambda location: Empty())
    source = open_source("rtsp://anna:secret@10.0.0.9/live")
    assert list(source) == [] and "secret" not in str(source.skipped) + source.frame_name(0)


def test_nor_is_it_in_the_message_of_a_stream_that_is_not_there():
    with pytest.raises(InputError) as refusal:
        open_source("http://anna:secret@127.0.0.1:9/live")
    assert "secret" not in str(refusal.value) and "127.0.0.1:9/live" in str(refusal.value)
