"""Which layers stay FP32: told from the files themselves, and why not where they do not say."""

import pandas as pd
import pytest

from pose_utils.errors import AssetError
from pose_utils.study import layers
from pose_utils.study.layers import study_layers
from pose_utils.study.plan import LEFT_OUT
from pose_utils.study.records import RunFolder
from pose_utils.zoo.quantize import fp16_onnx
from pose_utils.zoo.specs import SPECS


@pytest.fixture
def run(tmp_path):
    info = {"models": "movenet-multipose", "rtm_models": "rtmdet-nano+rtmpose-t"}
    return RunFolder.create(info, tmp_path / "run")


@pytest.fixture
def trained(monkeypatch):
    """Random weights that call themselves trained, and an FP16 file whose layers were looked at."""
    from dataclasses import replace

    import numpy as np

    real = layers.find_artifact
    monkeypatch.setattr(
        layers, "find_artifact", lambda spec, kind: replace(real(spec, kind, "random"), weights="trained")
    )
    sample = np.zeros((1, 3, 256, 192), "float32")
    monkeypatch.setattr(
        layers, "onnx_variant", lambda artifact, precision: fp16_onnx(artifact.path, "0" * 64, [sample])
    )


def test_every_layer_has_its_signal_and_its_place_in_the_network(trained):
    table = pd.DataFrame(layers._rows(SPECS["rtmpose-t"], "fp16", ""))
    assert set(table["status"]) == {"ok"} and set(table["stays"]) <= {"yes", "no"}
    assert sorted(table["place"]) == list(range(1, len(table) + 1))
    first = table.loc[table["place"].idxmin()]
    assert (first["kind"], first["weights"]) == ("Conv", "trained") and "stem" in first["layer"]


def test_random_weights_and_one_stage_models_say_why_they_have_none(run, monkeypatch):
    monkeypatch.setenv("POSE_OFFLINE", "1")
    monkeypatch.delenv("POSE_ASSETS_DIR", raising=False)
    table = study_layers(run, "quick").set_index(["model", "precision"])
    assert set(table["status"]) == {"skipped"} and len(table) == 6
    assert "random weights" in table.loc[("rtmpose-t", "int8"), "reason"]
    assert table.loc[("movenet-multipose", "fp16"), "reason"]


def test_the_smoke_profile_leaves_them_out(run):
    assert set(study_layers(run, "smoke")["reason"]) == {LEFT_OUT}


def test_missing_calibration_pictures_are_a_reason(trained, monkeypatch):
    def refuse(artifact, precision):
        raise AssetError("no picture to calibrate on\nand more")

    monkeypatch.setattr(layers, "onnx_variant", refuse)
    (row,) = layers._rows(SPECS["rtmpose-t"], "int8", "")
    assert (row["status"], row["reason"]) == ("skipped", "no picture to calibrate on")
