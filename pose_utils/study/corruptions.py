"""What a corruption does to a picture: pure functions of an image, one strength and a generator.

Every function takes an image uint8 (h, w, 3) BGR and returns a new one of the same shape. Nothing
here knows names, severities or seeds; `conditions` does. Lengths in pixels are meant for a picture
whose longer side is 640 and grow with the picture, so that a small and a large copy of a scene are
blurred alike.

OpenCV does the filtering, coding and resizing. The package imagecorruptions (Michaelis et al.)
is not used: it draws from numpy's global generator, so that one picture cannot be made again alone,
several of its functions import numba and old scikit-image names, and its lengths are fixed pixels.
Its strengths are kept where a family is the same (noise, defocus, JPEG), to stay comparable.
"""

from __future__ import annotations

import cv2
import numpy as np

REFERENCE_SIDE = 640
"""Longer side in pixels of the picture for which lengths are given."""


def _scale(image: np.ndarray) -> float:
    return max(image.shape[:2]) / REFERENCE_SIDE


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Rounds and saturates; plain `astype` would truncate and darken by half a level."""
    return cv2.convertScaleAbs(np.maximum(values, 0, out=values))


def _by_table(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def line_kernel(length: float, angle: float) -> np.ndarray:
    """Returns the point spread of a straight motion as float32 (k, k), k odd, sum 1.

    The path is sampled symmetrically about the centre cell and shared bilinearly among the cells
    it passes, so that its centroid is the centre cell for every length and angle.

    Args:
        length: Path in pixels, 1 or more; need not be whole or odd.
        angle: Direction in radians, 0 is along the rows.
    """
    reach = (max(length, 1.0) - 1) / 2
    half = int(np.ceil(reach))
    steps = np.linspace(-reach, reach, 2 * int(np.ceil(2 * reach)) + 1)
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    xs, ys = half + steps * np.cos(angle), half + steps * np.sin(angle)
    left, top = np.floor(xs).astype(int), np.floor(ys).astype(int)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (1 - np.abs(xs - left - right)) * (1 - np.abs(ys - top - down))
        inside = (share > 0) & (left + right <= 2 * half) & (top + down <= 2 * half)
        np.add.at(kernel, (top[inside] + down, left[inside] + right), share[inside])
    kernel = kernel + kernel[::-1, ::-1]  # removes what rounding left of asymmetry
    return (kernel / kernel.sum()).astype(np.float32)


def motion_blur(image: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Straight camera motion of `length` pixels (at 640) in a direction drawn for each picture.

    The published blur was horizontal only, of fixed pixels whatever the picture's size, and its
    even kernel of 30 moved the picture by half a pixel; this one has a random direction in
    [0, pi), a length relative to the picture, and a centred kernel.
    """
    kernel = line_kernel(length * _scale(image), rng.uniform(0, np.pi))
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def rotation_blur(image: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Camera roll by `degrees` in all during the exposure, about the picture's centre."""
    height, width = image.shape[:2]
    arc = np.radians(degrees) * np.hypot(height, width) / 2
    copies = int(np.clip(np.ceil(arc / 1.5), 2, 48))
    total = np.zeros(image.shape, np.float32)
    centre = ((width - 1) / 2, (height - 1) / 2)
    for turn in np.linspace(-degrees / 2, degrees / 2, copies):
        matrix = cv2.getRotationMatrix2D(centre, turn, 1.0)
        turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        cv2.accumulate(turned, total)
    return _to_uint8(total / copies)


def defocus(image: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Lens out of focus: a disc of `radius` pixels (at 640) with an antialiased rim."""
    radius = radius * _scale(image)
    half = int(np.ceil(radius))
    across = np.arange(-half, half + 1, dtype=np.float32)
    distance = np.hypot(across[:, None], across[None, :])
    kernel = np.clip(radius + 0.5 - distance, 0, 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def low_light(image: np.ndarray, gamma: float, rng: np.random.Generator) -> np.ndarray:
    """Darkens by `(value / 255) ** gamma`; 1 leaves the picture, 4 turns 128 into 16.

    As published, but rounded instead of truncated. Gamma keeps white white: it is a stand-in for
    night and brings no sensor noise of its own.
    """
    return _by_table(image, 255 * (np.arange(256) / 255) ** gamma)


def overexpose(image: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Multiplies by `gain` and clips at white, as published (rounded instead of truncated)."""
    return _by_table(image, np.arange(256) * gain)


def gaussian_noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Adds normal noise of `sigma` grey levels to each channel of each pixel on its own.

    The published noise was drawn unseeded and truncated, which darkens by half a level.
    """
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise *= sigma
    noise += image
    return _to_uint8(noise)


def patches(image: np.ndarray, count: float, rng: np.random.Generator, side: float = 0.1) -> np.ndarray:
    """Lays `count` black rectangles anywhere in the picture, each `side` of its width and height.

    This is the published occlusion: a patch covers 1 % of the picture, 30 of them 26 % on average
    (they overlap), and nothing aims them at a person; see `person_patches` for that. Two changes:
    the places are seeded, and the last row and column can be covered too.
    """
    height, width = image.shape[:2]
    tall, wide = max(1, int(height * side)), max(1, int(width * side))
    covered = image.copy()
    for _ in range(int(count)):
        top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
        covered[top : top + tall, left : left + wide] = 0
    return covered


def person_patches(
    image: np.ndarray, share: float, rng: np.random.Generator, boxes: np.ndarray
) -> np.ndarray:
    """Covers `share` (0..1) of the area of each person's box with one rectangle of the box's shape.

    It lies wholly inside the box at a random place and has the picture's mean colour, so that it
    hides without adding contrast. Persons who overlap can lose more than `share`.

    `boxes` is (n, 4) xyxy in image pixels; none leaves the picture as it is.
    """
    height, width = image.shape[:2]
    covered = image.copy()
    colour = np.rint(image.reshape(-1, 3).mean(axis=0))
    for left, top, right, bottom in np.asarray(boxes, float).reshape(-1, 4):
        wide, tall = (right - left) * np.sqrt(share), (bottom - top) * np.sqrt(share)
        x = left + rng.random() * (right - left - wide)
        y = top + rng.random() * (bottom - top - tall)
        x1, x2 = np.clip(np.rint([x, x + wide]), 0, width).astype(int)
        y1, y2 = np.clip(np.rint([y, y + tall]), 0, height).astype(int)
        covered[y1:y2, x1:x2] = colour
    return covered


def jpeg(image: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    """Codes and decodes as JPEG with libjpeg's `quality` (1..100) and its 4:2:0 colour."""
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def low_resolution(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Shrinks to `factor` (0..1) of each side by area and enlarges again bilinearly."""
    height, width = image.shape[:2]
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)


def _clouds(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Returns float32 (h, w) in 0..1: octaves of smooth noise, each half as strong as the last."""
    field = np.zeros((height, width), np.float32)
    for octave in range(5):
        cells = rng.random((2**octave + 2, 2**octave + 2), dtype=np.float32)
        field += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    span = field.max() - field.min()
    return (field - field.min()) / max(float(span), 1e-6)


def fog(image: np.ndarray, density: float, rng: np.random.Generator) -> np.ndarray:
    """Blends towards a bright veil: `density` (0..1) of it on average, in drifting swaths.

    Koschmieder's law for one depth: image * t + airlight * (1 - t). Depth is not known from one
    picture, so far things are not foggier than near ones.
    """
    veil = np.clip(density * (0.7 + 0.6 * _clouds(*image.shape[:2], rng)), 0, 1)[..., None]
    return _to_uint8(image * (1 - veil) + np.float32(225) * veil)


def rain(image: np.ndarray, drops: float, rng: np.random.Generator) -> np.ndarray:
    """Bright streaks that all fall in one direction, and the dull light of a wet day.

    `drops` counts the streaks for each 1,000 pixels of a picture of 640.
    """
    height, width = image.shape[:2]
    scale = _scale(image)
    count = int(drops * height * width / scale**2 / 1000)
    seeds = np.zeros((height, width), np.float32)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = rng.uniform(0.4, 1.0, count)
    length, angle = 21 * scale, np.pi / 2 + rng.uniform(-0.35, 0.35)
    streaks = cv2.filter2D(seeds, -1, line_kernel(length, angle) * length * 0.8)
    streaks = cv2.GaussianBlur(streaks, (0, 0), 0.5 + 0.3 * scale)
    veil = np.clip(streaks + 0.02 * drops, 0, 0.9)[..., None]
    return _to_uint8(image * (1 - 0.03 * drops) * (1 - veil) + np.float32(205) * veil)


def colour_cast(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A wrong white balance: warm or cold (drawn for each picture), at about equal brightness.

    Red and blue are multiplied by exp(+strength) and exp(-strength), or the other way round, and
    all three by what keeps white at its luma (BT.601) before clipping.
    """
    tilt = strength if rng.random() < 0.5 else -strength
    gains = np.array([np.exp(-tilt), 1.0, np.exp(tilt)])
    gains /= gains @ [0.114, 0.587, 0.299]
    table = np.clip(np.rint(np.arange(256)[:, None] * gains), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])
