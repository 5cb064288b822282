"""Memory between frames on a clip whose detector blinks: looked for again, interpolated, and priced."""

import cv2
import numpy as np
import pytest

from pose_utils.study import video_remedies
from pose_utils.study.mitigations import AS_IT_IS
from pose_utils.study.records import RunFolder
from pose_utils.types import Detections, Poses
from tests.study.known_pipeline import GRID

BLIND = (6, 7, 8)


class Blinking:
    """Finds one person who walks right; in the dark it sees nobody in the frames `BLIND` of every clip."""

    models, backend, precision, takes_boxes = "blinking", "none", "fp32", False
    min_score, max_persons, detector = 0.3, 100, None

    def __init__(self):
        self.dark = 0

    def __call__(self, image, boxes=None):
        blind = image.max() < 100 and self.dark % 12 in BLIND
        self.dark += image.max() < 100
        if blind:
            return Poses.empty()
        left = int(image[..., 1].argmax(axis=1)[0])
        return Poses(
            [GRID + np.array([left, 20])], np.full((1, 17), 0.9), [[left, 20, left + 80, 120]], [0.9]
        )

    def detect_and_pose(self, image):
        poses = self(image)
        return poses, Detections(poses.boxes, poses.box_scores)


@pytest.fixture
def clip(tmp_path):
    """Twelve frames; one bright column says where the person is."""
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (320, 160))
    for index in range(12):
        frame = np.zeros((160, 320, 3), np.uint8)
        frame[:, 40 + 4 * index] = 150
        writer.write(frame)
    writer.release()
    return tmp_path / "clip.avi"


def test_gaps_are_filled_and_nothing_is_gained_where_nobody_was_missed(tmp_path, clip):
    run = RunFolder.create({}, tmp_path / "run")
    table = video_remedies.study_video(Blinking(), clip, 12, ["low_light_severe"], seed=0, run=run,
                                       bootstrap=50, progress=False)  # fmt: skip
    figures = table.set_index(["condition", "remedy", "metric"])["value"]
    dark = figures["low_light_severe"]
    assert dark[AS_IT_IS, "persons_kept"] == pytest.approx(9 / 12)
    assert dark[video_remedies.FILLED, "persons_kept"] == pytest.approx(1)
    assert dark[video_remedies.FILLED, "kept_gain"] == pytest.approx(3 / 12)
    assert dark[video_remedies.LOOK_AGAIN, "kept_gain"] == 0  # a one-stage model cannot be told where to look
    assert figures["clean", AS_IT_IS, "consistency"] == pytest.approx(1)
    assert figures["clean", video_remedies.FILLED, "kept_gain"] == 0
    ran = table[table["metric"] == "kept_gain"].set_index(["condition", "remedy"])
    assert ran.loc[("low_light_severe", video_remedies.FILLED), "high"] <= 1 and set(table["n"]) == {12}
