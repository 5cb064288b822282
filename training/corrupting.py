"""Corruptions while training: motion blur, noise and darkness, from the study's own functions."""

from __future__ import annotations

import numpy as np

from pose_utils.study import corruptions


def corrupt_some(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the pictures with a random corruption of random strength on `share` of them.

    Lengths of blurs are meant for 640 pixels and grow with the picture, so a crop is blurred less than the
    frame it came from would be; the range is wide for that reason.

    Args:
        images: uint8 (n, h, w, 3) BGR; left alone.
        share: 0..1.
        rng: Decides which, what and how strongly.
    """
    kinds = (
        (corruptions.motion_blur, 5.0, 45.0),
        (corruptions.gaussian_noise, 10.0, 100.0),
        (corruptions.low_light, 1.2, 4.0),
    )
    made = images.copy()
    for index in np.flatnonzero(rng.random(len(images)) < share):
        corrupt, least, most = kinds[rng.integers(len(kinds))]
        made[index] = corrupt(images[index], rng.uniform(least, most), rng)
    return made
