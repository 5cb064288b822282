"""The values that pass between the rooms: validated and frozen.

An *image* is everywhere a uint8 array (h, w, 3) in BGR order, as OpenCV reads it; other depths
and channel counts are converted once, in `pose_utils.runtime.media`. Pixel coordinates have the
centre of the top left pixel at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

KEYPOINT_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""The 17 keypoints of COCO, in their order."""

SKELETON = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
"""COCO's 19 limbs as pairs of keypoint indices (0-based)."""

FLIP_PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))
"""Left and right keypoint of each pair."""

OKS_SIGMAS = np.array(
    [.26, .25, .25, .35, .35, .79, .79, .72, .72, .62, .62, 1.07, 1.07, .87, .87, .89, .89]
) / 10  # fmt: skip
"""Per-keypoint constants of object keypoint similarity (cocodataset.org, keypoints-eval)."""

NUM_KEYPOINTS = len(KEYPOINT_NAMES)


def _frozen(values: object, shape: tuple[int | None, ...], name: str, dtype: str = "float32") -> np.ndarray:
    array = np.array(values, dtype=dtype)
    if array.size == 0 and None in shape:
        array = array.reshape([0 if side is None else side for side in shape])
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have shape {shape} (None: any), got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    array.flags.writeable = False
    return array


def check_image(image: np.ndarray) -> np.ndarray:
    """Returns `image` if it is uint8 (h, w, 3) with h, w > 0; raises ValueError otherwise."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"an image is uint8 (h, w, 3) BGR, got {found}; read files with runtime.media")
    if 0 in image.shape:
        raise ValueError(f"the image is empty: shape {image.shape}")
    return image


@dataclass(frozen=True, eq=False)
class Detections:
    """Person boxes of one image, best score first where a detector made them.

    Attributes:
        boxes: float32 (n, 4), xyxy in image pixels.
        scores: float32 (n,), 0..1.
    """

    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", _frozen(self.boxes, (None, 4), "boxes"))
        object.__setattr__(self, "scores", _frozen(self.scores, (len(self.boxes),), "scores"))

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, score: float, limit: int | None = None) -> Detections:
        """Returns the boxes whose score is above `score`, the first `limit` of them."""
        keep = np.flatnonzero(self.scores > score)[:limit]
        return Detections(self.boxes[keep], self.scores[keep])


@dataclass(frozen=True, eq=False)
class Poses:
    """The persons of one image. No person is an empty result, never the whole image.

    Attributes:
        keypoints: float32 (n, 17, 2), x and y in image pixels.
        scores: float32 (n, 17), the codec's confidence per keypoint (0..1 for heatmaps; SimCC maxima of
            RTMPose usually stay below 1 but are not bounded by it).
        boxes: float32 (n, 4), xyxy in image pixels.
        box_scores: float32 (n,), 0..1.
        track_ids: int64 (n,), or None where nothing was tracked.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    track_ids: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "keypoints", _frozen(self.keypoints, (None, NUM_KEYPOINTS, 2), "keypoints"))
        persons = len(self.keypoints)
        object.__setattr__(self, "scores", _frozen(self.scores, (persons, NUM_KEYPOINTS), "scores"))
        object.__setattr__(self, "boxes", _frozen(self.boxes, (persons, 4), "boxes"))
        object.__setattr__(self, "box_scores", _frozen(self.box_scores, (persons,), "box_scores"))
        if self.track_ids is not None:
            object.__setattr__(self, "track_ids", _frozen(self.track_ids, (persons,), "track_ids", "int64"))

    @classmethod
    def empty(cls) -> Poses:
        """Returns the result for an image in which nobody was found."""
        return cls(np.empty((0, 17, 2)), np.empty((0, 17)), np.empty((0, 4)), np.empty(0))

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def instance_scores(self) -> np.ndarray:
        """float32 (n,): box score times mean keypoint score, by which COCO ranks the persons."""
        return (self.box_scores * self.scores.mean(axis=1)).astype("float32")

    def to_coco(self, image_id: int | str) -> list[dict]:
        """Returns one COCO keypoint result a person (cocodataset.org, results format).

        `bbox` is xywh, `keypoints` is x, y, score for each of the 17, `score` the instance score.
        """
        results = []
        for index, instance_score in enumerate(self.instance_scores):
            left, top, right, bottom = (float(side) for side in self.boxes[index])
            triples = np.column_stack([self.keypoints[index], self.scores[index]])
            result = {
                "image_id": image_id,
                "category_id": 1,
                "bbox": [left, top, right - left, bottom - top],
                "bbox_score": float(self.box_scores[index]),
                "keypoints": [float(value) for value in triples.ravel()],
                "score": float(instance_score),
            }
            if self.track_ids is not None:
                result["track_id"] = int(self.track_ids[index])
            results.append(result)
        return results


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds spent in each stage of one frame; a stage that did not run is 0.

    A one-stage model counts as `detect`; a fused or end-to-end file puts what it cannot
    separate into the stage of its network.
    """

    decode: float = 0.0
    letterbox: float = 0.0
    detect: float = 0.0
    nms: float = 0.0
    crop: float = 0.0
    pose: float = 0.0
    keypoints: float = 0.0

    @property
    def total(self) -> float:
        """Sum of all stages in milliseconds."""
        return sum(getattr(self, field.name) for field in fields(self))
