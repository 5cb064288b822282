"""Cameras and streams: the newest frame is always the next one, and nothing queues up.

One thread captures, one runs the pipeline, and whoever iterates draws. Between them there is room for one
frame each: a newer frame takes the place of one that the pipeline did not fetch. So a picture is never older
than one pass of the pipeline and two drawings, whatever the camera's rate.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pose_utils.errors import InputError
from pose_utils.runtime import stream
from pose_utils.runtime.media import Frame, Source, as_bgr
from pose_utils.runtime.outputs import latency_figures
from pose_utils.types import Poses


class Slot:
    """Room for one thing between two threads; a newer one replaces what was not fetched."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._thing: Any = None
        self._ended = False
        self.dropped = 0

    def put(self, thing: Any) -> None:
        """Leaves `thing`, in place of what lies there."""
        with self._changed:
            self.dropped += self._thing is not None
            self._thing = thing
            self._changed.notify_all()

    def end(self) -> None:
        """Says that nothing more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def get(self, timeout_s: float) -> Any:
        """Returns the newest thing and takes it away, or None at the end.

        Raises:
            TimeoutError: Nothing came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._thing is not None or self._ended, timeout_s):
                raise TimeoutError
            thing, self._thing = self._thing, None
            self._changed.notify_all()
            return thing

    def wait_until_taken(self) -> None:
        """Waits until nothing lies here, or the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._thing is None or self._ended)


class LiveFrames:
    """Frames of a camera with the persons in them, as fast as the pipeline goes."""

    def __init__(self, source: Source, find: Callable[[np.ndarray], Poses]) -> None:
        """Opens the camera; `find` runs in a thread of its own, one frame at a time."""
        self._source, self._find = source, find
        self._capture = stream.open_capture(source.location)
        self._captured, self._found = Slot(), Slot()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._count = 0
        self._delays = array("d")
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("capture", self._read), ("inference", self._run))
        ]

    def steps(self, max_frames: int | None = None) -> Iterator[tuple[Frame, Poses, float]]:
        """Yields (frame, persons, milliseconds in the pipeline), newest first served.

        Raises:
            Exception: Whatever the pipeline raised.
        """
        for thread in self._threads:
            thread.start()
        count = 0
        while max_frames is None or count < max_frames:
            step = self._next()
            if step is None:
                break
            yield step
            count += 1
        if self._failure:
            raise self._failure

    def _next(self) -> tuple[Frame, Poses, float] | None:
        while True:
            try:
                return self._found.get(0.2)  # short, so that Ctrl-C is noticed
            except TimeoutError:
                continue

    def shown(self, frame: Frame) -> None:
        """Books that the picture of `frame` is finished."""
        self._delays.append((time.perf_counter() - frame.taken_s) * 1000)

    def note(self, frame: Frame) -> str:
        """Returns what is written on the picture: its age, and how many frames were dropped."""
        return f"{(time.perf_counter() - frame.taken_s) * 1000:.0f} ms  dropped {self.dropped}"

    @property
    def dropped(self) -> int:
        """Frames that were replaced by newer ones before the pipeline was free."""
        return self._captured.dropped

    def figures(self) -> dict[str, Any]:
        """Returns captured and dropped frames, and latency_ms from capture to finished picture."""
        return {
            "captured": self._count, "dropped": self.dropped, "latency_ms": latency_figures(self._delays),
        }  # fmt: skip

    def close(self) -> None:
        """Ends the threads and lets the camera go."""
        self._stop.set()
        self._captured.end()
        self._found.end()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * stream.STALL_SECONDS if thread is self._threads[1] else 1.0)
        if not self._threads[0].is_alive():
            self._capture.release()  # A capture that hangs in its read would hang here too.

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                start = time.perf_counter()
                ok, image = self._capture.read()
                if not ok:
                    self._source.note_end(self._count)
                    break
                now = time.perf_counter()
                name = self._source.frame_name(self._count)
                self._captured.put(Frame(name, as_bgr(image), self._count, (now - start) * 1000, now))
                self._count += 1
        except Exception as error:
            self._failure = error
        finally:
            self._captured.end()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                frame = self._captured.get(stream.STALL_SECONDS)
                if frame is None:
                    break
                start = time.perf_counter()
                poses = self._find(frame.image)
                self._found.put((frame, poses, (time.perf_counter() - start) * 1000))
                # Only then the newest frame: a pass whose result nobody could take would be wasted.
                self._found.wait_until_taken()
        except TimeoutError:
            reason = f"stalled: no frame for {stream.STALL_SECONDS} s after {self._count}"
            if self._count:
                self._source.skipped.append((self._source.public_location, reason))
            else:
                self._failure = InputError(f"{self._source.public_location} {reason}")
        except BaseException as error:
            self._failure = error
        finally:
            self._found.end()
