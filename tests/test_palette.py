"""The palette: OpenCV's channel order, and contrasts that stay readable in both themes."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_rgb

from pose_utils import palette


@pytest.mark.parametrize("colour", palette.CATEGORICAL)
def test_bgr_is_matplotlibs_rgb_reversed(colour):
    assert palette.bgr(colour)[::-1] == tuple(round(255 * channel) for channel in to_rgb(colour))


@pytest.mark.parametrize("wrong", ["0072B2", "#072", "blue", "#12345g"])
def test_a_malformed_colour_is_refused(wrong):
    with pytest.raises(ValueError):
        palette.bgr(wrong)


def test_contrast_of_black_on_white_is_21():
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#ffffff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("background", [palette.LIGHT_BACKGROUND, palette.DARK_BACKGROUND])
def test_every_hue_keeps_3_to_1_and_text_keeps_4_5_to_1(background):
    dark = background == palette.DARK_BACKGROUND
    assert min(palette.contrast(colour, background) for colour in palette.CATEGORICAL) >= 3
    inks = (palette.DARK_INK, palette.DARK_MUTED) if dark else (palette.LIGHT_INK, palette.LIGHT_MUTED)
    assert min(palette.contrast(ink, background) for ink in inks) >= 4.5
