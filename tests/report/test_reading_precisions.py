"""What is said of precisions follows from paired intervals, and names what did not run."""

import numpy as np
import pandas as pd

from pose_utils.report.reading_precisions import precision_sentence, precision_table


def rows(backend, precision, condition, change, extra, boxes="detected"):
    """`change` and `extra` as (value, low, high)."""
    figures = {"keypoint_ap": (0.5, 0.4, 0.6), "change": change, "extra_change": extra}
    return [{"backend": backend, "precision": precision, "status": "ok", "reason": "", "condition": condition,
             "severity": 0, "boxes": boxes, "metric": metric, "value": value[0], "low": value[1],
             "high": value[2], "n": 75} for metric, value in figures.items()]  # fmt: skip


ZERO, LESS, EVEN = (0.0, 0.0, 0.0), (-0.05, -0.08, -0.02), (-0.02, -0.05, 0.01)
OWN = rows("openvino", "fp32", "clean", ZERO, ZERO) + rows("openvino", "fp32", "low_light", ZERO, ZERO)
SKIPPED = {"backend": "openvino", "precision": "bf16", "status": "skipped", "reason": "no BF16 here",
           "condition": "", "severity": 0, "boxes": "", "metric": "", "value": np.nan, "low": np.nan,
           "high": np.nan, "n": 0}  # fmt: skip


def test_a_loss_that_clean_pictures_show_too_is_not_the_darkness():
    table = pd.DataFrame(
        OWN
        + rows("openvino", "int8", "clean", LESS, ZERO)
        + rows("openvino", "int8", "low_light", LESS, EVEN)
    )
    text = precision_sentence(table)
    assert text.startswith("Under none of these conditions (low light) is openvino int8 shown to lose more")
    assert "75 pictures" in text


def test_what_goes_beyond_the_clean_loss_is_named_with_its_interval_and_the_rest_with_its_reason():
    table = pd.DataFrame([*OWN, *rows("openvino", "int8", "low_light", LESS, LESS), SKIPPED])
    text = precision_sentence(table)
    assert "openvino int8 under low light (-0.050 (-0.080 to -0.020))" in text
    assert text.endswith("Not run: openvino bf16: no BF16 here.")


def test_a_model_of_one_precision_says_so():
    assert precision_sentence(pd.DataFrame([SKIPPED])).startswith("There is no other precision")


def test_the_table_has_detected_boxes_first_and_conditions_in_the_order_they_ran():
    table = pd.DataFrame([
        *OWN, *rows("openvino", "int8", "clean", LESS, ZERO),
        *rows("openvino", "int8", "low_light", LESS, EVEN),
        *rows("openvino", "int8", "clean", LESS, ZERO, boxes="truth"), SKIPPED,
    ])  # fmt: skip
    shown = precision_table(table)
    assert shown["boxes"].tolist() == ["detected"] * 4 + ["truth"]
    assert shown["condition"].tolist() == ["clean", "clean", "low light", "low light", "clean"]
    assert shown.loc[3, "beyond the change on clean"] == "-0.020 (-0.050 to +0.010)"
    assert precision_table(pd.DataFrame([SKIPPED])).empty
