"""The robustness run with a pipeline whose every answer is known, killed and taken up again."""

import numpy as np
import pandas as pd
import pytest

from pose_utils.errors import InputError, UsageError
from pose_utils.study import accuracy, robustness, robustness_metrics
from pose_utils.study.records import RunFolder
from tests.study.known_pipeline import GRID, ByBrightness, OneStage, measure, tables, value
from tests.study.scenes import truth_of


def test_figures_of_a_known_pipeline(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures)
    assert value(run, "keypoint_ap")["value"] == pytest.approx(1)
    assert value(run, "person_ap")["value"] == pytest.approx(1)
    assert value(run, "pck")["value"] == 1 and value(run, "pck_nose")["reference"] == "truth"
    assert value(run, "detection_rate")["value"] == 0.75  # one of four pictures is empty
    assert value(run, "detection_rate_with_keypoints")["value"] == 1
    assert value(run, "detection_rate_with_phantom")["value"] == 1  # the empty one as a whole
    assert value(run, "persons_per_image")["value"] == 1
    assert value(run, "images_processed")["value"] == 4 and value(run, "fps")["value"] > 0
    assert value(run, "consistency")["value"] == pytest.approx(1)
    # Gamma 4 turns 230 into 169, a score of .66; 10 stays 0: everybody is found, at lower confidence.
    assert value(run, "mean_confidence", "low_light_severe")["value"] == pytest.approx(169 / 255, abs=1e-3)
    change = value(run, "mean_confidence_minus_clean", "low_light_severe")
    assert change["value"] == pytest.approx((169 - 230) / 255, abs=1e-3)
    assert change["low"] == pytest.approx(change["high"], abs=1e-6)  # everybody alike: the pairs cancel
    # Noise of sigma 100 on white clips: the mean falls below .7 but stays above the threshold.
    mean = [value(run, name, "corrupted")["value"] for name in ("mpc", "rpc")]
    aps = [
        value(run, "keypoint_ap", *where)["value"]
        for where in (("noise_heavy",), ("low_light_severe",), ("fog", "detected", 2))
    ]
    assert mean == pytest.approx([np.mean(aps), np.mean(aps)])


def test_a_family_with_several_severities_has_its_own_mean(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures, conditions=["noise_heavy", "fog:1", "fog:3", "noise:2"])
    aps = [value(run, "keypoint_ap", "fog", "detected", level)["value"] for level in (1, 3)]
    assert value(run, "mpc_fog", "corrupted")["value"] == pytest.approx(np.mean(aps))
    metrics = set(run.read("metrics.csv")["metric"])
    assert "rpc_fog" in metrics and not metrics & {"mpc_noise", "mpc_noise_heavy"}


def test_clean_boxes_keep_the_rank_the_detector_gave_them(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures, conditions=["low_light_severe"])
    persons = run.read("persons.parquet").query("condition == 'low_light_severe'").set_index("boxes")
    assert persons.loc["clean", "box_score"].to_numpy() == pytest.approx(np.full(4, 230 / 255), abs=1e-3)
    assert persons.loc["detected", "box_score"].to_numpy() == pytest.approx(np.full(4, 169 / 255), abs=1e-3)
    assert (persons.loc["truth", "box_score"] == 1).all()


def test_draws_follow_the_images_whatever_their_order(tmp_path):
    names = ["0003.png", "0001.png", "0002.png"]  # COCOeval sorts by id
    person = {"keypoints": np.column_stack([GRID + 50, np.full(17, 2)])}
    truth = truth_of([[person]] * 3)
    scene = robustness_metrics._Scene(names, truth, np.array([[30.0, 10.0, 20.0]]))
    matches = accuracy.match_keypoints(truth, [])
    assert matches.image_ids == (1, 2, 3) and scene.for_matches(matches).tolist() == [[10, 20, 30]]


def test_a_killed_run_goes_on_and_ends_with_the_same_records(tmp_path, pictures):
    whole = measure(tmp_path / "whole", pictures)
    run = RunFolder.create({}, tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        measure(run, pictures, ByBrightness(fail_after=10))  # in the third condition
    assert not run.has("metrics.csv")
    rest = ByBrightness()
    measure(run, pictures, rest)
    assert rest.calls == 8  # clean and one condition were not run again
    for name, frame in tables(whole).items():
        again = tables(run)[name]
        if name == "metrics.csv":  # speed is a fact about the pass, not a figure of the model
            frame, again = (
                table[table["metric"] != "fps"].reset_index(drop=True) for table in (frame, again)
            )
        pd.testing.assert_frame_equal(frame, again, check_exact=True)
    idle = ByBrightness()
    measure(run, pictures, idle)
    assert idle.calls == 0


def test_another_seed_is_not_taken_for_the_same_study(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures)
    again = ByBrightness()
    measure(run, pictures, again, seed=4)
    assert again.calls == 16


def test_without_truth_consistency_is_told_and_accuracy_is_not(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures, truth=None)
    metrics = set(run.read("metrics.csv")["metric"])
    assert {"consistency", "persons_kept", "detection_rate"} <= metrics
    assert not any("_ap" in name or "pck" in name for name in metrics)
    assert set(run.read("metrics.csv")["boxes"]) == {"detected", "clean", "detected_on_clean"}
    assert value(run, "persons_kept")["value"] == 1
    lost = [value(run, f"consistency_lost_to_{stage}", "fog", severity=2) for stage in ("detector", "pose")]
    change = value(run, "consistency_minus_clean", "fog", severity=2)
    assert sum(row["value"] for row in lost) == pytest.approx(-change["value"])


def test_a_one_stage_model_and_another_model_share_a_run_folder(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures)
    before = tables(run)
    measure(run, pictures, OneStage())
    after = run.read("metrics.csv")
    assert set(after.query("models == 'onestage'")["boxes"]) == {"detected"}
    assert "detection_rate_with_phantom" not in set(after.query("models == 'onestage'")["metric"])
    for name, frame in before.items():
        kept = tables(run)[name].query("models == 'fake'").reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, frame)


def test_a_picture_that_cannot_be_read_is_left_out_and_named(tmp_path, pictures):
    paths, truth = pictures
    paths[1].write_bytes(b"no picture")
    run = measure(tmp_path / "run", (paths, truth))
    (skipped,) = run.info()["robustness_skipped"].values()
    assert list(skipped) == ["0002.png"] and value(run, "images_processed")["value"] == 3
    assert value(run, "keypoint_ap")["value"] == pytest.approx(1)  # its persons do not count as missed
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of 4 pictures"):
        measure(tmp_path / "other", (paths, truth))


def test_wrong_requests_are_refused(tmp_path, pictures):
    paths, truth = pictures
    with pytest.raises(UsageError, match="no picture"):
        measure(tmp_path / "a", ([], truth))
    with pytest.raises(UsageError, match="boxes are of"):
        measure(tmp_path / "b", pictures, boxes=["guessed"])
    with pytest.raises(UsageError, match="no condition"):
        measure(tmp_path / "c", pictures, conditions=["nois"])
    with pytest.raises(InputError, match="1 pictures have no annotations"):
        measure(tmp_path / "d", ([*paths, paths[0].with_name("new.png")], truth))


def test_equal_names_in_two_folders_stay_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    names = robustness.picture_names([tmp_path / "a" / "1.png", tmp_path / "b" / "1.png"])
    assert list(names) == ["a/1.png", "b/1.png"]
