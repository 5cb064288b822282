"""What INT8 is calibrated on: persons and frames of the sample pictures, through our own preprocessing."""

from __future__ import annotations

import contextlib
from functools import lru_cache

import numpy as np

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime import geometry
from pose_utils.runtime.media import read_image
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.samples import PICTURES, clip_frames, sample_clip, sample_pictures
from pose_utils.zoo.specs import ModelSpec, get_spec

CLIP_FRAMES = tuple(range(0, 100, 9))
"""Frames of the two-person clip beside the sample pictures; no picture of an evaluation set is used."""

FINDER = "rtmdet-nano"
MIDDLE = np.float32([[0.25, 0.05, 0.75, 0.95]])
"""Where a person is taken to stand, as shares of the picture, when there are no weights that find one."""


def calibration_inputs(spec: ModelSpec) -> list[np.ndarray]:
    """Returns network inputs float32 (1, 3, h, w): pictures and their mirror images, or the persons in them.

    Raises:
        AssetError: Not one sample picture can be had.
    """
    frames = _frames()
    if spec.kind == "detector":
        pixels = [geometry.letterbox(frame, spec.input_size)[0][None] for frame in frames]
    else:
        crops = [
            geometry.crop_persons(
                frame, geometry.person_affines(boxes, spec.input_size, spec.padding), spec.input_size
            )
            for frame, boxes in zip(frames, _boxes(), strict=True)
        ]
        pixels = [crop[None] for each in crops for crop in each]
    return [geometry.to_network_input(each, spec) for each in pixels]


@lru_cache(maxsize=1)
def _frames() -> tuple[np.ndarray, ...]:
    files = [path for path in sample_pictures() if path.name in PICTURES]
    with contextlib.suppress(AssetError):  # sample_pictures has noted it
        files += clip_frames(sample_clip(), CLIP_FRAMES)
    frames = [read_image(path) for path in files]
    return tuple(frames + [np.ascontiguousarray(frame[:, ::-1]) for frame in frames])


@lru_cache(maxsize=1)
def _boxes() -> tuple[np.ndarray, ...]:
    from pose_utils.runtime.backends import open_backend
    from pose_utils.runtime.pipeline import Detector

    try:
        finder = Detector(open_backend("onnxruntime", find_artifact(get_spec(FINDER), "onnx", "trained")))
        found = [finder(frame).above(0.3).boxes for frame in _frames()]
    except (AssetError, Unavailable):
        found = []
    if any(map(len, found)):
        return tuple(found)
    return tuple(MIDDLE * np.tile(frame.shape[1::-1], 2) for frame in _frames())
