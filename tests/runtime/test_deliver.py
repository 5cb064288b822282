"""Files that a user takes away: what the command writes runs on its own."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pose_utils import cli
from pose_utils.errors import UsageError
from pose_utils.runtime.fused import FusedPipeline, fused_file
from pose_utils.zoo.artifacts import from_file
from pose_utils.zoo.checkpoints import load_module, raw_network
from pose_utils.zoo.export import METADATA_KEY, self_describing
from pose_utils.zoo.fused import fused_metadata
from pose_utils.zoo.specs import SPECS

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


@pytest.mark.parametrize(("width", "height"), [(320, 320), (416, 224), (96, 640)])
def test_a_detector_of_any_size_equals_its_module_at_that_size(tmp_path, width, height):
    assert export(tmp_path, "--any-size") == 0
    session = onnxruntime.InferenceSession(
        tmp_path / "rtmdet-nano-fp32-any-size.onnx", providers=["CPUExecutionProvider"]
    )
    spec = SPECS["rtmdet-nano"]
    pixels = np.random.default_rng(width).normal(0, 1, (2, 3, height, width)).astype("float32")
    with torch.no_grad():
        expected = raw_network(load_module(spec, None), spec)(torch.from_numpy(pixels))
    for ours, theirs in zip(session.run(None, {"input": pixels}), expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs.numpy(), atol=3e-3 * theirs.abs().max().item())
    assert (tmp_path / "rtmpose-t-fp32.onnx").is_file()


@pytest.mark.parametrize("extra", [("--fused",), ("--precision", "int8")])
def test_any_size_is_refused_where_it_means_nothing(tmp_path, capsys, extra):
    assert export(tmp_path, "--any-size", *extra) == 64
    assert "--any-size" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("told", [{}, {METADATA_KEY: '{"precision": "int8"}'}])
def test_a_released_file_is_delivered_with_what_a_back_end_must_know(tmp_path, told):
    export(tmp_path)
    plain = tmp_path / "rtmpose-t-fp32.onnx"
    model = onnx.load(plain)
    onnx.helper.set_model_props(model, {"author": "somebody", **told})
    onnx.save(model, plain)
    plain.write_bytes(self_describing(plain, SPECS["rtmpose-t"], "a" * 64))
    found = from_file(plain).spec
    assert (found.codec, found.input_size, found.mean) == ("simcc", (192, 256), SPECS["rtmpose-t"].mean)
    held = {prop.key: prop.value for prop in onnx.load(plain).metadata_props}
    assert held["author"] == "somebody" and ("int8" in held[METADATA_KEY]) == bool(told)
