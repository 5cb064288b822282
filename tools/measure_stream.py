"""Runs a clip as an endless camera through tracking and smoothing, and tells memory and delay as it goes.

`python tools/measure_stream.py CLIP [--minutes 10] [--fps 10] [--every 3] [--models auto]`
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import cv2
import psutil

from pose_utils.runtime import stream
from pose_utils.runtime.inference import Tracking, run_inference
from pose_utils.runtime.media import Source
from pose_utils.runtime.opening import open_pipeline


class LoopedClip:
    """Gives a clip's frames again and again at a steady rate, as a camera would, until its time is up."""

    def __init__(self, clip: str, fps: float, seconds: float) -> None:
        self._capture, self._clip = cv2.VideoCapture(clip), clip
        self._step, self._next = 1 / fps, time.monotonic()
        self._end = self._next + seconds

    def read(self) -> tuple[bool, object]:
        """Waits for the next frame's time and returns it."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next += self._step
        if time.monotonic() > self._end:
            return False, None
        ok, image = self._capture.read()
        if not ok:
            self._capture.release()
            self._capture = cv2.VideoCapture(self._clip)
            ok, image = self._capture.read()
        return ok, image

    def release(self) -> None:
        """Lets the clip go."""
        self._capture.release()


def main() -> None:
    """Prints resident memory each half minute, and the delays at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--models", default="auto")
    chosen = parser.parse_args()
    pipeline = open_pipeline(chosen.models)
    camera = LoopedClip(chosen.clip, chosen.fps, 60 * chosen.minutes)
    stream.open_capture = lambda location: camera
    process, begun = psutil.Process(), time.monotonic()

    def watch() -> None:
        while True:
            megabytes = process.memory_info().rss / 1e6
            print(f"{time.monotonic() - begun:5.0f} s  {megabytes:.1f} MB", flush=True)
            time.sleep(30)

    threading.Thread(target=watch, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        tracking = Tracking(chosen.every, smooth=True)
        video = Path(folder) / "drawn.avi"
        summary = run_inference(
            pipeline, Source("0", "camera"), Path(folder), video_path=video, progress=False, tracking=tracking
        )
    print(f"{summary.frames} frames, {summary.persons} persons, {summary.live}")


if __name__ == "__main__":
    main()
