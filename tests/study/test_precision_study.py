"""Precisions are compared picture by picture with the run's own; what cannot run is a row that says why."""

import numpy as np
import pytest

from pose_utils.errors import Unavailable
from pose_utils.study import precision_study
from pose_utils.study.records import RunFolder
from tests.study.known_pipeline import BlindInTheDark, ByBrightness

VARIANTS = (("none", "int8"), ("openvino", "bf16"))


class Blunt(BlindInTheDark):
    precision = "int8"


@pytest.fixture
def precisions(monkeypatch):
    def open_other(base, backend, precision):
        if (backend, precision) == ("none", "int8"):
            return Blunt()
        raise Unavailable(f"{backend} {precision} is not here\nand that is all")

    monkeypatch.setattr(precision_study, "in_precision", open_other)


def study(folder, pictures, truth, base=None):
    run = RunFolder.create({}, folder)
    return precision_study.study_precisions(
        base or ByBrightness(), pictures[0], ["low_light_severe"], VARIANTS, truth=truth, seed=0, run=run,
        bootstrap=40,
        progress=False,
    )  # fmt: skip


def figure(table, condition, metric, precision="int8"):
    rows = table[(table["condition"] == condition) & (table["metric"] == metric)]
    (row,) = rows[rows["precision"].eq(precision) & rows["boxes"].eq("detected")].itertuples()
    return row


@pytest.mark.parametrize("known", [True, False])
def test_what_breaks_in_the_dark_only_is_told_from_what_breaks_anyway(tmp_path, pictures, precisions, known):
    table = study(tmp_path / "run", pictures, pictures[1] if known else None)
    assert figure(table, "clean", "change").value == 0
    dark = figure(table, "low_light_severe", "extra_change")
    assert dark.value == pytest.approx(-1) and dark.high < 0  # everybody was found, and nobody is
    assert figure(table, "low_light_severe", "change", "fp32").value == 0
    assert set(table["metric"]) == {"", "keypoint_ap" if known else "consistency", "change", "extra_change"}


def test_a_precision_that_does_not_open_is_a_row_with_its_reason(tmp_path, pictures, precisions):
    table = study(tmp_path / "run", pictures, pictures[1])
    (row,) = table[table["status"] == "skipped"].itertuples()
    assert (row.backend, row.precision, row.reason) == ("openvino", "bf16", "openvino bf16 is not here")
    assert np.isnan(row.value)


def test_nothing_is_run_twice_where_nothing_else_opens(tmp_path, pictures, monkeypatch):
    class OneStage(ByBrightness):
        detector = None

    table = study(tmp_path / "run", pictures, pictures[1], OneStage())
    assert set(table["status"]) == {"skipped"} and not (tmp_path / "run" / precision_study.FOLDER).exists()
