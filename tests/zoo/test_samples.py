import hashlib
import logging

import cv2
import numpy as np
import pytest

from pose_utils.errors import AssetError
from pose_utils.zoo import samples
from pose_utils.zoo.samples import clip_frames, sample_clip, sample_pictures


@pytest.fixture
def clip(tmp_path):
    """Ten frames whose grey value is 20 times their number."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for index in range(10):
        writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    writer.release()
    return path


def test_the_frames_are_those_that_were_asked_for(clip):
    for index, path in zip((0, 4, 9), clip_frames(clip, (0, 4, 9)), strict=True):
        assert abs(cv2.imread(str(path)).mean() - 20 * index) < 3


def test_frames_are_written_once_and_the_same_each_time(clip):
    first = clip_frames(clip, (2,))[0]
    digest, changed = hashlib.sha256(first.read_bytes()).hexdigest(), first.stat().st_mtime_ns
    assert clip_frames(clip, (2,))[0].stat().st_mtime_ns == changed
    first.unlink()
    assert hashlib.sha256(clip_frames(clip, (2,))[0].read_bytes()).hexdigest() == digest


def test_another_clip_of_the_same_name_does_not_reuse_frames(clip):
    first = clip_frames(clip, (1,))[0]
    clip.write_bytes(clip.read_bytes() + b"\0")
    assert clip_frames(clip, (1,))[0] != first


def test_a_clip_that_is_too_short_is_named(clip):
    with pytest.raises(AssetError, match="ends before frame 10"):
        clip_frames(clip, (0, 10))


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(AssetError, match="cannot be decoded"):
        clip_frames(tmp_path / "clip.mp4", (0,))


def test_without_a_network_the_portraits_remain_and_a_note_says_what_is_missing(monkeypatch, caplog):
    monkeypatch.setenv("POSE_OFFLINE", "1")
    samples._note_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        pictures = sample_pictures()
    assert [path.name for path in pictures] == list(samples.PICTURES)
    assert "frames of the two-person clip are left out" in caplog.text
    with pytest.raises(AssetError, match=r"two_people\.mp4"):
        sample_clip()


def test_every_portrait_can_be_read():
    for name in samples.PICTURES:
        assert cv2.imread(str(samples.assets.fetch(name))) is not None


@pytest.mark.network
def test_with_a_registry_the_frames_of_the_clip_come_too():
    pictures = sample_pictures()
    assert len(pictures) == len(samples.PICTURES) + len(samples.CLIP_FRAMES)
    assert {cv2.imread(str(path)).shape for path in pictures[3:]} == {(1920, 1088, 3)}
