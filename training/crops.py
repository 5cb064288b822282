"""Person crops to learn from: one warp for rotation, scale, shift, mirroring and resolution at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training import scenes
from training.labels import MIRRORED, Labels

UPPER = np.arange(11)
LOWER = np.arange(11, 17)


@dataclass(frozen=True)
class Augmentation:
    """How much crops vary.

    Attributes:
        rotation: Largest turn in degrees, for six crops of ten.
        scale: Largest change of size, as a factor either way.
        shift: Largest shift, as a share of the box's sides.
        half_body: Share of crops that show only the upper or the lower half, where both are known.
        colours: Strength of changes of colour, see `scenes.change_colours`.
    """

    rotation: float = 40.0
    scale: float = 1.35
    shift: float = 0.1
    half_body: float = 0.2
    colours: float = 1.0


NONE = Augmentation(rotation=0.0, scale=1.0, shift=0.0, half_body=0.0, colours=0.0)


def draw_affine(
    box: np.ndarray,
    keypoints: np.ndarray,
    weights: np.ndarray,
    size: tuple[int, int],
    how: Augmentation,
    rng: np.random.Generator,
    padding: float = 1.25,
) -> tuple[np.ndarray, bool]:
    """Draws the map from image pixels to a crop.

    Without augmentation it is `runtime.geometry.person_affines`.

    Args:
        box: (4,) xyxy.
        keypoints: (17, 2), for half bodies.
        weights: (17,) of them.
        size: (width, height) of the crop.
        how: See `Augmentation`.
        rng: Decides.
        padding: Growth of the box.

    Returns:
        float64 (2, 3), and whether it mirrors.
    """
    width, height = size
    if rng.random() < how.half_body:
        half = UPPER if rng.random() < 0.65 else LOWER
        known = half[weights[half] > 0.3]
        if len(known) >= 4:
            low, high = keypoints[known].min(axis=0), keypoints[known].max(axis=0)
            grown = 0.15 * (high - low).max() + 2
            box = np.concatenate([low - grown, high + grown])
    centre, sides = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1.0)
    centre = centre + sides * how.shift * rng.uniform(-1, 1, 2)
    span = max(sides[0] * padding, sides[1] * padding * width / height)
    span *= how.scale ** rng.uniform(-1, 1)
    turn = np.radians(how.rotation) * rng.uniform(-1, 1) * (rng.random() < 0.6)
    mirrored = bool(how is not NONE and rng.random() < 0.5)
    cosine, sine = np.cos(turn) * width / span, np.sin(turn) * width / span
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    if mirrored:
        matrix[0] *= -1
    return np.concatenate(
        [matrix, (np.array([width, height]) / 2 - matrix @ centre)[:, None]], axis=1
    ), mirrored


class CropSource:
    """Draws batches of crops with their labels; a batch is a function of the seed and the step alone."""

    def __init__(
        self,
        labels: Labels,
        folder: Path,
        size: tuple[int, int],
        seed: int,
        how: Augmentation,
        shares: Mapping[str, float],
    ) -> None:
        """Takes the labels.

        Args:
            labels: File names relative to `folder`.
            folder: Where the pictures are.
            size: (width, height) that keypoints are given in.
            seed: Decides every batch.
            how: See `Augmentation`.
            shares: By first part of the file name (the subfolder), how often its persons are drawn
                relative to others; 1 where it is not named.
        """
        self.labels, self.folder, self.size, self.seed, self.how = labels, folder, size, seed, how
        chances = np.array([shares.get(name.partition("/")[0], 1.0) for name in labels.files], float)
        self.chances = np.cumsum(chances) / chances.sum()

    def batch(self, step: int, count: int, shrink: int = 1, corrupt: float = 0.0) -> tuple[np.ndarray, ...]:
        """Returns the batch of a step.

        Args:
            step: Which one.
            count: Crops in it.
            shrink: Divisor of the crops' sides in pixels; keypoints stay in pixels of `size`.
            corrupt: Share of crops that get a corruption, see `training.corrupting`.

        Returns:
            crops uint8 (count, height / shrink, width / shrink, 3) BGR, keypoints float32 (count, 17, 2) in
            pixels of `size`, weights (count, 17), 0 where a keypoint left the crop, confidences (count, 17).
        """
        rng = np.random.default_rng([self.seed, step])
        chosen = np.searchsorted(self.chances, rng.random(count), side="right")
        parts = [self._crop(min(int(row), len(self.labels) - 1), shrink, rng) for row in chosen]
        crops, *rest = (np.stack(values) for values in zip(*parts, strict=True))
        if corrupt:
            from training.corrupting import corrupt_some

            crops = corrupt_some(crops, corrupt, rng)
        return (crops, *rest)

    def _crop(self, row: int, shrink: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        labels = self.labels
        image = scenes.read(self.folder / str(labels.files[row]))
        keypoints, weights, sure = labels.keypoints[row], labels.weights[row], labels.confidences[row]
        affine, mirrored = draw_affine(
            labels.boxes[row].astype(float), keypoints, weights, self.size, self.how, rng
        )
        moved = (keypoints @ affine[:, :2].T + affine[:, 2]).astype("float32")
        if mirrored:
            moved, weights, sure = moved[MIRRORED], weights[MIRRORED], sure[MIRRORED]
        outside = ((moved < 0) | (moved >= self.size)).any(axis=1)
        weights = np.where(outside, 0, weights).astype("float32")
        crop = cv2.warpAffine(
            image, affine / shrink, (self.size[0] // shrink, self.size[1] // shrink), flags=cv2.INTER_LINEAR
        )
        if self.how.colours:
            crop = scenes.change_colours(crop, rng, self.how.colours)
        return crop, moved, weights, sure.astype("float32")
