"""The viewer's cases computed on demand: cached, compared with who is there, and saved."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from pose_utils.report import live_cases
from pose_utils.report.galleries import ConditionPictures
from pose_utils.report.joint_table import joint_table
from pose_utils.report.live_cases import LiveCases, backends_of
from pose_utils.study.material import Material
from pose_utils.types import Poses
from tests.study.known_pipeline import GRID, ByBrightness, measure


@pytest.fixture
def live(tmp_path, monkeypatch):
    """A run on one picture of one white block, whose person the made-up pipeline finds."""
    image = np.full((180, 240, 3), 10, np.uint8)
    image[30:130, 20:100] = 230
    cv2.imwrite(str(tmp_path / "one.png"), image)
    run = measure(tmp_path / "run", ([tmp_path / "one.png"], None), conditions=["noise_heavy"])
    opened = []

    class Watched(ByBrightness):
        def __init__(self):
            super().__init__()
            self.min_score = 0.05

    def open_pipeline(*names, **options):
        opened.append(Watched())
        return opened[-1]

    monkeypatch.setattr(live_cases, "open_pipeline", open_pipeline)
    pictures = ConditionPictures(run, Material((tmp_path / "one.png",), None, "one picture"), 3)
    return LiveCases(pictures, ["d+p"], ["fake"]), opened


def test_a_threshold_is_moved_without_detecting_again(live):
    cases, opened = live
    low = cases("one.png", "low_light_severe", 0, 0.5, "d+p", "fake")
    high = cases("one.png", "low_light_severe", 0, 0.8, "d+p", "fake")  # its score is .66 in the dark
    assert "1 person found, 1 on the clean" in low.caption and "0 persons found" in high.caption
    assert len(opened) == 1 and opened[0].calls == 1
    assert low.joints["right"].sum() == 17 and high.joints["right"].sum() == 0


def test_the_viewer_offers_every_condition_live_and_only_recorded_ones_on_the_page(live):
    viewer = live[0].viewer(1, [0.6, 0.1, 0.6])
    controls = {child.description: child for child in viewer.widget().children[0].children}
    assert "rain" in dict(controls["Condition"].options).values()
    assert controls["Threshold"].value == 0.6 and tuple(controls["Threshold"].options) == (0.1, 0.6)
    assert "rain" not in viewer.to_html() and live[1] == []  # nothing was computed to show what is recorded


def test_a_saved_case_holds_picture_choices_and_joints(live):
    cases, _ = live
    case = cases("one.png", "low_light_severe", 0, 0.5, "d+p", "fake")
    path = cases.pictures.run.path / cases.save(case, 0.5, "d+p", "fake")
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["threshold"] == 0.5 and facts["joints"][0]["joint"] == "nose" and facts["seed"] == 3
    assert cv2.imread(str(path)).shape[1] == 3 * 240


def test_back_ends_to_choose_from_opened_every_model_here():
    rows = [("openvino", "d", "ok"), ("openvino", "p", "ok"), ("torch", "d", "ok"), ("torch", "p", "skipped")]
    frame = pd.DataFrame(rows, columns=["backend", "model", "status"]).assign(precision="fp32", device="cpu")
    records = pd.DataFrame({"backend": ["onnxruntime"]})
    assert backends_of(frame, records, "d+p") == ["onnxruntime", "openvino"]
    assert backends_of(None, records, "d+p") == ["onnxruntime"]


def test_joints_are_compared_with_those_of_the_person_they_belong_to():
    box = [[0, 0, 80, 100]]
    expected = Poses([GRID], [[1.0] * 16 + [0.0]], box, [1.0])
    points = GRID.copy()
    points[0] += (30, 40)
    table = joint_table(Poses([points], np.full((1, 17), 0.5), box, [0.9]), expected).set_index("joint")
    assert table.loc["nose", "distance, px"] == pytest.approx(50) and table.loc["nose", "right"] == 0
    assert table.loc["left eye", "right"] == 1 and table.loc["right ankle", "labelled"] == 0
    assert np.isnan(table.loc["right ankle", "score"])
