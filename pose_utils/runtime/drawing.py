"""Skeletons on pictures: left and right limbs differ in colour and joint shape, dark halo under all."""

from __future__ import annotations

import cv2
import numpy as np

from pose_utils.palette import HALO, LEFT, MIDDLE, RIGHT, bgr
from pose_utils.types import KEYPOINT_NAMES, SKELETON, Poses

BOX = (240, 240, 240)


def draw_poses(
    image: np.ndarray, poses: Poses, min_keypoint_score: float = 0.3, boxes: bool = True
) -> np.ndarray:
    """Draws every person on a copy of `image`.

    Left limbs are blue with round joints, right limbs vermillion with square joints, so that the
    sides can be told apart without colour.

    Args:
        image: uint8 (h, w, 3) BGR.
        poses: In pixels of that image.
        min_keypoint_score: Keypoints below it, and their limbs, are left out.
        boxes: Also draw each person's box with its score, and its identity where it was tracked.

    Returns:
        uint8 (h, w, 3) BGR.
    """
    canvas = image.copy()
    # Thickness follows the picture so that a 4K frame and a thumbnail both read.
    width = max(1, round(max(image.shape[:2]) / 320))
    for index in range(len(poses)):
        if boxes:
            _draw_box(canvas, poses, index, width)
        shown = poses.scores[index] >= min_keypoint_score
        # Coordinates far outside the picture would overflow OpenCV's fixed point numbers.
        points = np.clip(poses.keypoints[index].round(), -30000, 30000).astype(int)
        limbs = [(first, second) for first, second in SKELETON if shown[first] and shown[second]]
        for extra, colour_of in ((2 * width, lambda *_: bgr(HALO)), (0, _limb_colour)):
            for first, second in limbs:
                start, end = tuple(points[first]), tuple(points[second])
                cv2.line(canvas, start, end, colour_of(first, second), width + extra, cv2.LINE_AA)
        for joint in np.flatnonzero(shown):
            _draw_joint(canvas, tuple(points[joint]), KEYPOINT_NAMES[joint], width)
    return canvas


def _limb_colour(first: int, second: int) -> tuple[int, int, int]:
    sides = {KEYPOINT_NAMES[joint].split("_")[0] for joint in (first, second)} - {"nose"}
    if sides == {"left"}:
        return bgr(LEFT)
    return bgr(RIGHT) if sides == {"right"} else bgr(MIDDLE)


def _draw_joint(canvas: np.ndarray, centre: tuple[int, int], name: str, width: int) -> None:
    radius = width + 1
    if name.startswith("right"):
        low, high = tuple(c - radius for c in centre), tuple(c + radius for c in centre)
        cv2.rectangle(canvas, tuple(c - 1 for c in low), tuple(c + 1 for c in high), bgr(HALO), -1)
        cv2.rectangle(canvas, low, high, bgr(RIGHT), -1)
    else:
        cv2.circle(canvas, centre, radius + 1, bgr(HALO), -1, cv2.LINE_AA)
        cv2.circle(
            canvas, centre, radius, bgr(LEFT) if name.startswith("left") else bgr(MIDDLE), -1, cv2.LINE_AA
        )


def _draw_box(canvas: np.ndarray, poses: Poses, index: int, width: int) -> None:
    left, top, right, bottom = np.clip(poses.boxes[index].round(), -30000, 30000).astype(int)
    label = f"{poses.box_scores[index]:.2f}"
    if poses.track_ids is not None:
        label = f"#{poses.track_ids[index]} {label}"
    cv2.rectangle(canvas, (left, top), (right, bottom), bgr(HALO), width + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, (left, top), (right, bottom), BOX, width, cv2.LINE_AA)
    size = max(image_scale(canvas), 0.35)
    corner = (max(left, 0) + 2, max(top - 4, int(22 * size)))
    cv2.putText(canvas, label, corner, cv2.FONT_HERSHEY_SIMPLEX, size, bgr(HALO), width + 3, cv2.LINE_AA)
    cv2.putText(canvas, label, corner, cv2.FONT_HERSHEY_SIMPLEX, size, BOX, width, cv2.LINE_AA)


def draw_note(canvas: np.ndarray, text: str) -> None:
    """Writes a line into the lower left corner of `canvas`, on the array itself."""
    size, width = max(image_scale(canvas), 0.35), max(1, round(max(canvas.shape[:2]) / 320))
    corner = (4, canvas.shape[0] - 6)
    cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, bgr(HALO), width + 3, cv2.LINE_AA)
    cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, BOX, width, cv2.LINE_AA)


def image_scale(image: np.ndarray) -> float:
    """Returns the text size that reads on an image of this size."""
    return max(image.shape[:2]) / 1300
