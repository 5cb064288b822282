"""What a run over a source leaves behind: results.json, annotated pictures and video, or a window."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from array import array
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from pose_utils.errors import InputError, Unavailable
from pose_utils.runtime.media import PICTURE_SUFFIXES, Frame
from pose_utils.types import Poses

RESULTS_FILE = "results.json"
SKIPPED_FILE = "skipped.json"


def latency_figures(milliseconds: array) -> dict[str, float | None]:
    """Returns n, median, p95 and max of latencies, None where there are none."""
    if not len(milliseconds):
        return {"n": 0, "median": None, "p95": None, "max": None}
    median, p95, most = (round(float(value), 3) for value in np.percentile(milliseconds, [50, 95, 100]))
    return {"n": len(milliseconds), "median": median, "p95": p95, "max": most}


class ResultsFile:
    """results.json, gathered line by line on the disk: hours of a stream take little memory."""

    def __init__(self, folder: Path) -> None:
        """Opens the drafts in `folder`, which exists."""
        self._folder = folder
        self._drafts: dict[str, IO[str]] = {}
        self.frames = self.persons = 0
        self.latencies = array("d")
        for name in ("images", "annotations"):
            self._drafts[name] = (folder / f".{name}.draft").open("w+", encoding="ascii")

    def book(self, frame: Frame, poses: Poses, latency_ms: float) -> None:
        """Takes the persons of the next frame."""
        height, width = frame.image.shape[:2]
        image = {
            "id": self.frames, "file_name": frame.name, "width": width, "height": height,
            "persons": len(poses), "latency_ms": round(latency_ms, 3),
            "decode_ms": round(frame.decode_ms, 3),
        }  # fmt: skip
        found = poses.to_coco(self.frames)
        for result in found:
            if poses.track_ids is not None and result["bbox_score"] == 0:
                result["interpolated"] = True
        self._drafts["annotations"].write("".join(json.dumps(result) + "\n" for result in found))
        self._drafts["images"].write(json.dumps(image) + "\n")
        # Counted last: whatever an interruption leaves half done above is not published.
        self.latencies.append(latency_ms)
        self.frames, self.persons = self.frames + 1, self.persons + len(found)

    def publish(self, facts: dict[str, Any], skipped: list[dict]) -> None:
        """Puts results.json and skipped.json in place, whole or not at all."""
        facts = facts | {"latency_ms": latency_figures(self.latencies)}
        draft = self._folder / f".{RESULTS_FILE}.draft"
        with draft.open("w", encoding="ascii") as target:
            target.write("{\n")
            for key, value in facts.items():
                target.write(f' "{key}": {json.dumps(value)},\n')
            for name, count in (("images", self.frames), ("annotations", self.persons)):
                lines = self._drafts[name]
                target.write(f' "{name}": [')
                lines.seek(0)
                for position, line in enumerate(itertools.islice(lines, count)):
                    target.write(("," if position else "") + "\n  " + line.rstrip("\n"))
                target.write("\n ],\n")
            target.write(f' "skipped": {json.dumps(skipped)}\n}}\n')
        draft.replace(self._folder / RESULTS_FILE)
        draft = self._folder / f".{SKIPPED_FILE}.draft"
        draft.write_text(json.dumps(skipped, indent=1), encoding="ascii")
        draft.replace(self._folder / SKIPPED_FILE)

    def close(self) -> None:
        """Takes the drafts away, also those of a run that failed."""
        for lines in self._drafts.values():
            try:
                lines.close()
            except OSError:
                continue  # What a full disk kept from being written is not wanted any more.
        for name in (*self._drafts, RESULTS_FILE, SKIPPED_FILE):
            (self._folder / f".{name}.draft").unlink(missing_ok=True)


class PictureFolder:
    """Annotated pictures under harmless names, none used twice, at most `limit` of them."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        """`limit` None is for all of them."""
        self._folder, self._left = folder, limit
        self._used: set[str] = set()

    @property
    def wanted(self) -> bool:
        """Whether another picture is to be written."""
        return self._left is None or self._left > 0

    def write(self, name: str, image: np.ndarray) -> None:
        """Writes the annotated picture of the source `name`."""
        content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        # Not cv2.imwrite: it ends the whole process on a name that is not valid UTF-8.
        (self._folder / self._free_name(name)).write_bytes(content.tobytes())
        if self._left is not None:
            self._left -= 1

    def _free_name(self, name: str) -> str:
        # A frame's name has no suffix to cut off, although the name of its video may hold dots.
        stem = Path(name).stem if Path(name).suffix.lower() in PICTURE_SUFFIXES else name
        stem = re.sub(r"[^\w.-]", "_", stem, flags=re.ASCII)[-80:].lstrip(".") or "picture"
        candidate, count = f"{stem}.jpg", 1
        while candidate.lower() in self._used:
            count += 1
            candidate = f"{stem}-{count}.jpg"
        self._used.add(candidate.lower())
        return candidate


class VideoFile:
    """An annotated video in the size of its first frame; later frames of other sizes are fitted."""

    def __init__(self, path: Path, fps: float) -> None:
        """Nothing is written before the first frame. MP4, or AVI by the name's ending."""
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def write(self, image: np.ndarray) -> None:
        """Adds a frame."""
        if self._writer is None:
            self._open(image)
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(image)

    def _open(self, image: np.ndarray) -> None:
        # Most codecs need even sides.
        self._size = (max(2, image.shape[1] // 2 * 2), max(2, image.shape[0] // 2 * 2))
        try:
            name = str(self._path).encode("utf-8").decode()
        except UnicodeEncodeError:  # OpenCV would end the whole process.
            raise InputError(
                f"the video {self._path} cannot be written: its name is not valid UTF-8"
            ) from None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        codec = "MJPG" if self._path.suffix.lower() == ".avi" else "mp4v"
        self._writer = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*codec), self._fps, self._size)
        if not self._writer.isOpened():
            raise InputError(f"{self._path} cannot be written: give a name ending in .mp4 or .avi")

    def close(self) -> None:
        """Ends the file."""
        if self._writer is not None:
            self._writer.release()


class Window:
    """A window that shows frames until it is closed, or q or Escape is pressed."""

    TITLE = "pose_utils (q ends)"

    def __init__(self) -> None:
        """Opens it.

        Raises:
            Unavailable: There is no display, or this OpenCV has no windows.
        """
        advice = "leave --show out; --save-video writes what it would show"
        # Without a display OpenCV's window library ends the whole process.
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise Unavailable(f"there is no display for a window: {advice}")
        try:
            cv2.namedWindow(self.TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise Unavailable(f"this OpenCV has no windows: {advice}") from error

    def show(self, image: np.ndarray) -> bool:
        """Shows a frame and returns whether to go on."""
        cv2.imshow(self.TITLE, image)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in (ord("q"), 27) and cv2.getWindowProperty(self.TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Closes it."""
        cv2.destroyWindow(self.TITLE)
