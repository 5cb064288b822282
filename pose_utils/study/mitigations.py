"""Remedies for bad pictures, measured: what each buys under a condition and what it costs in milliseconds.

A remedy is a change before, inside or after the same two networks; nothing is trained anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.decode import non_maximum_suppression
from pose_utils.runtime.pipeline import Detector, PosePipeline
from pose_utils.types import FLIP_PAIRS, NUM_KEYPOINTS, Detections, Poses
from pose_utils.zoo.specs import get_spec

MIRROR = np.arange(NUM_KEYPOINTS)
for _left, _right in FLIP_PAIRS:
    MIRROR[[_left, _right]] = _right, _left

LARGER = 1.6
"""Side of the larger detector input over the usual one, rounded to the stride."""

STRONGER = "rtmdet-m"
"""The detector that is tried instead of a smaller one."""

ADAPTIVE_FLOOR = 0.05
"""Least threshold that a picture's best score may lead to."""

STRIDE = 32
TILE_OVERLAP = 0.2
AS_IT_IS = "as it is"
NOISY = 12.0
"""Noise in grey levels (Immerkaer 1996) from which a picture is denoised."""

Predict = Callable[[PosePipeline, np.ndarray], Poses]


def as_is(pipeline: PosePipeline, image: np.ndarray) -> Poses:
    """Does nothing about it."""
    return pipeline(image)


def half_threshold(pipeline: PosePipeline, image: np.ndarray) -> Poses:
    """Keeps persons down to half the threshold in use."""
    return PosePipeline(pipeline.detector, pipeline.pose, pipeline.min_score / 2, pipeline.max_persons)(image)


def adaptive_threshold(pipeline: PosePipeline, image: np.ndarray) -> Poses:
    """Keeps persons down to half the best score of the picture, where that is below the threshold in use.

    A blurred or dark picture lowers every score alike, so the best one tells how far; where one person is
    sure, nothing changes.
    """
    floor = min(ADAPTIVE_FLOOR, pipeline.min_score)
    if pipeline.detector is None:
        found = PosePipeline(None, pipeline.pose, floor, pipeline.max_persons)(image)
        keep = np.flatnonzero(found.box_scores > _adapted(found.box_scores, pipeline.min_score, floor))
        return Poses(found.keypoints[keep], found.scores[keep], found.boxes[keep], found.box_scores[keep])
    found = pipeline.detector(image)
    threshold = _adapted(found.scores, pipeline.min_score, floor)
    return pipeline.estimate(image, found.above(threshold, pipeline.max_persons))


def _adapted(scores: np.ndarray, used: float, floor: float) -> float:
    return float(np.clip(scores.max(initial=0.0) / 2, floor, used))


def noise_level(image: np.ndarray) -> float:
    """Returns the noise of a picture in grey levels.

    Immerkaer, Fast Noise Variance Estimation (1996): the mean response of a mask that flat and linear
    structure leaves at 0.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = cv2.filter2D(grey, -1, mask, borderType=cv2.BORDER_REFLECT)
    return float(np.abs(response).mean() * np.sqrt(np.pi / 2) / 6)


def denoise(image: np.ndarray) -> np.ndarray:
    """Smooths a picture as far as it is noisy: a median, then a Gaussian that grows with the noise."""
    level = noise_level(image)
    if level < NOISY:
        return image
    sigma = 0.8 + level / 40
    return cv2.GaussianBlur(cv2.medianBlur(image, 5 if level > 40 else 3), (0, 0), sigma)


def brighten(image: np.ndarray) -> np.ndarray:
    """Brings the mean grey to .45 by a gamma between .3 and 1; a bright picture is left alone."""
    mean = max(float(image.mean()) / 255, 1e-3)
    gamma = np.clip(np.log(0.45) / np.log(min(mean, 0.999)), 0.3, 1.0)
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return cv2.LUT(image, table)


def equalise(image: np.ndarray) -> np.ndarray:
    """Equalises the lightness locally (CLAHE, 8 x 8 tiles, clip limit 2)."""
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)


def after(change: Callable[[np.ndarray], np.ndarray]) -> Predict:
    """Returns a remedy that changes the picture first."""
    return lambda pipeline, image: pipeline(change(image))


def flip_test(pipeline: PosePipeline, image: np.ndarray) -> Poses:
    """Poses each person a second time in the mirror and averages, weighted by keypoint score."""
    poses = pipeline(image)
    if not len(poses):
        return poses
    wide = image.shape[1] - 1
    boxes = poses.boxes.copy()
    boxes[:, [0, 2]] = wide - boxes[:, [2, 0]]
    mirrored = pipeline(np.ascontiguousarray(image[:, ::-1]), boxes=boxes)
    points = mirrored.keypoints[:, MIRROR].copy()
    points[..., 0] = wide - points[..., 0]
    scores = mirrored.scores[:, MIRROR]
    total = np.maximum(poses.scores + scores, 1e-6)[..., None]
    mixed = (poses.keypoints * poses.scores[..., None] + points * scores[..., None]) / total
    return Poses(mixed, (poses.scores + scores) / 2, poses.boxes, poses.box_scores)


def tiling(pipeline: PosePipeline, image: np.ndarray) -> Poses:
    """Looks for persons in the whole picture and in 2 x 2 overlapping tiles, then poses all of them."""
    height, width = image.shape[:2]
    tall, wide = (int(side * (0.5 + TILE_OVERLAP / 2)) for side in (height, width))
    found = [pipeline.detector(image)]
    for top in (0, height - tall):
        for left in (0, width - wide):
            tile = pipeline.detector(np.ascontiguousarray(image[top : top + tall, left : left + wide]))
            cut = _at_inner_edge(tile.boxes, (left, top, wide, tall), (width, height))
            found.append(Detections(tile.boxes[~cut] + (left, top, left, top), tile.scores[~cut]))
    boxes, scores = (np.concatenate([getattr(part, name) for part in found]) for name in ("boxes", "scores"))
    every = non_maximum_suppression(boxes, scores)
    return pipeline.estimate(image, every.above(pipeline.min_score, pipeline.max_persons))


def _at_inner_edge(boxes: np.ndarray, tile: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """Marks boxes that end at an edge of the tile which is none of the picture: they are cut persons."""
    left, top, wide, tall = tile
    near = 3
    cut = np.zeros(len(boxes), bool)
    if left > 0:
        cut |= boxes[:, 0] < near
    if top > 0:
        cut |= boxes[:, 1] < near
    if left + wide < size[0]:
        cut |= boxes[:, 2] > wide - near
    if top + tall < size[1]:
        cut |= boxes[:, 3] > tall - near
    return cut


def with_larger_input(pipeline: PosePipeline) -> PosePipeline:
    """Returns the pipeline with a larger detector input; the same weights are exported anew.

    Raises:
        Unavailable, AssetError: The detector does not permit another size.
    """
    used, spec = pipeline.detector.backend, pipeline.detector.spec
    if spec.config is None:
        raise Unavailable(f"{spec.name} exists as one file of fixed input size")
    side = round(spec.input_size[0] * LARGER / STRIDE) * STRIDE
    larger = replace(spec, name=f"{spec.name}-{side}", input_size=(side, side))
    weights = used.artifact.weights
    backend = open_backend(used.name, larger, used.precision, used.device, used.threads, weights)
    return PosePipeline(Detector(backend), pipeline.pose, pipeline.min_score, pipeline.max_persons)


def with_stronger_detector(pipeline: PosePipeline) -> PosePipeline:
    """Returns the pipeline with the largest detector of the project, trained.

    Raises:
        Unavailable, AssetError: It runs already, or its trained weights cannot be had.
    """
    used, spec = pipeline.detector.backend, get_spec(STRONGER)
    if pipeline.detector.spec.name == STRONGER:
        raise Unavailable(f"{STRONGER} runs already, and there is none stronger here")
    backend = open_backend(used.name, spec, used.precision, used.device, used.threads, "trained")
    return PosePipeline(Detector(backend), pipeline.pose, pipeline.min_score, pipeline.max_persons)


def remedies_for(pipeline: PosePipeline) -> tuple[dict[str, Predict], dict[str, str]]:
    """Returns name -> remedy, "as it is" first, and name -> why one cannot be tried with this pipeline."""
    found: dict[str, Predict] = {
        AS_IT_IS: as_is, "half the threshold": half_threshold, "adaptive threshold": adaptive_threshold,
        "denoising": after(denoise), "gamma": after(brighten), "CLAHE": after(equalise),
    }  # fmt: skip
    exchanges = {"larger detector input": with_larger_input, "stronger detector": with_stronger_detector}
    if not pipeline.takes_boxes:
        names = ("flip test", "tiling", *exchanges)
        return found, dict.fromkeys(names, f"{pipeline.models} finds boxes and keypoints at once")
    found |= {"flip test": flip_test, "tiling": tiling}
    left_out = {}
    for name, exchange in exchanges.items():
        try:
            found[name] = _instead(exchange(pipeline))
        except (Unavailable, AssetError) as error:
            left_out[name] = str(error).splitlines()[0]
    return found, left_out


def _instead(other: PosePipeline) -> Predict:
    return lambda _, image: other(image)


def sharpness(image: np.ndarray) -> float:
    """Returns the variance of the Laplacian of the grey picture at a longer side of 640, noise smoothed."""
    scale = 640 / max(image.shape[:2])
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), None, fx=scale, fy=scale)
    return float(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F).var())
