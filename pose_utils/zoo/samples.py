"""Pictures and a clip that the project may give away, and the demo and the study run on by default."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from pose_utils import paths
from pose_utils.errors import AssetError
from pose_utils.zoo import assets
from pose_utils.zoo.manifest import digest

PICTURES = ("astronaut.png", "camera.png", "grace_hopper.jpg")
CLIP = "two_people.mp4"
CLIP_FRAMES = (0, 20, 40, 60, 80)
"""Frames of the clip that serve as pictures, counted from 0; a third of a second apart."""

log = logging.getLogger(__name__)


def sample_clip() -> Path:
    """Returns the two-person clip (1088 x 1920, 100 frames at 60 fps); raises AssetError as `fetch` does."""
    return assets.fetch(CLIP)


def sample_pictures() -> list[Path]:
    """Returns pictures with persons: three portraits and, where the clip can be had, frames of it.

    A picture that cannot be had is left out with a note in the log.

    Raises:
        AssetError: Not one can be had.
    """
    found, problems = [], []
    for name in PICTURES:
        try:
            found.append(assets.fetch(name))
        except AssetError as error:
            problems.append(str(error))
    try:
        found += clip_frames(sample_clip())
    except AssetError as error:
        problems.append(f"frames of the two-person clip are left out. {error}")
    for problem in problems:
        _note_once(problem)
    if not found:
        raise AssetError("no sample picture can be had.\n" + "\n".join(problems))
    return found


def clip_frames(clip: Path, indices: tuple[int, ...] = CLIP_FRAMES) -> list[Path]:
    """Writes single frames of a clip as PNG files into the cache, once.

    Args:
        clip: A video file.
        indices: Frame numbers from 0, ascending.

    Returns:
        One path per index, named by clip, digest and frame.

    Raises:
        AssetError: The clip cannot be decoded so far, or the cache cannot be written.
    """
    folder = paths.cache_dir() / "samples"
    wanted = {index: folder / f"{clip.stem}-{digest(clip)[:8]}-{index:03d}.png" for index in indices}
    if all(path.is_file() for path in wanted.values()):
        return list(wanted.values())
    capture = cv2.VideoCapture(str(clip))
    try:
        # Read from the start: seeking is not exact in every build of OpenCV.
        for index in range(max(indices) + 1):
            read, frame = capture.read()
            if not read:
                raise AssetError(f"{clip} ends before frame {index}, or cannot be decoded")
            if index in wanted:
                _write_png(wanted[index], frame)
    finally:
        capture.release()
    return list(wanted.values())


def _write_png(path: Path, frame: np.ndarray) -> None:
    encoded = cv2.imencode(".png", frame)[1].tobytes()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(encoded)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        why = error.strerror or error
        raise AssetError(f"{path} cannot be written: {why}; set POSE_CACHE_DIR") from error


@cache
def _note_once(problem: str) -> None:
    log.warning("%s", problem)
