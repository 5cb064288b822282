"""Videos, cameras and network streams as OpenCV opens them, with a limit on how long anything may hang."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import cv2

from pose_utils.errors import InputError

OPEN_SECONDS = 10
"""Longest wait for a stream to open."""
STALL_SECONDS = 10
"""Longest wait for the next frame of a stream before it counts as gone."""


def is_camera(location: str) -> bool:
    """Returns whether `location` is a webcam's index rather than a file or address."""
    return location.isascii() and location.isdecimal()


def without_password(location: str) -> str:
    """Returns an address without the name and password in it: results and messages are passed on."""
    scheme, mark, rest = location.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else location


def open_capture(location: str) -> cv2.VideoCapture:
    """Opens a video file, a webcam by its index, or the address of a stream.

    Raises:
        InputError: It is missing, damaged, no video, of an unknown codec, or does not answer in time.
    """
    if is_camera(location):
        capture, kind = cv2.VideoCapture(int(location)), "camera"
    elif "://" in location:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_SECONDS * 1000]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, STALL_SECONDS * 1000]
        capture, kind = cv2.VideoCapture(location, cv2.CAP_FFMPEG, limits), "stream"
        # One frame: a camera's old pictures are of no use. Back ends that cannot do it say no.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    else:
        capture, kind = _open_file(location), "video"
    if not capture.isOpened():
        capture.release()
        raise InputError(
            f"the {kind} {without_password(location)} cannot be opened: it is missing, damaged, or its codec "
            "is unknown"
        )
    return capture


def _open_file(location: str) -> cv2.VideoCapture:
    try:
        if not stat.S_ISREG(os.stat(location).st_mode):
            raise InputError(f"the video {location} cannot be opened: it is no regular file")
    except OSError as error:
        raise InputError(f"the video {location} cannot be opened: {error.strerror or error}") from error
    try:
        location.encode("utf-8")
    except UnicodeEncodeError:
        # OpenCV ends the whole process on a name that is not valid UTF-8: give the file another one.
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"video{Path(location).suffix.encode('ascii', 'replace').decode()}"
            link.symlink_to(os.path.abspath(location))
            return cv2.VideoCapture(str(link))  # FFmpeg keeps the file open, so that the name may go.
    return cv2.VideoCapture(location)
