"""Pictures whose persons are known to the pixel."""

import json

import cv2
import numpy as np
import pytest

from pose_utils.study.annotations import load_coco_keypoints
from tests.study.known_pipeline import GRID, PLACES
from tests.study.scenes import coco_of


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    layout = []
    for number, places in enumerate(PLACES, start=1):
        image = np.full((180, 240, 3), 10, np.uint8)
        for x, y in places:
            image[y : y + 100, x : x + 80] = 230
        cv2.imwrite(str(folder / f"{number:04d}.png"), image)
        layout.append(
            [
                {
                    "keypoints": np.column_stack([GRID + place, np.full(17, 2)]),
                    "box": [*place, place[0] + 80, place[1] + 100],
                }
                for place in places
            ]
        )
    truth_file = tmp_path / "truth.json"
    truth_file.write_text(json.dumps(coco_of(layout)))
    return sorted(folder.iterdir()), load_coco_keypoints(truth_file, folder)
