"""Runs a pipeline over a source and writes what a person or a program reads afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pose_utils.errors import InputError
from pose_utils.runtime.drawing import draw_note, draw_poses
from pose_utils.runtime.live import LiveFrames
from pose_utils.runtime.media import Frame, Source, printable_name
from pose_utils.runtime.outputs import RESULTS_FILE, PictureFolder, ResultsFile, VideoFile, Window
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.runtime.smoothing import GapFiller, OneEuro
from pose_utils.runtime.tracking import TrackedPipeline
from pose_utils.types import Poses

__all__ = ["RESULTS_FILE", "Summary", "Tracking", "run_inference"]

DEFAULT_FPS = 25.0
FILL_FRAMES = 8
"""Frames a video's results are held back so that shorter gaps of an identity can be filled."""


@dataclass(frozen=True)
class Tracking:
    """How identities are kept.

    Attributes:
        detect_every: The detector looks at every so many frames.
        smooth: Calm the keypoints (One-Euro); `smoothing.lag_s` says what it costs.
    """

    detect_every: int = 1
    smooth: bool = False


@dataclass
class Summary:
    """What a run over a source came to; the persons themselves are in results.json.

    Attributes:
        frames: Frames that went through the pipeline.
        persons: Persons found in all of them.
        interrupted: Whether Ctrl-C ended the run early.
        skipped: name and reason of what could not be read.
        live: Of a camera: captured and dropped frames, and latency_ms from frame to picture; else None.
    """

    frames: int = 0
    persons: int = 0
    interrupted: bool = False
    skipped: list[dict] = field(default_factory=list)
    live: dict[str, Any] | None = None


def run_inference(
    pipeline: PosePipeline,
    source: Source,
    output_dir: Path,
    *,
    max_frames: int | None = None,
    save_pictures: int | None = None,
    video_path: Path | None = None,
    progress: bool = True,
    tracking: Tracking | None = None,
    show: bool = False,
) -> Summary:
    """Runs `pipeline` over `source`; Ctrl-C ends the run and what was done is written all the same.

    Of a camera or stream the newest frame is always taken: capture, inference and drawing run beside each
    other, and frames that come too fast are dropped and counted. Of files every frame is taken.

    Args:
        pipeline: What finds the persons.
        source: From `media.open_source`.
        output_dir: Gets results.json, skipped.json and annotated pictures; made where it is not there.
        max_frames: At most so many frames.
        save_pictures: At most so many annotated pictures; None for all of a picture source and none
            of a video.
        video_path: Where to write an annotated video (MP4, or AVI by its ending), None for none.
        progress: Show a bar with an estimate.
        tracking: Keep identities; None for none.
        show: Show the annotated frames in a window.

    Raises:
        InputError: The folder or the video cannot be written.
        Unavailable: There is no display for a window.
    """
    window = Window() if show else None
    limit = save_pictures if save_pictures is not None else (None if source.kind == "pictures" else 0)
    video = VideoFile(video_path, source.fps or DEFAULT_FPS) if video_path else None
    find = TrackedPipeline(pipeline, tracking.detect_every) if tracking else pipeline
    live = None
    total = min(filter(None, (source.length, max_frames)), default=None)
    summary = Summary()
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        live = LiveFrames(source, find) if source.kind == "camera" else None
        results = ResultsFile(output_dir)
        try:
            calmer = _Calmer(tracking, source)
            outlet = _Outlet(results, PictureFolder(output_dir, limit), video, window, live)
            steps = live.steps(max_frames) if live else _each_frame(find, source, max_frames)
            with tqdm(total=total, unit="frame", disable=not progress, desc=pipeline.models) as bar:
                try:
                    for step in steps:
                        going_on = [outlet.take(each) for each in calmer.push(step)]
                        bar.update()
                        bar.set_postfix(persons=len(step[1]), ms=f"{step[2]:.0f}", refresh=False)
                        if not all(going_on):
                            break
                except KeyboardInterrupt:
                    summary.interrupted = True
            for each in calmer.flush():
                outlet.take(each)
            summary.frames, summary.persons = results.frames, results.persons
            summary.skipped = [{"name": name, "reason": reason} for name, reason in source.skipped]
            summary.live = live.figures() if live else None
            results.publish(_facts(pipeline, source, summary, tracking), summary.skipped)
        finally:
            results.close()
    except OSError as error:
        raise InputError(f"{output_dir} cannot be written: {error.strerror or error}") from error
    finally:
        for part in (live, video, window):
            if part:
                part.close()
    return summary


Step = tuple[Frame, Poses, float]
"""A frame, the persons in it, and the milliseconds that finding them took."""


def _each_frame(find: Any, source: Source, max_frames: int | None) -> Iterator[Step]:
    if max_frames is not None and max_frames < 1:
        return
    for count, frame in enumerate(source, start=1):
        start = time.perf_counter()
        poses = find(frame.image)
        yield frame, poses, (time.perf_counter() - start) * 1000
        if max_frames is not None and count >= max_frames:
            return  # before the next frame is decoded


class _Calmer:
    """Fills gaps where frames may be held back, which those of a camera may not, and smooths."""

    def __init__(self, tracking: Tracking | None, source: Source) -> None:
        self._filler = GapFiller(FILL_FRAMES if tracking and source.kind != "camera" else 0)
        self._smoother = OneEuro() if tracking and tracking.smooth else None
        self._rate = source.fps or DEFAULT_FPS

    def push(self, step: Step) -> list[Step]:
        """Takes a frame and returns those that are final."""
        frame, poses, latency = step
        return [self._smoothed(*each) for each in self._filler.push((frame, latency), poses)]

    def flush(self) -> list[Step]:
        """Returns what is held back, at the end."""
        return [self._smoothed(*each) for each in self._filler.flush()]

    def _smoothed(self, key: tuple[Frame, float], poses: Poses) -> Step:
        frame, latency = key
        if self._smoother:
            poses = self._smoother(poses, frame.taken_s or frame.index / self._rate)
        return frame, poses, latency


@dataclass
class _Outlet:
    """Where finished frames go."""

    results: ResultsFile
    pictures: PictureFolder
    video: VideoFile | None
    window: Window | None
    live: LiveFrames | None

    def take(self, step: Step) -> bool:
        """Books and draws a frame and returns whether to go on."""
        frame, poses, latency = step
        self.results.book(frame, poses, latency)
        going_on = True
        if self.pictures.wanted or self.video or self.window:
            drawn = draw_poses(frame.image, poses)
            if self.live:
                draw_note(drawn, self.live.note(frame))
            if self.pictures.wanted:
                self.pictures.write(frame.name, drawn)
            if self.video:
                self.video.write(drawn)
            if self.window:
                going_on = self.window.show(drawn)
        if self.live:
            self.live.shown(frame)
        return going_on


def _facts(pipeline: PosePipeline, source: Source, summary: Summary, tracking: Tracking | None) -> dict:
    facts = {
        "source": printable_name(source.public_location),
        "models": pipeline.models,
        "backend": pipeline.backend,
        "precision": pipeline.precision,
        "provider_used": pipeline.provider_used,
        "weights": pipeline.weights,
        "frames": summary.frames,
        "persons": summary.persons,
        "interrupted": summary.interrupted,
    }
    if tracking:
        facts["tracking"] = {"detect_every": tracking.detect_every, "smooth": tracking.smooth}
    if summary.live:
        facts["live"] = summary.live
    return facts
