"""Networks with planted answers and pipelines with planted persons, for tests of what is around them."""

import numpy as np

from pose_utils.errors import Unavailable
from pose_utils.runtime.decode import RTMDET_STRIDES
from pose_utils.types import Detections, Poses
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.specs import SPECS


class FakeBackend:
    """Answers every input with what `answer(inputs)` returns and keeps the inputs' shapes."""

    name, precision, provider_used, threads, size_bytes = "fake", "fp32", "nowhere", 1, 1e6

    def __init__(self, model, answer, output_names=("a",)):
        self.artifact = Artifact(SPECS[model], "onnx", "trained", "0" * 64, None)
        self.output_names = output_names
        self.answer = answer
        self.shapes = []

    def run(self, inputs):
        self.shapes.append(inputs.shape)
        return self.answer(inputs)


def rtmdet_outputs(persons=(), side=320):
    """Raw heads that say: these boxes (left, top, right, bottom, score) in input pixels, no other."""
    grids = [side // stride for stride in RTMDET_STRIDES]
    logits = [np.full((1, 1, grid, grid), -20.0, "float32") for grid in grids]
    distances = [np.zeros((1, 4, grid, grid), "float32") for grid in grids]
    for left, top, right, bottom, score in persons:
        column, row = int((left + right) // 16), int((top + bottom) // 16)
        logits[0][0, 0, row, column] = np.log(score / (1 - score))
        distances[0][0, :, row, column] = (
            column * 8 - left,
            row * 8 - top,
            right - column * 8,
            bottom - row * 8,
        )
    return [*logits, *distances]


def simcc_outputs(inputs):
    """The middle of the crop, at score .7, for every person and joint."""
    x, y = np.zeros((len(inputs), 17, 384), "float32"), np.zeros((len(inputs), 17, 512), "float32")
    x[:, :, 192] = y[:, :, 256] = 0.7
    return [x, y]


def standing(left=40.0, top=30.0, height=120.0, score=0.9):
    """One person as (keypoints (17, 2), scores (17,), box (4,), score)."""
    x = np.array([5, 6, 4, 7, 3, 8, 2, 9, 1, 9, 1, 7, 3, 7, 3, 7, 3]) / 10
    y = np.array([1, 0.8, 0.8, 1, 1, 2.2, 2.2, 3.6, 3.6, 5, 5, 5.2, 5.2, 7.2, 7.2, 9.4, 9.4]) / 10
    keypoints = np.column_stack([left + x * height / 2, top + y * height])
    return keypoints, np.full(17, 0.8), (left, top, left + height / 2, top + height), score


class FakePipeline:
    """Finds `persons` in every picture; `before` may raise or count."""

    models, backend, precision, provider_used, weights = "fake+fake", "fake", "fp32", "nowhere", "trained"
    takes_boxes, min_score = True, 0.3

    def __init__(self, persons=None, before=lambda image: None):
        persons = [standing()] if persons is None else persons
        parts = list(zip(*persons, strict=True))
        self.poses = Poses(*parts) if persons else Poses.empty()
        self.before = before

    def __call__(self, image, boxes=None):
        self.before(image)
        return self.poses

    def detect_and_pose(self, image):
        if not self.takes_boxes:
            raise Unavailable("one stage")
        poses = self(image)
        return poses, Detections(poses.boxes, poses.box_scores)
