"""Who lost what and to whom, from the records of a pipeline whose every answer is known."""

import numpy as np
import pytest

from pose_utils.study import failures, robustness
from pose_utils.study.attribution import CAUSES
from tests.study.known_pipeline import ByBrightness, measure, value


def test_the_loss_is_split_between_detector_and_pose(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures)
    for where in (("noise_heavy", "detected", 0), ("fog", "detected", 2)):
        parts = [
            value(run, f"keypoint_ap_lost_to_{stage}", *where)["value"] for stage in ("detector", "pose")
        ]
        assert sum(parts) == pytest.approx(-value(run, "keypoint_ap_minus_clean", *where)["value"])
    # Fog lifts the dark ground above the fake's limit: its detector fails, its pose stage does not.
    assert value(run, "keypoint_ap", "fog", "detected", 2)["value"] < 0.5
    assert value(run, "keypoint_ap_lost_to_detector", "fog", "detected", 2)["value"] > 0.3


def test_boxes_found_in_the_fog_are_posed_on_the_clean_picture(tmp_path, pictures):
    seen = []

    class Watching(ByBrightness):
        def __call__(self, image, boxes=None):
            # The published phantom, the whole picture, is posed where nobody is found.
            if not np.array_equal(boxes, [[0, 0, image.shape[1], image.shape[0]]]):
                seen.append((int(image.min()), len(boxes)))
            return super().__call__(image, boxes)

    run = measure(tmp_path / "run", pictures, Watching(), conditions=["fog:2"], boxes=["detected_on_clean"])
    persons = run.read("persons.parquet").query("condition == 'fog'").set_index("boxes")
    sides = ["x1", "y1", "x2", "y2", "box_score"]
    same = persons.loc["detected", sides].to_numpy() == persons.loc["detected_on_clean", sides].to_numpy()
    assert same.all() and len(same)
    assert {darkest for darkest, boxes in seen} == {10}  # the ground of a clean picture


def test_persons_found_are_those_that_the_failures_call_found(tmp_path, pictures):
    paths, truth = pictures
    run = measure(tmp_path / "run", pictures)
    table = failures.run_failures(run, truth=truth, names=list(robustness.picture_names(paths)))
    persons = table[table["kind"] == "person"]
    for (condition, severity), rows in persons.groupby(["condition", "severity"]):
        share = (rows["category"] == "found").mean()
        assert value(run, "persons_found", condition, severity=severity)["value"] == pytest.approx(share)
    causes = [value(run, f"persons_lost_{cause}", "fog", severity=2)["value"] for cause in CAUSES]
    kept = value(run, "persons_found", "fog", severity=2)["value"]
    assert sum(causes) == pytest.approx(1 - kept)  # everybody was found on the clean pictures


def test_failures_from_the_records(tmp_path, pictures):
    paths, truth = pictures
    run = measure(tmp_path / "run", pictures)
    table = failures.run_failures(run, truth=truth, names=list(robustness.picture_names(paths)))
    persons = table[table["kind"] == "person"]
    assert (
        persons.groupby(["condition", "severity"]).size().tolist() == [4] * 4
    )  # each person, each condition
    assert (persons.query("condition == 'clean'")["category"] == "found").all()
    assert (persons.query("condition == 'fog'")["category"] != "found").any()
    alone = failures.run_failures(
        measure(tmp_path / "own", pictures, truth=None),
        truth=None,
        names=list(robustness.picture_names(paths)),
    )
    assert set(alone["reference"]) == {"clean"}
    assert (alone.query("condition == 'clean'")["category"] == "found").all()


def test_a_person_scored_too_low_is_told_from_one_never_seen(tmp_path, pictures):
    paths, truth = pictures
    pipeline = ByBrightness()
    pipeline.min_score = 0.8
    run = measure(tmp_path / "run", pictures, pipeline)
    table = failures.run_failures(run, truth=truth, names=list(robustness.picture_names(paths)))
    dark = table.query("condition == 'low_light_severe'")
    assert (dark["category"] == "missed_below_threshold").all() and len(dark) == 4
    assert dark["score"].to_numpy() == pytest.approx(np.full(4, 169 / 255), abs=1e-3)
    # person AP still counts the candidates, recall above the threshold does not
    assert value(run, "person_ap", "low_light_severe")["value"] == pytest.approx(1)
    assert value(run, "person_recall", "low_light_severe")["value"] == 0
