"""The colours of every figure, page and annotated picture.

The four hues are those of Okabe and Ito's palette for colour-blind readers
(jfly.uni-koeln.de/color) that keep a contrast of 3:1 both on white and on the dark page. Colour is
never the only sign: charts add markers or hatches, pictures add a halo and sides.
"""

from __future__ import annotations

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"

LEFT = BLUE
RIGHT = VERMILLION
MIDDLE = GREEN
"""Limbs of the person's own left and right side, and what joins the two."""

CATEGORICAL = (BLUE, VERMILLION, GREEN, PURPLE)
"""The order in which categories take their colours."""

LIGHT_BACKGROUND = "#ffffff"
LIGHT_INK = "#1b1f24"
LIGHT_MUTED = "#57606a"
LIGHT_GRID = "#d9dee3"
DARK_BACKGROUND = "#14171a"
DARK_INK = "#e8eaed"
DARK_MUTED = "#a3abb3"
DARK_GRID = "#353b42"

HALO = "#101214"
"""Dark line under limbs and boxes, so that they show on any photograph."""


def bgr(colour: str) -> tuple[int, int, int]:
    """Returns "#rrggbb" as the (blue, green, red) triple, 0..255, that OpenCV draws with.

    Raises:
        ValueError: `colour` is not of the form "#rrggbb".
    """
    digits = colour.removeprefix("#")
    if len(digits) != 6 or not colour.startswith("#"):
        raise ValueError(f"a colour is written #rrggbb, got {colour!r}")
    red, green, blue = (int(digits[start : start + 2], 16) for start in (0, 2, 4))
    return blue, green, red


def contrast(first: str, second: str) -> float:
    """Returns the contrast ratio of two colours, 1..21 (WCAG 2.2, definition of contrast ratio)."""
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    blue, green, red = (linear(channel / 255) for channel in bgr(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
