"""Files that a user takes away: what the command writes runs on its own."""

import numpy as np
import onnxruntime
import pytest

from pose_utils import cli
from pose_utils.errors import UsageError
from pose_utils.runtime.fused import FusedPipeline, fused_file
from pose_utils.zoo.fused import fused_metadata

MODELS = "rtmdet-nano+rtmpose-t"


def export(output, *extra):
    return cli.main(["export", "--models", MODELS, "--weights", "random", "--output", str(output), *extra])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_fused_file_is_written_where_it_was_asked_for(tmp_path, capsys, precision):
    target = tmp_path / "deep" / "people.onnx"
    assert export(target, "--fused", "--precision", precision) == 0
    assert str(target) in capsys.readouterr().out
    assert fused_metadata(target)["precision"] == precision
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    boxes, *_ = session.run(None, {"frame": np.full((1, 48, 64, 3), 90, "uint8")})
    assert boxes.shape[1] == 4


def test_a_folder_gets_a_file_that_names_models_and_precision(tmp_path):
    assert export(tmp_path, "--fused") == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{MODELS}-fused-fp32.onnx"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert export(tmp_path / "file" / "people.onnx", "--fused") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_fp16_halves_the_file(tmp_path):
    sizes = [fused_file(MODELS, precision, "random").stat().st_size for precision in ("fp32", "fp16")]
    assert sizes[1] < 0.6 * sizes[0]


def test_a_one_stage_model_cannot_be_fused():
    with pytest.raises(UsageError, match="DETECTOR"):
        fused_file("movenet-multipose")


def test_random_weights_are_admitted():
    assert FusedPipeline(fused_file(MODELS, weights="random")).weights == "random"
