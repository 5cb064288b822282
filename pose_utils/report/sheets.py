"""Contact sheets: many annotated pictures as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from pose_utils.palette import DARK_BACKGROUND, DARK_INK, bgr


def contact_sheet(
    pictures: Sequence[np.ndarray],
    labels: Sequence[str] = (),
    columns: int = 4,
    cell: tuple[int, int] = (320, 240),
) -> np.ndarray:
    """Lays pictures out in a grid, each fitted into its cell, labels below.

    Args:
        pictures: uint8 (h, w, 3) BGR each, at least one.
        labels: ASCII texts, one a picture, or none at all.
        columns: Cells in a row.
        cell: (width, height) of a picture's place in pixels.

    Returns:
        uint8 (h, w, 3) BGR on a dark ground.

    Raises:
        ValueError: No picture, or not one label for each.
    """
    if not pictures or (labels and len(labels) != len(pictures)):
        raise ValueError(f"{len(pictures)} pictures and {len(labels)} labels make no sheet")
    width, height = cell
    columns = min(columns, len(pictures))
    strip, gap = (22 if labels else 0), 6
    rows = math.ceil(len(pictures) / columns)
    size = (rows * (height + strip + gap) + gap, columns * (width + gap) + gap, 3)
    sheet = np.full(size, bgr(DARK_BACKGROUND), dtype=np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        left, top = gap + column * (width + gap), gap + row * (height + strip + gap)
        _place(sheet[top : top + height, left : left + width], picture)
        if labels:
            place = (left + 2, top + height + 16)
            cv2.putText(
                sheet,
                _fitted(labels[index], width),
                place,
                cv2.FONT_HERSHEY_SIMPLEX,
                0.45,
                bgr(DARK_INK),
                1,
                cv2.LINE_AA,
            )
    return sheet


def _fitted(label: str, width: int) -> str:
    """Cuts the middle out of a label that is wider than its cell (9 px a letter in this font)."""
    letters = max(4, width // 9)
    if len(label) <= letters:
        return label
    return f"{label[: letters // 2 - 1]}..{label[-(letters - letters // 2 - 1) :]}"


def _place(cell: np.ndarray, picture: np.ndarray) -> None:
    height, width = cell.shape[:2]
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = fitted
