"""From image pixels to network inputs and back: the only preprocessing of the project.

The rules are those that the released weights were trained and evaluated with: mmdet's
`Resize(keep_ratio)` and `Pad` for RTMDet, mmpose's `GetBBoxCenterScale` and `TopdownAffine`
(without UDP) for the person crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pose_utils.types import check_image
from pose_utils.zoo.specs import RTMDET_PAD, ModelSpec


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies in the detector's input.

    Attributes:
        scale: (x, y) input pixels per image pixel; they differ by the rounding of the sides.
        offset: (left, top) of the picture in the input, in input pixels.
        input_size: (width, height) of the input.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]
    input_size: tuple[int, int]

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps input pixels (..., 2k) of alternating x and y to image pixels, as float32."""
        pairs = points.reshape(*points.shape[:-1], points.shape[-1] // 2, 2)
        mapped = (pairs - np.float32(self.offset)) / np.float32(self.scale)
        return mapped.reshape(points.shape).astype("float32")


def letterbox(
    image: np.ndarray, input_size: tuple[int, int], pad: int = RTMDET_PAD, centred: bool = False
) -> tuple[np.ndarray, Letterbox]:
    """Fits `image` into `input_size`, keeping its aspect ratio and padding the rest.

    The new sides are int(side * scale + .5) as in mmcv.imrescale, which mmdet's pipeline calls.

    Args:
        image: uint8 (h, w, 3).
        input_size: (width, height) of the network's input.
        pad: Grey value of the padding: 114 for RTMDet, 0 for MoveNet.
        centred: Pad on both sides instead of right and bottom (MoveNet).

    Returns:
        The input as uint8 (height, width, 3) in the channel order of `image`, and the way back.
    """
    height, width = check_image(image).shape[:2]
    in_width, in_height = input_size
    scale = min(in_width / width, in_height / height)
    new_width = min(in_width, max(1, int(width * scale + 0.5)))
    new_height = min(in_height, max(1, int(height * scale + 0.5)))
    left, top = ((in_width - new_width) // 2, (in_height - new_height) // 2) if centred else (0, 0)
    canvas = np.full((in_height, in_width, 3), pad, dtype=np.uint8)
    inside = canvas[top : top + new_height, left : left + new_width]
    cv2.resize(image, (new_width, new_height), dst=inside, interpolation=cv2.INTER_LINEAR)
    return canvas, Letterbox((new_width / width, new_height / height), (left, top), input_size)


def person_affines(boxes: np.ndarray, input_size: tuple[int, int], padding: float = 1.25) -> np.ndarray:
    """Returns the affine maps from image pixels to the crop of each person.

    Box to centre and size, grown by `padding`, the shorter side extended to the aspect ratio of
    the crop (mmpose: GetBBoxCenterScale, TopdownAffine.fix_aspect_ratio), rotation 0.

    Args:
        boxes: float (n, 4), xyxy in image pixels. Sides below one pixel count as one pixel, so
            that a degenerate box gives a defined crop.
        input_size: (width, height) of the crop.
        padding: Factor on both sides of the box.

    Returns:
        float64 (n, 2, 3).
    """
    boxes = np.asarray(boxes, dtype="float64").reshape(-1, 4)
    width, height = input_size
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0) * padding
    crop_width = np.maximum(size[:, 0], size[:, 1] * width / height)
    scale = width / crop_width
    affines = np.zeros((len(boxes), 2, 3))
    affines[:, 0, 0] = affines[:, 1, 1] = scale
    affines[:, :, 2] = np.array([width, height]) / 2 - scale[:, None] * centre
    return affines


def crop_persons(image: np.ndarray, affines: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    """Cuts every person out of `image` with one bilinear warp each; outside the image is 0.

    Args:
        image: uint8 (h, w, 3).
        affines: (n, 2, 3) from `person_affines`.
        input_size: (width, height) of the crops.

    Returns:
        uint8 (n, height, width, 3) in the channel order of `image`.
    """
    check_image(image)
    width, height = input_size
    crops = np.empty((len(affines), height, width, 3), dtype=np.uint8)
    for affine, crop in zip(affines, crops, strict=True):
        cv2.warpAffine(image, affine, (width, height), dst=crop, flags=cv2.INTER_LINEAR)
    return crops


def crop_to_image(keypoints: np.ndarray, affines: np.ndarray) -> np.ndarray:
    """Maps crop pixels (n, k, 2) back to image pixels, as float32 (n, k, 2)."""
    scale = affines[:, 0, 0][:, None, None]
    return ((keypoints - affines[:, None, :, 2]) / scale).astype("float32")


def to_network_input(pixels: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """Turns uint8 BGR pixels (n, h, w, 3) into the network's float32 input (n, 3, h, w).

    Channel order, mean and standard deviation are those of `spec`.
    """
    ordered = pixels[..., ::-1] if spec.channels == "rgb" else pixels
    planes = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), dtype=np.float32)
    planes -= np.float32(spec.mean).reshape(3, 1, 1)
    planes /= np.float32(spec.std).reshape(3, 1, 1)
    return planes
