"""Pictures, folders, videos and cameras in: every image becomes uint8 (h, w, 3) BGR here."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pose_utils.errors import InputError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
MAX_PIXELS = 100_000_000
"""Larger pictures are refused: decoded and letterboxed they would take over 1 GB."""


def read_image(path: str | Path) -> np.ndarray:
    """Reads a picture of any depth and channel count as uint8 (h, w, 3) BGR, upright.

    The camera's orientation is applied. Grey is repeated, alpha and CMYK are converted, 16 bits
    are scaled to 8, and of an animation the first frame is taken.

    Raises:
        InputError: Missing, empty, truncated, too large, or no picture.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not content:
        raise InputError(f"{path} is empty")
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{path} has {width}x{height} pixels; at most {MAX_PIXELS:,} are read")
            mode = picture.mode
            # OpenCV's decoder is the one that mmdet and mmpose were evaluated with.
            if mode in ("RGB", "L") and picture.format in ("JPEG", "PNG", "BMP"):
                picture.verify()
                return _decode(content, path)
            return _from_pillow(picture)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{path} is no picture that can be read") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large: {error}") from None
    except (OSError, SyntaxError, ValueError, EOFError, cv2.error) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _decode(content: bytes, path: Path) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} is damaged or truncated")
    return image


def _from_pillow(picture: Image.Image) -> np.ndarray:
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I") or upright.mode == "F":
        values = np.asarray(upright, dtype="float64")
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        top = 65535.0 if upright.mode.startswith("I") else max(float(values.max(initial=0)), 1.0)
        grey = np.clip(values / top * 255, 0, 255).round().astype(np.uint8)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(np.asarray(upright.convert("RGB")), cv2.COLOR_RGB2BGR)


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        name: File name, with the frame number for videos and cameras.
        image: uint8 (h, w, 3) BGR.
        index: Position in the source, from 0.
        decode_ms: Time to read and decode it.
    """

    name: str
    image: np.ndarray
    index: int
    decode_ms: float


@dataclass
class Source:
    """Pictures or frames to run on; iterate once. What cannot be read ends up in `skipped`.

    Attributes:
        location: What the user asked for.
        kind: pictures, video or camera.
        paths: The picture files, where `kind` is pictures.
        fps: Frames a second of a video, 0 where unknown.
        length: Number of frames, None where unknown.
        skipped: (name, reason) of everything that could not be read so far.
    """

    location: str
    kind: str
    paths: list[Path] = field(default_factory=list)
    fps: float = 0.0
    length: int | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Frame]:
        """Yields frames; a damaged picture is listed in `skipped` and the rest goes on."""
        return self._pictures() if self.kind == "pictures" else self._video()

    def _pictures(self) -> Iterator[Frame]:
        for index, path in enumerate(self.paths):
            start = time.perf_counter()
            try:
                image = read_image(path)
            except InputError as error:
                self.skipped.append((path.name, str(error)))
                continue
            yield Frame(path.name, image, index, (time.perf_counter() - start) * 1000)

    def _video(self) -> Iterator[Frame]:
        capture = _open_capture(self.location)
        stem = Path(self.location).stem if self.kind == "video" else f"camera-{self.location}"
        index = 0
        try:
            while True:
                start = time.perf_counter()
                ok, image = capture.read()
                if not ok:
                    break
                if image.ndim == 2:
                    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
                yield Frame(f"{stem}#{index:06d}", image, index, (time.perf_counter() - start) * 1000)
                index += 1
        finally:
            capture.release()
        if index == 0:
            self.skipped.append((self.location, "no frame could be decoded"))
        elif self.length and index < self.length:
            self.skipped.append((self.location, f"ends after {index} of {self.length} frames"))


def open_source(source: str | Path) -> Source:
    """Opens a picture, a folder, a glob, a video, a webcam index or an RTSP/HTTP address.

    Raises:
        InputError: There is nothing, or nothing that could be a picture or video.
    """
    text = str(source)
    path = Path(text)
    if "://" in text or (text.isdecimal() and not path.exists()):
        _open_capture(text).release()
        return Source(text, "camera")
    if path.is_dir():
        paths = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in PICTURE_SUFFIXES)
        if not paths:
            raise InputError(f"{path} holds no picture ({', '.join(PICTURE_SUFFIXES)})")
        return Source(text, "pictures", paths, length=len(paths))
    if path.exists():
        return _open_file(path)
    matches = sorted(Path(match) for match in glob.glob(text))
    if matches:
        return Source(text, "pictures", matches, length=len(matches))
    raise InputError(f"{text} does not exist and matches no file")


def _open_file(path: Path) -> Source:
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return Source(str(path), "pictures", [path], length=1)
    capture = _open_capture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS)
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return Source(str(path), "video", fps=fps if fps > 0 else 0.0, length=frames if frames > 0 else None)


def _open_capture(location: str) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(int(location)) if location.isdecimal() else cv2.VideoCapture(location)
    if not capture.isOpened():
        kind = "camera" if location.isdecimal() else "video or stream"
        raise InputError(
            f"the {kind} {location} cannot be opened: it is missing, damaged, or its codec is unknown"
        )
    return capture
