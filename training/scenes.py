"""Pictures for the detector: scenes at many scales, and mosaics that put several persons into one picture.

No boxes are needed: the teacher looks at the very same pixels and says what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pose_utils.runtime.media import read_image
from pose_utils.zoo.specs import RTMDET_PAD


@lru_cache(maxsize=4096)
def read(path: Path) -> np.ndarray:
    """Reads a training picture as uint8 (h, w, 3) BGR that must not be changed; keeps the last 4,096.

    Raises:
        InputError: It cannot be read.
    """
    image = read_image(path)
    image.flags.writeable = False
    return image


def change_colours(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Changes brightness, contrast and white balance by one table per channel.

    Args:
        image: uint8 (h, w, 3).
        rng: Decides by how much.
        strength: 1 for factors within about .7 to 1.4; 0 leaves the picture as it is.
    """
    gain = np.exp(strength * (rng.uniform(-0.25, 0.25) + rng.uniform(-0.08, 0.08, 3)))
    gamma = np.exp(strength * rng.uniform(-0.3, 0.3))
    shift = strength * rng.uniform(-20, 20)
    ramp = 255 * (np.arange(256)[:, None] / 255) ** gamma * gain + shift
    return cv2.LUT(image, np.clip(np.rint(ramp), 0, 255).astype(np.uint8)[None])


def place(canvas: np.ndarray, image: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """Fills `canvas` (h, w, 3) with a random part of `image` times `scale`, padded where it is smaller."""
    height, width = canvas.shape[:2]
    tall, wide = image.shape[0] * scale, image.shape[1] * scale
    left = rng.uniform(min(0, width - wide), max(0, width - wide))
    top = rng.uniform(min(0, height - tall), max(0, height - tall))
    matrix = np.array([[scale, 0, left], [0, scale, top]])
    if rng.random() < 0.5:
        matrix = np.array([[-scale, 0, left + wide], [0, scale, top]])
    cv2.warpAffine(
        image, matrix, (width, height), dst=canvas, flags=cv2.INTER_AREA if scale < 0.6 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(RTMDET_PAD,) * 3,
    )  # fmt: skip


def picture(
    scenes: Sequence[Path], sports: Sequence[Path], side: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns one training picture, uint8 (side, side, 3) BGR.

    Half are one scene at a random scale, half are mosaics of four parts, each a scene or a sports picture.
    """

    def draw(share_of_scenes: float) -> np.ndarray:
        pool = scenes if rng.random() < share_of_scenes or not sports else sports
        return read(pool[rng.integers(len(pool))])

    canvas = np.full((side, side, 3), RTMDET_PAD, np.uint8)
    if rng.random() < 0.5:
        image = draw(0.8)
        place(canvas, image, side / max(image.shape[:2]) * np.exp(rng.uniform(-0.4, 0.9)), rng)
    else:
        x, y = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
        for rows, columns in (
            (s, t) for s in (slice(0, y), slice(y, side)) for t in (slice(0, x), slice(x, side))
        ):
            part = np.ascontiguousarray(canvas[rows, columns])
            image = draw(0.5)
            fit = max(part.shape[:2]) / max(image.shape[:2])
            place(part, image, fit * np.exp(rng.uniform(-0.4, 0.9)), rng)
            canvas[rows, columns] = part
    return change_colours(canvas, rng)
