"""Pictures whose persons are known to the pixel."""

import pytest

from tests.study.known_pipeline import draw_pictures


@pytest.fixture
def pictures(tmp_path):
    return draw_pictures(tmp_path)
