"""The proof of precisions: what must pass passes, what is worse is named with what it loses."""

import numpy as np
import pandas as pd
import pytest

from pose_utils.study import proof
from pose_utils.study.records import RunFolder
from pose_utils.types import Detections, Poses

ROW = {
    "precision": "int8", "weights": "trained", "share_within": 0.5, "unpaired": 0, "box_max_px": 3.0,
    "keypoint_ap": 0.6, "keypoint_change": 0.0, "person_change": 0.0, "keypoint_high": -0.02,
    "person_high": -0.02,
}  # fmt: skip


def people(*left, score=0.9, shift=0.0):
    boxes = np.array([[x, 10, x + 40, 110] for x in left], "float32").reshape(-1, 4) + shift
    keypoints = np.repeat(boxes[:, None, :2], 17, axis=1) + 5
    return Poses(keypoints, np.full((len(left), 17), 0.8), boxes, np.full(len(left), score))


def answers(*pictures, given=None):
    return proof._Answers(list(pictures), [Detections(p.boxes, p.box_scores) for p in pictures], given)


def test_the_same_answers_differ_by_nothing():
    found = proof._differences(answers(people(0, 100), people()), answers(people(0, 100), people()))
    assert found["boxes"] == 2 and found["unpaired"] == 0 and found["keypoints"] == 34
    assert found["box_max_px"] == found["keypoint_max_px"] == 0 and found["share_within"] == 1


def test_persons_in_another_order_are_paired_and_a_shift_is_measured():
    found = proof._differences(answers(people(0, 100)), answers(people(100, 0, shift=0.75)))
    assert found["box_max_px"] == found["keypoint_max_px"] == pytest.approx(0.75)
    assert found["share_within"] == 0


def test_a_person_who_is_lost_is_counted_and_not_measured():
    found = proof._differences(answers(people(0, 100)), answers(people(0)))
    assert found["unpaired"] == 1 and found["box_max_px"] == 0


def test_keypoints_on_given_boxes_are_compared_where_there_are_any():
    given = [people(0).keypoints + 0.25]
    found = proof._differences(answers(people(0)), answers(people(0, shift=9.0), given=given))
    assert found["keypoint_max_px"] == pytest.approx(0.25) and found["box_max_px"] == pytest.approx(9)


def test_nobody_anywhere_gives_no_figure():
    found = proof._differences(answers(people()), answers(people()))
    assert found["boxes"] == found["keypoints"] == 0 and np.isnan(found["share_within"])


@pytest.mark.parametrize(
    ("changes", "passed", "said"),
    [
        ({}, "yes", ""),
        ({"keypoint_change": -0.0099}, "yes", ""),
        ({"keypoint_change": -0.0101}, "no", "keypoint AP falls by 1.0 points"),
        (
            {"keypoint_change": -0.0101, "keypoint_high": -0.004},
            "unsure",
            "keypoint AP falls by 1.0 points, too few pictures to tell from the 1.0 allowed",
        ),
        (
            {"person_change": -0.05, "keypoint_change": -0.0101, "keypoint_high": 0.004},
            "no",
            "person AP falls by 5.0 points; "
            "keypoint AP falls by 1.0 points, too few pictures to tell from the 1.0 allowed",
        ),
        ({"person_change": -0.05}, "no", "person AP falls by 5.0 points"),
        ({"precision": "bf16", "keypoint_change": -0.004}, "no", "keypoint AP falls by 0.4 points"),
        ({"precision": "fp32"}, "no", "50.00% of keypoints within 0.5 px; boxes differ"),
        ({"precision": "fp32", "share_within": 1.0, "box_max_px": 0.4}, "yes", ""),
        ({"precision": "fp32", "share_within": 1.0, "box_max_px": 0.4, "unpaired": 1}, "no", "boxes differ"),
        ({"weights": "random"}, "", "not judged: random weights have no AP"),
    ],
)
def test_a_file_passes_or_is_named_with_what_it_loses(changes, passed, said):
    verdict = proof._verdict(ROW | changes)
    assert verdict == {"passed": passed, "reason": said}


def test_without_truth_the_pixels_remain(tmp_path, smooth_picture):
    """Random weights end to end: two artefacts run, one cannot, and the table takes the rows."""
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), smooth_picture)
    chosen = [
        ("fused", "onnxruntime", "fp32"),
        ("two files", "onnxruntime", "fp16"),
        ("two files", "openvino", "fp32"),
    ]
    rows = proof.prove("rtmdet-nano+rtmpose-t", [tmp_path / "a.png"], None, "random", chosen)
    assert [row["status"] for row in rows] == ["ok", "skipped", "ok"]
    assert "no ground truth" in rows[1]["reason"] and rows[0]["size_bytes"] > 1e6
    assert np.isnan(rows[0]["keypoint_ap"])
    table = RunFolder.create({}, tmp_path / "run").write("proof.csv", rows)
    assert list(table["files"]) == ["fused", "two files", "two files"]


def test_a_run_without_variants_or_pictures_says_why_in_every_row(tmp_path):
    for models, pictures, why in (
        ("movenet-multipose", 8, "one network"),
        ("rtmdet-nano+pp-tinypose", 0, "tests"),
    ):
        run = RunFolder.create({"models": models}, tmp_path / models)
        table = proof.prove_run(run, pictures)
        assert len(table) == len(proof.ARTEFACTS) and set(table["status"]) == {"skipped"}
        assert table["reason"].str.contains(why).all() and len(run.read("proof.csv")) == len(table)


def test_the_sentence_names_what_is_not_recommended():
    from pose_utils.report.reading import proof_sentence

    rows = [proof._empty_row("d+p", artefact, "") for artefact in proof.ARTEFACTS[:4]]
    assert "No file was proven" in proof_sentence(pd.DataFrame(rows))
    rows[0] |= {"status": "ok", "passed": "yes", "images": 8}
    rows[1] |= {"status": "ok", "passed": "no", "reason": "person AP falls by 2.0 points", "images": 8}
    rows[3] |= {"status": "ok", "passed": "unsure", "reason": "too few pictures to tell", "images": 8}
    said = proof_sentence(pd.DataFrame(rows))
    assert "1 of 3 files" in said and "Not recommended: two files torch bf16 (person AP falls by 2.0" in said
    assert "Not shown to hold: two files openvino fp32 (too few pictures to tell)" in said
    assert "not judged" not in said
