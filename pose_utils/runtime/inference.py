"""Runs a pipeline over a source and writes what a person or a program reads afterwards."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pose_utils.errors import InputError
from pose_utils.runtime.drawing import draw_poses
from pose_utils.runtime.media import PICTURE_SUFFIXES, Source
from pose_utils.runtime.pipeline import PosePipeline

RESULTS_FILE = "results.json"
SKIPPED_FILE = "skipped.json"


@dataclass
class Summary:
    """What a run over a source came to.

    Attributes:
        frames: Frames that went through the pipeline.
        persons: Persons found in all of them.
        interrupted: Whether Ctrl-C ended the run early.
        results: COCO keypoint results of every person; image_id indexes `images`.
        images: One entry a frame: id, file_name, width, height, persons, latency_ms, decode_ms.
        skipped: name and reason of what could not be read.
    """

    frames: int = 0
    persons: int = 0
    interrupted: bool = False
    results: list[dict] = field(default_factory=list)
    images: list[dict] = field(default_factory=list)
    skipped: list[dict] = field(default_factory=list)


def run_inference(
    pipeline: PosePipeline,
    source: Source,
    output_dir: Path,
    *,
    max_frames: int | None = None,
    save_pictures: int | None = None,
    video_path: Path | None = None,
    progress: bool = True,
) -> Summary:
    """Runs `pipeline` over `source`; Ctrl-C ends the run and what was done is written all the same.

    Args:
        pipeline: What finds the persons.
        source: From `media.open_source`.
        output_dir: Gets results.json, skipped.json and annotated pictures; made where it is not there.
        max_frames: At most so many frames.
        save_pictures: At most so many annotated pictures; None for all of a picture source and none
            of a video.
        video_path: Where to write an annotated video (MP4, or AVI by its ending), None for none.
        progress: Show a bar with an estimate.

    Raises:
        InputError: The folder or the video cannot be written.
    """
    summary = Summary()
    limit = save_pictures if save_pictures is not None else (None if source.kind == "pictures" else 0)
    names = _UniqueNames()
    writer = _VideoWriter(video_path, source.fps or 25.0) if video_path else None
    total = min(filter(None, (source.length, max_frames)), default=None)
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        # iter() checks first, so that no frame beyond the limit is decoded.
        frames = iter(source) if max_frames is None or max_frames > 0 else iter(())
        with tqdm(frames, total=total, unit="frame", disable=not progress, desc=pipeline.models) as bar:
            for frame in bar:
                start = time.perf_counter()
                poses = pipeline(frame.image)
                latency = (time.perf_counter() - start) * 1000
                _book(
                    summary, frame.name, frame.image, poses.to_coco(summary.frames), latency, frame.decode_ms
                )
                wants_picture = limit is None or summary.frames <= limit
                if wants_picture or writer:
                    drawn = draw_poses(frame.image, poses)
                    if wants_picture:
                        _save_picture(output_dir / names.picture(frame.name), drawn)
                    if writer:
                        writer.write(drawn)
                bar.set_postfix(persons=len(poses), ms=f"{latency:.0f}", refresh=False)
                if max_frames is not None and summary.frames >= max_frames:
                    break
    except KeyboardInterrupt:
        summary.interrupted = True
    except OSError as error:
        raise InputError(f"{output_dir} cannot be written: {error.strerror or error}") from error
    finally:
        if writer:
            writer.close()
    summary.skipped = [{"name": name, "reason": reason} for name, reason in source.skipped]
    _write_results(summary, pipeline, source, output_dir)
    return summary


def _book(
    summary: Summary, name: str, image: np.ndarray, results: list[dict], latency: float, decode_ms: float
) -> None:
    summary.images.append(
        {
            "id": summary.frames,
            "file_name": name,
            "width": image.shape[1],
            "height": image.shape[0],
            "persons": len(results),
            "latency_ms": round(latency, 3),
            "decode_ms": round(decode_ms, 3),
        }
    )
    summary.results.extend(results)
    summary.frames += 1
    summary.persons += len(results)


def _write_results(summary: Summary, pipeline: PosePipeline, source: Source, output_dir: Path) -> None:
    latencies = [image["latency_ms"] for image in summary.images]
    content = {
        "source": source.location,
        "models": pipeline.models,
        "backend": pipeline.backend,
        "precision": pipeline.precision,
        "provider_used": pipeline.provider_used,
        "weights": pipeline.weights,
        "frames": summary.frames,
        "persons": summary.persons,
        "interrupted": summary.interrupted,
        "latency_ms": {
            "n": len(latencies),
            "median": round(float(np.median(latencies)), 3) if latencies else None,
            "p95": round(float(np.percentile(latencies, 95)), 3) if latencies else None,
        },
        "images": summary.images,
        "annotations": summary.results,
        "skipped": summary.skipped,
    }
    for name, value in ((RESULTS_FILE, content), (SKIPPED_FILE, summary.skipped)):
        path = output_dir / name
        draft = path.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(value, indent=1, ensure_ascii=True), encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


class _UniqueNames:
    """File names for annotated pictures: harmless characters only, none used twice."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def picture(self, name: str) -> str:
        # A frame's name has no suffix to cut off, although the name of its video may hold dots.
        stem = Path(name).stem if Path(name).suffix.lower() in PICTURE_SUFFIXES else name
        stem = re.sub(r"[^\w.-]", "_", stem, flags=re.ASCII)[-80:].lstrip(".") or "picture"
        candidate, count = f"{stem}.jpg", 1
        while candidate.lower() in self._used:
            count += 1
            candidate = f"{stem}-{count}.jpg"
        self._used.add(candidate.lower())
        return candidate


def _save_picture(path: Path, image: np.ndarray) -> None:
    # Not cv2.imwrite: it ends the whole process on a name that is not valid UTF-8.
    path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())


class _VideoWriter:
    """An annotated video in the size of its first frame; later frames of other sizes are fitted."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def write(self, image: np.ndarray) -> None:
        if self._writer is None:
            # Most codecs need even sides.
            self._size = (max(2, image.shape[1] // 2 * 2), max(2, image.shape[0] // 2 * 2))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            codec = "MJPG" if self._path.suffix.lower() == ".avi" else "mp4v"
            self._writer = cv2.VideoWriter(
                str(self._path), cv2.VideoWriter_fourcc(*codec), self._fps, self._size
            )
            if not self._writer.isOpened():
                raise InputError(f"{self._path} cannot be written: give a name ending in .mp4 or .avi")
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(image)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
