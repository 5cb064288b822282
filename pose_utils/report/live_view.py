"""A camera in a notebook: the annotated picture is renewed in place, and only a sentence of it stays."""

from __future__ import annotations

import time
from contextlib import closing

import cv2
from IPython.display import HTML, Image, display

from pose_utils.errors import InputError
from pose_utils.runtime.drawing import draw_note, draw_poses
from pose_utils.runtime.live import LiveFrames
from pose_utils.runtime.media import open_source
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.runtime.smoothing import OneEuro
from pose_utils.runtime.tracking import TrackedPipeline

SIDE = 960
"""Longest side of what is shown, in pixels."""


def watch_camera(pipeline: PosePipeline, camera: str, seconds: float = 30.0, detect_every: int = 3) -> str:
    """Shows a camera with tracked, smoothed skeletons; interrupting the cell ends it early.

    Args:
        pipeline: Finds the persons.
        camera: A webcam's index or a stream's address; empty for none.
        seconds: For so long.
        detect_every: The detector looks at every so many frames.

    Returns:
        One sentence: what was shown, or why nothing was. No picture stays in the notebook.
    """
    if not camera:
        return "No camera was named: set the parameter camera, such as 0, and run this cell again."
    try:
        source = open_source(camera)
        if source.kind != "camera":
            return f"{source.public_location} is no camera; the command infer reads files."
        live = LiveFrames(source, TrackedPipeline(pipeline, detect_every))
    except InputError as error:
        return f"Nothing is shown: {error}."
    smooth, end = OneEuro(), time.monotonic() + seconds
    handle = display(HTML("waiting for the camera"), display_id=True)
    with closing(live):
        try:
            for frame, poses, _ in live.steps():
                drawn = draw_poses(frame.image, smooth(poses, frame.taken_s))
                draw_note(drawn, live.note(frame))
                scale = min(1.0, SIDE / max(drawn.shape[:2]))
                shown = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                handle.update(Image(data=cv2.imencode(".jpg", shown)[1].tobytes(), format="jpeg"))
                live.shown(frame)
                if time.monotonic() > end:
                    break
        except (KeyboardInterrupt, InputError):
            pass  # what was seen until then is told all the same
    handle.update(HTML(""))
    figures = live.figures()
    delay = figures["latency_ms"]
    if not delay["n"]:
        return f"{source.public_location} gave no frame."
    return (
        f"{delay['n']} frames shown, {figures['dropped']} late ones dropped; from frame to picture "
        f"{delay['median']:.0f} ms (median), {delay['max']:.0f} ms at most."
    )
