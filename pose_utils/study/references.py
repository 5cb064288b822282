"""mmdet's and mmpose's own inference as functions of a picture, and what they said of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.checkpoints import load_module


def mmdet_boxes(artifact: Artifact) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Returns a function from an image to mmdet's own boxes (n, 4) xyxy and scores (n,)."""
    from mmdet.apis import inference_detector
    from mmengine.registry import DefaultScope

    module = load_module(artifact.spec, artifact.path)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with DefaultScope.overwrite_default_scope("mmdet"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = inference_detector(module, image).pred_instances
        return found.bboxes.numpy(), found.scores.numpy()

    return detect


def mmpose_keypoints(artifact: Artifact) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Returns a function from image and boxes to mmpose's keypoints (n, 17, 2) and scores; flip off."""
    from mmengine.registry import DefaultScope
    from mmpose.apis import inference_topdown

    module = load_module(artifact.spec, artifact.path)
    module.test_cfg["flip_test"] = False

    def estimate(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with DefaultScope.overwrite_default_scope("mmpose"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = inference_topdown(module, image, boxes)
        instances = [sample.pred_instances for sample in samples]
        return (
            np.concatenate([instance.keypoints for instance in instances]),
            np.concatenate([instance.keypoint_scores for instance in instances]),
        )

    return estimate


class Reference:
    """What mmdet or mmpose says of the pictures: asked once, for every back end is held against the same."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._known: dict[tuple, Any] = {}

    def once(self, source: Artifact | None, compute: Callable[[], Any], *key: object) -> Any:
        """Returns what `compute` gave for this key when it was first asked for.

        Args:
            source: Whose answer it is: back ends may run other weights of one model. None where the model
                exists as a file only.
            compute: Gives the answer.
            key: What was asked.
        """
        whose = (source and source.digest, *key)
        if whose not in self._known:
            self._known[whose] = compute()
        return self._known[whose]
