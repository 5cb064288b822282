"""From network outputs to boxes and keypoints: the only decoding of the project."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pose_utils.types import NUM_KEYPOINTS, Detections
from pose_utils.zoo.specs import MAX_PERSONS, NMS_IOU, RTMDET_STRIDES, SIMCC_SPLIT_RATIO

MIN_SCORE = 0.05
CANDIDATES_PER_LEVEL = 1000
"""RTMDet's test_cfg (mmpose demo/mmdetection_cfg), as released."""


def rtmdet_candidates(
    outputs: Sequence[np.ndarray], input_size: tuple[int, int], min_score: float = MIN_SCORE
) -> tuple[np.ndarray, np.ndarray]:
    """Turns RTMDet's raw heads into candidate boxes in input pixels, before NMS.

    Args:
        outputs: Class logits of three levels, (1, 1, h, w) each, then distances to left, top,
            right and bottom in input pixels, (1, 4, h, w) each; strides 8, 16, 32.
        input_size: (width, height) of the network's input; boxes are clipped to it, as
            mmdet's DistancePointBBoxCoder does.
        min_score: Candidates need a score above it.

    Returns:
        boxes float32 (n, 4) xyxy and scores float32 (n,), at most 1000 a level.

    Raises:
        ValueError: The number of outputs or their shapes are not those of RTMDet.
    """
    levels = len(RTMDET_STRIDES)
    if len(outputs) != 2 * levels:
        raise ValueError(f"RTMDet has {2 * levels} raw outputs, this model gave {len(outputs)}")
    # Comparing logits spares a sigmoid over 8400 priors; min_score 0 and 1 have infinite logits.
    with np.errstate(divide="ignore"):
        min_logit = np.log(np.float64(min_score)) - np.log1p(-np.float64(min_score))
    all_boxes, all_scores = [], []
    for logits, distances, stride in zip(outputs[:levels], outputs[levels:], RTMDET_STRIDES, strict=True):
        if logits.shape[:2] != (1, 1) or distances.shape != (1, 4, *logits.shape[2:]):
            raise ValueError(f"stride {stride}: unexpected shapes {logits.shape} and {distances.shape}")
        columns = logits.shape[3]
        flat = logits.reshape(-1)
        chosen = np.flatnonzero(flat > min_logit)
        if len(chosen) > CANDIDATES_PER_LEVEL:
            chosen = chosen[np.argsort(-flat[chosen], kind="stable")[:CANDIDATES_PER_LEVEL]]
        # MlvlPointGenerator with offset 0: priors sit on the corner of their cell.
        priors = np.stack([chosen % columns, chosen // columns], axis=1).astype("float32") * stride
        left_top, right_bottom = distances.reshape(4, -1)[:, chosen].T.reshape(-1, 2, 2).transpose(1, 0, 2)
        all_boxes.append(np.concatenate([priors - left_top, priors + right_bottom], axis=1))
        all_scores.append(1.0 / (1.0 + np.exp(-flat[chosen])))
    boxes = np.concatenate(all_boxes)
    np.clip(boxes, 0, np.float32([*input_size, *input_size]), out=boxes)
    return boxes, np.concatenate(all_scores).astype("float32")


def non_maximum_suppression(
    boxes: np.ndarray, scores: np.ndarray, iou: float = NMS_IOU, limit: int = MAX_PERSONS
) -> Detections:
    """Keeps the best box of every cluster: greedy NMS as mmcv.ops.nms does it.

    Args:
        boxes: float (n, 4) xyxy; boxes without area are dropped (test_cfg min_bbox_size 0).
        scores: float (n,).
        iou: A box goes if its overlap with a better one is above this.
        limit: At most so many boxes remain.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    valid = (sides > 0).all(axis=1)
    boxes, scores, sides = boxes[valid], scores[valid], sides[valid]
    if not len(boxes):
        return Detections(np.empty((0, 4)), np.empty(0))
    # OpenCV takes left, top, width, height; with corners it silently compares other boxes.
    xywh = np.concatenate([boxes[:, :2], sides], axis=1).astype("float64")
    kept = np.asarray(cv2.dnn.NMSBoxes(xywh, scores.astype("float32"), 0.0, iou), dtype="int64").ravel()
    return Detections(boxes[kept][:limit], scores[kept][:limit])


def rtmdet_end_to_end(
    outputs: Sequence[np.ndarray], min_score: float = MIN_SCORE
) -> tuple[np.ndarray, np.ndarray]:
    """Reads `dets` (1, n, 5) and `labels` (1, n) of a file with NMS inside (mmdeploy's form).

    Returns:
        boxes float32 (n, 4) xyxy in input pixels and scores (n,), persons (label 0) only.
    """
    dets, labels = outputs
    rows = dets.reshape(-1, 5)
    keep = (rows[:, 4] > min_score) & (labels.reshape(-1) == 0)
    return rows[keep, :4].astype("float32"), rows[keep, 4].astype("float32")


def simcc(
    outputs: Sequence[np.ndarray], split_ratio: float = SIMCC_SPLIT_RATIO
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes SimCC vectors as mmpose's SimCCLabel does.

    Args:
        outputs: x vectors (n, 17, width * split_ratio) and y vectors (n, 17, height * split_ratio).
        split_ratio: Bins a pixel.

    Returns:
        keypoints float32 (n, 17, 2) in crop pixels; scores float32 (n, 17), the smaller of the
        two maxima. Where that is not above 0 the position is -1 bin, as in mmpose.
    """
    x_vectors, y_vectors = outputs
    scores = np.minimum(x_vectors.max(axis=2), y_vectors.max(axis=2)).astype("float32")
    bins = np.stack([x_vectors.argmax(axis=2), y_vectors.argmax(axis=2)], axis=2).astype("float32")
    bins[scores <= 0] = -1
    return bins / np.float32(split_ratio), scores


def heatmap(outputs: Sequence[np.ndarray], input_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Decodes heatmaps by argmax and a quarter step to the higher neighbour (mmpose MSRAHeatmap).

    Args:
        outputs: One array (n, 17, h, w).
        input_size: (width, height) of the crop; its ratio to the heatmap scales the result.

    Returns:
        keypoints float32 (n, 17, 2) in crop pixels, scores float32 (n, 17) (the maxima).
    """
    (maps,) = outputs
    persons, joints, height, width = maps.shape
    flat = maps.reshape(persons * joints, height * width)
    best = flat.argmax(axis=1)
    rows = np.arange(len(flat))
    scores = flat[rows, best]
    y, x = np.divmod(best, width)

    def slope(step: int, inside: np.ndarray) -> np.ndarray:
        here = best[inside]
        change = np.zeros(len(flat), dtype="float32")
        change[inside] = np.sign(flat[rows[inside], here + step] - flat[rows[inside], here - step])
        return change

    # The bounds (1 < position, not 0 <) are mmpose's refine_keypoints to the letter.
    in_x = (x > 1) & (x < width - 1) & (y > 0) & (y < height)
    in_y = (y > 1) & (y < height - 1) & (x > 0) & (x < width)
    found = np.stack([x + 0.25 * slope(1, in_x), y + 0.25 * slope(width, in_y)], axis=1)
    found[scores <= 0] = -1
    factor = np.float32(input_size) / np.float32([width, height])
    keypoints = found.astype("float32").reshape(persons, joints, 2) * factor
    return keypoints, scores.astype("float32").reshape(persons, joints)


def movenet(outputs: Sequence[np.ndarray], input_size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Decodes MoveNet MultiPose (1, 6, 56): 17 x (y, x, score), then ymin, xmin, ymax, xmax, score.

    Args:
        outputs: That one array, positions relative to the padded input (0..1).
        input_size: (width, height) of the padded input.

    Returns:
        keypoints (n, 17, 2) and boxes (n, 4) in input pixels, keypoint scores (n, 17), scores (n,);
        best person first.
    """
    (rows,) = outputs
    persons = rows.reshape(-1, 56)
    persons = persons[np.argsort(-persons[:, 55], kind="stable")]
    joints = persons[:, :51].reshape(-1, NUM_KEYPOINTS, 3)
    size = np.float32(input_size)
    keypoints = joints[..., 1::-1] * size
    boxes = persons[:, [52, 51, 54, 53]] * np.concatenate([size, size])
    return keypoints, boxes, joints[..., 2], persons[:, 55]
