"""The robustness run with a pipeline whose every answer is known, killed and taken up again."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from pose_utils.errors import InputError, UsageError
from pose_utils.study import accuracy, failures, robustness, robustness_metrics
from pose_utils.study.annotations import load_coco_keypoints
from pose_utils.study.attribution import CAUSES
from pose_utils.study.records import RunFolder
from pose_utils.types import Detections, Poses
from tests.study.scenes import coco_of, truth_of

GRID = np.array([(20.0 * (i % 4), 25.0 * (i // 4)) for i in range(17)])
PLACES = [[(20, 30)], [(30, 20), (150, 60)], [], [(60, 70)]]  # persons of four pictures of 240 x 180


class ByBrightness:
    """Finds every white 80 x 100 block as a person; under noise and in the dark it finds less.

    The score is the mean grey of the block: below .6 it is a candidate only. Keypoints lie on a grid in the
    box; in a given box they are moved by what the picture lacks in brightness.
    """

    models, backend, precision, takes_boxes = "fake", "none", "fp32", True
    min_score, max_persons, weights = 0.6, 100, "trained"

    def __init__(self, fail_after=None):
        self.calls, self.fail_after = 0, fail_after

    def detector(self, image):
        self.calls += 1
        if self.fail_after is not None and self.calls > self.fail_after:
            raise KeyboardInterrupt
        mask = (image.mean(axis=2) > 40).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((15, 15), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area > 2000]
        scores = [image[y:b, x:r].mean() / 255 for x, y, r, b in boxes]
        order = np.argsort(scores)[::-1]
        return Detections(np.array(boxes, float).reshape(-1, 4)[order], np.array(scores)[order])

    def estimate(self, image, found):
        keypoints = [GRID * [(r - x) / 80, (b - y) / 100] + (x, y) for x, y, r, b in found.boxes]
        shade = np.repeat(np.asarray(found.scores)[:, None], 17, axis=1)
        return Poses(np.array(keypoints).reshape(-1, 17, 2), shade, found.boxes, found.scores)

    def __call__(self, image, boxes=None):
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        poses = self.estimate(image, Detections(boxes, np.ones(len(boxes))))
        grey = image.mean() / 255  # a darker picture: worse keypoints
        return Poses(poses.keypoints + 8 * (1 - grey), poses.scores, poses.boxes, poses.box_scores)


class OneStage:
    models, backend, precision, takes_boxes = "onestage", "none", "fp32", False

    def __call__(self, image, boxes=None):
        assert boxes is None
        two = ByBrightness()
        return two.estimate(image, two.detector(image).above(0.3))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    layout = []
    for number, places in enumerate(PLACES, start=1):
        image = np.full((180, 240, 3), 10, np.uint8)
        for x, y in places:
            image[y : y + 100, x : x + 80] = 230
        cv2.imwrite(str(folder / f"{number:04d}.png"), image)
        layout.append(
            [
                {
                    "keypoints": np.column_stack([GRID + place, np.full(17, 2)]),
                    "box": [*place, place[0] + 80, place[1] + 100],
                }
                for place in places
            ]
        )
    truth_file = tmp_path / "truth.json"
    truth_file.write_text(json.dumps(coco_of(layout)))
    return sorted(folder.iterdir()), load_coco_keypoints(truth_file, folder)


CONDITIONS = ["noise_heavy", "low_light_severe", "fog:2"]


def measure(folder, pictures, pipeline=None, **options):
    run = folder if isinstance(folder, RunFolder) else RunFolder.create({}, folder)
    paths, truth = pictures
    options = {
        "truth": truth,
        "seed": 3,
        "bootstrap": 50,
        "progress": False,
        "conditions": CONDITIONS,
    } | options
    robustness.run_robustness(
        pipeline or ByBrightness(), paths, options.pop("conditions"), run=run, **options
    )
    return run


def tables(run):
    return {name: run.read(name).drop(columns="run_id") for name in robustness.TABLES}


def value(run, metric, condition="clean", boxes="detected", severity=0):
    rows = run.read("metrics.csv").query(
        "metric == @metric and condition == @condition and boxes == @boxes and severity == @severity"
    )
    assert len(rows) == 1, f"{metric} {condition} {boxes}: {len(rows)} rows"
    return rows.iloc[0]


def test_figures_of_a_known_pipeline(tmp_path, pictures):
    run = measure(tmp_path / "run", pictures)
    assert value(run, "keypoint_ap")["value"] == pytest.approx(1)
    assert value(run, "person_ap")["value"] == pytest.approx(1)
    assert value(run, "pck")["value"] == 1 and value(run, "pck_nose")["reference"] == "truth"
    assert value(run, "detection_rate")["value"] == 0.75  # one of four pictures is empty
    assert value(run, "detection_rate_with_keypoints")["value"] == 1
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
