"""A pipeline whose every answer is known, and the study run with it."""

import json

import cv2
import numpy as np

from pose_utils.study import robustness
from pose_utils.study.annotations import load_coco_keypoints
from pose_utils.study.records import RunFolder
from pose_utils.types import Detections, Poses
from tests.study.scenes import coco_of

GRID = np.array([(20.0 * (i % 4), 25.0 * (i // 4)) for i in range(17)])
PLACES = [[(20, 30)], [(30, 20), (150, 60)], [], [(60, 70)]]  # persons of four pictures of 240 x 180


def draw_pictures(root):
    """Writes a picture for each of PLACES; returns their files and their truth."""
    folder = root / "pictures"
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
    truth_file = root / "truth.json"
    truth_file.write_text(json.dumps(coco_of(layout)))
    return sorted(folder.iterdir()), load_coco_keypoints(truth_file, folder)


class ByBrightness:
    """Finds every white 80 x 100 block as a person; under noise and in the dark it finds less.

    The score is the mean grey of the block: below .6 it is a candidate only. Keypoints lie on a grid in the
    box; in a given box they are moved by what the picture lacks in brightness.
    """

    models, backend, precision, takes_boxes = "fake", "none", "fp32", True
    min_score, max_persons, weights = 0.6, 100, "trained"

    def __init__(self, fail_after=None):
        self.calls, self.fail_after = 0, fail_after

    def detector(self, image):
        self.calls += 1
        if self.fail_after is not None and self.calls > self.fail_after:
            raise KeyboardInterrupt
        mask = (image.mean(axis=2) > 40).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((15, 15), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area > 2000]
        scores = [image[y:b, x:r].mean() / 255 for x, y, r, b in boxes]
        order = np.argsort(scores)[::-1]
        return Detections(np.array(boxes, float).reshape(-1, 4)[order], np.array(scores)[order])

    def detect_and_pose(self, image):
        found = self.detector(image)
        return self.estimate(image, found.above(self.min_score, self.max_persons)), found

    def estimate(self, image, found):
        keypoints = [GRID * [(r - x) / 80, (b - y) / 100] + (x, y) for x, y, r, b in found.boxes]
        shade = np.repeat(np.asarray(found.scores)[:, None], 17, axis=1)
        return Poses(np.array(keypoints).reshape(-1, 17, 2), shade, found.boxes, found.scores)

    def __call__(self, image, boxes=None):
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        poses = self.estimate(image, Detections(boxes, np.ones(len(boxes))))
        grey = image.mean() / 255  # a darker picture: worse keypoints
        return Poses(poses.keypoints + 8 * (1 - grey), poses.scores, poses.boxes, poses.box_scores)


class BlindInTheDark(ByBrightness):
    """Finds nobody in a picture without a pixel of 200 or more: whole in daylight, blind in the dark."""

    def estimate(self, image, found):
        poses = super().estimate(image, found)
        return poses if image.max() >= 200 else Poses.empty()


class OneStage:
    models, backend, precision, takes_boxes = "onestage", "none", "fp32", False

    def __call__(self, image, boxes=None):
        assert boxes is None
        two = ByBrightness()
        return two.estimate(image, two.detector(image).above(0.3))

    def detect_and_pose(self, image):
        poses = self(image)
        return poses, Detections(poses.boxes, poses.box_scores)


CONDITIONS = ["noise_heavy", "low_light_severe", "fog:2"]


def measure(folder, pictures, pipeline=None, **options):
    run = folder if isinstance(folder, RunFolder) else RunFolder.create({}, folder)
    paths, truth = pictures
    options = {
        "truth": truth,
        "seed": 3,
        "bootstrap": 50,
        "progress": False,
        "conditions": CONDITIONS,
    } | options
    robustness.run_robustness(
        pipeline or ByBrightness(), paths, options.pop("conditions"), run=run, **options
    )
    return run


def tables(run):
    return {name: run.read(name).drop(columns="run_id") for name in robustness.TABLES}


def value(run, metric, condition="clean", boxes="detected", severity=0):
    rows = run.read("metrics.csv").query(
        "metric == @metric and condition == @condition and boxes == @boxes and severity == @severity"
    )
    assert len(rows) == 1, f"{metric} {condition} {boxes}: {len(rows)} rows"
    return rows.iloc[0]
