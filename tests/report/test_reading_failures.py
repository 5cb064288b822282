"""Why a person was lost is told by the rule that put them there."""

import pandas as pd
import pytest

from pose_utils.report.reading_failures import joints_on_body, worst_table

PERSON = {"image": "a.jpg", "condition": "noise_heavy", "severity": 0, "category": "found", "iou": 0.82,
          "oks": 0.4, "score": 0.2, "area": 5000.0, "joints": "gggjjimm---------"}  # fmt: skip


@pytest.mark.parametrize(
    ("category", "words"),
    [
        ("missed_no_box", "no box is theirs"),
        ("missed_below_threshold", "a box is on them (IoU 0.82), but its score of 0.20 is below"),
        ("box_poor", "the box has IoU 0.82, below 0.5; OKS 0.40"),
        ("miss", "the box is good (IoU 0.82); OKS 0.40, below 0.75; of 8 joints wrong: 2 jitter, "
                 "1 inversion, 2 miss; miss cost most"),
    ],
)  # fmt: skip
def test_each_category_has_its_reason(category, words):
    (row,) = worst_table(pd.DataFrame([PERSON | {"category": category}])).itertuples()
    assert words in row.why and row.condition == "noise heavy"


def test_a_person_without_labelled_joints_is_judged_by_the_box_alone():
    (row,) = worst_table(pd.DataFrame([PERSON | {"category": "box_poor", "joints": "-" * 17}])).itertuples()
    assert row.why == "the box has IoU 0.82, below 0.5"


def test_joints_are_summed_over_the_corrupted_conditions():
    losses = pd.DataFrame(
        [
            ("clean", "nose", 10, 9),
            ("dark", "nose", 10, 5),
            ("noise", "nose", 10, 10),
            ("dark", "left_hip", 4, 1),
        ],
        columns=["condition", "value", "persons", "lost"],
    ).assign(group="joint")
    values = joints_on_body(losses).set_index("keypoint")["value"]
    assert values["nose"] == pytest.approx(0.75) and values["left_hip"] == pytest.approx(0.25)
