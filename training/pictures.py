"""Which pictures may be trained on: none of the test set's, nor near copies of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

NEAR = 8
"""Perceptual hashes (64 bits) that differ in at most so many bits count as the same picture."""
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def list_pictures(folder: Path) -> list[Path]:
    """Returns the pictures of a folder and its subfolders, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def perceptual_hash(image: np.ndarray) -> np.ndarray:
    """Returns 64 bits that survive scaling, recompression and mild changes of colour (pHash).

    The 8x8 lowest frequencies of the cosine transform of the 32x32 grey picture, each above or not above
    their median (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions").

    Args:
        image: uint8 (h, w, 3) BGR.

    Returns:
        bool (64,).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    lowest = cv2.dct(small)[:8, :8].ravel()
    return lowest > np.median(lowest)


def hashes(paths: Iterable[Path], mirrored: bool = False) -> np.ndarray:
    """Returns bool (n, 64), a row for each picture; raises ValueError where one cannot be read."""
    rows = []
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)
        if image is None:
            raise ValueError(f"{path} is no picture that OpenCV can read")
        rows.append(perceptual_hash(image[:, ::-1].copy() if mirrored else image))
    return np.array(rows, bool).reshape(-1, 64)


def near_copies(candidates: Sequence[Path], kept_out: Sequence[Path], most: int = NEAR) -> list[Path]:
    """Returns the candidates that look like one of `kept_out`, mirrored or not.

    Args:
        candidates: Pictures that training would like to use.
        kept_out: Pictures of the test set.
        most: Largest number of differing bits of 64.
    """
    if not kept_out:
        return []
    tests = np.concatenate([hashes(kept_out), hashes(kept_out, mirrored=True)])
    bits = hashes(tqdm(candidates, desc="looking for near copies", unit="picture", disable=None))
    nearest = np.array([(row != tests).sum(axis=1).min() for row in bits])
    return [path for path, distance in zip(candidates, nearest, strict=True) if distance <= most]


def split(paths: Sequence[Path], every: int) -> tuple[list[Path], list[Path]]:
    """Returns the pictures to train on and every `every`-th one, which is only looked at for validation."""
    held_out = list(paths[::every])
    return [path for path in paths if path not in set(held_out)], held_out
