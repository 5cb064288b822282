"""Tiny material: a few drawn pictures, so that every test runs in a moment and without the assets folder."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def drawn_pictures(tmp_path):
    """Three different pictures of 90 x 120 as files."""
    rng = np.random.default_rng(4)
    paths = []
    for index in range(3):
        image = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (120, 90))
        path = tmp_path / f"picture{index}.png"
        cv2.imwrite(str(path), image)
        paths.append(path)
    return paths
