"""Pictures, folders, videos and cameras in: every image becomes uint8 (h, w, 3) BGR here."""

from __future__ import annotations

import glob
import io
import os
import stat
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pose_utils.errors import InputError
from pose_utils.runtime.stream import is_camera, open_capture, without_password

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""What a file may be, whatever its name says. Others stay out: Pillow hands EPS to an outside program."""
MAX_PIXELS = 100_000_000
"""Larger pictures are refused: reading one of this size takes up to 2 GB for a moment, 300 MB after."""
MAX_BYTES = 1_000_000_000
"""Larger picture files are refused before they are read."""
MAX_FPS = 1000.0
MAX_DAMAGED = 1000
"""Damaged frames of a video that are passed over before the rest is given up."""

_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError, struct.error,
    zlib.error, cv2.error,
)  # fmt: skip
"""What Pillow's decoders are known to raise on damaged files, beside OpenCV's own."""


def printable_name(name: str) -> str:
    """Returns a file's name as valid text: bytes that are no UTF-8 are spelt out, everything else stays.

    Python keeps such bytes as lone surrogates, which tables, JSON readers and terminals refuse.
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def read_image(path: str | Path) -> np.ndarray:
    """Reads a picture of any depth and channel count as uint8 (h, w, 3) BGR, upright.

    The camera's orientation is applied. Grey is repeated, alpha and CMYK are converted, 16 bits
    are scaled to 8, and of an animation the first frame is taken.

    Raises:
        InputError: Missing, empty, truncated, too large, or no picture.
    """
    path = Path(path)
    content = _content(path)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{path} has {width}x{height} pixels; at most {MAX_PIXELS:,} are read")
            # OpenCV's decoder is the one that mmdet and mmpose were evaluated with.
            if picture.mode in ("RGB", "L") and picture.format in ("JPEG", "MPO", "PNG", "BMP"):
                picture.verify()
                return _decode(content, path)
            return _from_pillow(picture)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{path} is no picture that can be read") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path} has too many pixels; at most {MAX_PIXELS:,} are read") from None
    except MemoryError:
        raise InputError(f"{path} does not fit into the memory that is free") from None
    except _DECODING_ERRORS as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise InputError(f"{path} cannot be read: it is no regular file")
            if facts.st_size > MAX_BYTES:
                raise InputError(f"{path} has {facts.st_size:,} bytes; at most {MAX_BYTES:,} are read")
            content = stream.read()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a name with a zero byte
        raise InputError(f"{str(path)!r} cannot be read: {error}") from error
    if not content:
        raise InputError(f"{path} is empty")
    return content


def _open_at_once(name: str, flags: int) -> int:
    # A pipe called x.jpg would make a plain open wait for somebody to write into it.
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _decode(content: bytes, path: Path) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} is damaged or truncated")
    return image


def _from_pillow(picture: Image.Image) -> np.ndarray:
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I") or picture.mode == "F":
        top = 65535.0 if picture.mode.startswith("I") else None
        return cv2.cvtColor(_to_eight_bits(np.asarray(picture), top), cv2.COLOR_GRAY2BGR)
    pixels = np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def _to_eight_bits(values: np.ndarray, top: float | None) -> np.ndarray:
    """Scales 0..top to 0..255; with None, top is the largest value, at least 1. NaN and infinity become 0."""
    if top is None:
        finite = np.where(np.isfinite(values), values, 0)
        top = max(float(finite.max(initial=0)), 1.0)
    grey = np.empty(values.shape, np.uint8)
    # Row by row in bands: in floating point at once, the largest pictures would take gigabytes.
    for start in range(0, len(values), 256):
        band = np.nan_to_num(values[start : start + 256].astype("float64"), posinf=0.0, neginf=0.0)
        grey[start : start + 256] = np.clip(band / top * 255, 0, 255).round()
    return grey


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        name: File name, with the frame number for videos and cameras.
        image: uint8 (h, w, 3) BGR.
        index: Position in the source, from 0.
        decode_ms: Time to read and decode it.
        taken_s: `time.perf_counter()` when a camera gave it, else 0.
    """

    name: str
    image: np.ndarray
    index: int
    decode_ms: float
    taken_s: float = 0.0


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
                self.skipped.append((printable_name(path.name), printable_name(str(error))))
                continue
            yield Frame(printable_name(path.name), image, index, (time.perf_counter() - start) * 1000)

    def _video(self) -> Iterator[Frame]:
        capture = open_capture(self.location)
        index = lost = 0
        try:
            while True:
                start = time.perf_counter()
                ok, image = capture.read()
                if ok:
                    spent = (time.perf_counter() - start) * 1000
                    yield Frame(self.frame_name(index), as_bgr(image), index, spent)
                    index += 1
                elif self.kind == "video" and lost < MAX_DAMAGED and index + lost < (self.length or 0):
                    lost += 1  # OpenCV stops at a damaged frame, but goes on when asked again.
                else:
                    break
        finally:
            capture.release()
        self.note_end(index)

    @property
    def public_location(self) -> str:
        """`location` as valid text, without the password of a stream."""
        return printable_name(without_password(self.location))

    def frame_name(self, index: int) -> str:
        """Returns the name of frame `index` of a video or camera."""
        path = Path(self.location)
        if self.kind == "video":
            return f"{printable_name(path.stem)}#{index:06d}"
        return f"camera-{self.public_location}#{index:06d}"

    def note_end(self, frames: int) -> None:
        """Lists in `skipped` that a video or camera ended early, after `frames` frames, if it did."""
        name = self.public_location
        if frames == 0:
            self.skipped.append((name, "no frame could be decoded"))
        elif self.kind == "camera":
            self.skipped.append((name, f"gave no more frames after {frames}"))
        elif self.length and frames < self.length:
            self.skipped.append((name, f"ends after {frames} of {self.length} frames, or others are damaged"))


def as_bgr(image: np.ndarray) -> np.ndarray:
    """Returns a captured frame as uint8 (h, w, 3) BGR; some cameras give grey ones."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 or image.shape[2] == 1 else image


def open_source(source: str | Path) -> Source:
    """Opens a picture, a folder, a glob, a video, a webcam index or an RTSP/HTTP address.

    Raises:
        InputError: There is nothing, or nothing that could be a picture or video.
    """
    text = str(source)
    path = Path(text)
    if "\0" in text:
        raise InputError(f"{text!r} is no name of a file")
    if "://" in text or (is_camera(text) and not os.path.exists(text)):
        open_capture(text).release()
        return Source(text, "camera")
    if os.path.isdir(text):
        try:
            paths = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in PICTURE_SUFFIXES)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        if not paths:
            raise InputError(f"{path} holds no picture ({', '.join(PICTURE_SUFFIXES)})")
        return Source(text, "pictures", paths, length=len(paths))
    if os.path.lexists(text):
        return _open_file(path)
    matches = sorted(Path(match) for match in glob.glob(text))
    if matches:
        return Source(text, "pictures", matches, length=len(matches))
    raise InputError(f"{text} does not exist and matches no file")


def _open_file(path: Path) -> Source:
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return Source(str(path), "pictures", [path], length=1)
    capture = open_capture(str(path))
    fps, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    # A header without duration gives nonsense here: negative, infinite, or thousands of frames a second.
    return Source(
        str(path),
        "video",
        fps=fps if 0 < fps <= MAX_FPS else 0.0,
        length=int(frames) if 0 < frames < 2**31 else None,
    )
