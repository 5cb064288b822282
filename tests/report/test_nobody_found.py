"""A folder without persons, or a detector that misses them all, still makes a report."""

import cv2
import numpy as np
import pytest

from pose_utils.report import plots, reading
from pose_utils.report.galleries import ConditionPictures, worst_cases
from pose_utils.report.live_cases import LiveCases
from pose_utils.report.reading_failures import worst_table
from pose_utils.study.attribution import attribution_table
from pose_utils.study.failures import rank_losses
from pose_utils.study.material import Material
from tests.report import synthetic
from tests.study.known_pipeline import measure


@pytest.fixture
def empty_run(tmp_path):
    paths = tuple(tmp_path / f"{grey}.png" for grey in (20, 30))
    for path in paths:
        cv2.imwrite(str(path), np.full((90, 120, 3), int(path.stem), np.uint8))
    run = measure(tmp_path / "run", (list(paths), None), conditions=["low_light_severe"])
    return ConditionPictures(run, Material(paths, None, "two walls"), 0)


def test_the_sentence_says_that_there_was_nobody_to_lose(empty_run):
    assert "nobody was found" in reading.attribution_sentence(empty_run.run.read("metrics.csv")).lower()


def test_nobody_to_lose_is_not_nobody_lost():
    losses = rank_losses(synthetic.failures().iloc[:0])
    assert "nobody to lose" in reading.failure_sentence(losses, "two walls")


def test_the_figure_of_losses_says_why_it_is_empty(empty_run):
    figure = plots.loss_by_stage(attribution_table(empty_run.run.read("metrics.csv")))
    assert "No loss was split" in figure.texts[0].get_text()


def test_gallery_and_viewer_show_the_pictures_all_the_same(empty_run):
    cases = empty_run.cases(limit=5)
    assert [(case.image, case.condition) for case in cases] == [
        ("20.png", "clean"), ("30.png", "clean"),
        ("20.png", "low_light_severe"), ("30.png", "low_light_severe"),
    ]  # fmt: skip
    assert empty_run.sheet(cases).ndim == 3
    assert "0 persons found" in LiveCases(empty_run, ["d+p"], ["fake"]).viewer(1, [0.5]).to_html()


def test_a_picture_that_could_not_be_read_is_not_shown(empty_run):
    empty_run.run.update_info(robustness_skipped={"part": {"20.png": "truncated"}})
    assert empty_run.names(5) == ["30.png"]


def test_the_table_of_the_lost_is_empty_but_has_its_columns():
    table = worst_table(worst_cases(synthetic.failures().iloc[:0], limit=6))
    assert table.empty and "why" in table
