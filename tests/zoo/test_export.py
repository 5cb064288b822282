"""Exports equal their PyTorch module, take any number of persons, describe themselves, are made once."""

import numpy as np
import onnx
import onnxruntime
import onnxslim
import pytest
import torch

from pose_utils.errors import InputError
from pose_utils.zoo import export
from pose_utils.zoo.checkpoints import load_module, output_names, raw_network
from pose_utils.zoo.export import cached_onnx, export_onnx, fixed_input_size, read_metadata
from pose_utils.zoo.quantize import fp16_onnx
from pose_utils.zoo.specs import SPECS

MODELS = ("rtmpose-t", "rtmdet-nano")


@pytest.fixture(autouse=True)
def shared_exports(monkeypatch, own_cache, session_cache):
    """Exports are costly: these tests share the cache of the session."""
    monkeypatch.setenv("POSE_CACHE_DIR", str(session_cache))


def exported(name):
    return cached_onnx(SPECS[name], None, "random-0")


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("name", MODELS)
def test_the_file_equals_the_module_at_every_batch_size(name, count):
    spec = SPECS[name]
    pixels = np.random.default_rng(count).normal(0, 1, (count, 3, *spec.input_size[::-1])).astype("float32")
    with torch.no_grad():
        expected = raw_network(load_module(spec, None), spec)(torch.from_numpy(pixels))
    found = session(exported(name)).run(None, {"input": pixels})
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        # A detector this deep with random weights magnifies rounding; a pose model does not.
        tolerance = 2e-4 if name == "rtmpose-t" else 3e-3
        np.testing.assert_allclose(ours, theirs.numpy(), atol=tolerance * theirs.abs().max().item())


@pytest.mark.parametrize("name", MODELS)
def test_the_batch_is_dynamic_and_the_rest_is_fixed(name):
    file, (width, height) = session(exported(name)), SPECS[name].input_size
    (entry,) = file.get_inputs()
    assert (entry.name, entry.type, entry.shape) == ("input", "tensor(float)", ["batch", 3, height, width])
    assert tuple(output.name for output in file.get_outputs()) == output_names(SPECS[name])
    assert all(output.shape[0] == "batch" for output in file.get_outputs())


@pytest.mark.parametrize("name", MODELS)
def test_a_file_says_what_it_needs(name):
    path, spec = exported(name), SPECS[name]
    told = read_metadata(path)
    assert (told["model"], told["codec"], told["channels"]) == (name, spec.codec, spec.channels)
    assert tuple(told["mean"]) == spec.mean and tuple(told["std"]) == spec.std
    assert tuple(told["input_size"]) == spec.input_size == fixed_input_size(path)
    assert told["weights_digest"] == "random-0"
    assert onnx.load(path).opset_import[0].version == told["opset"]


@pytest.mark.parametrize("name", MODELS)
def test_a_simplifier_finds_nothing_left_to_take_away(name):
    model = onnx.load(exported(name))
    assert len(onnxslim.slim(onnx.load(exported(name))).graph.node) == len(model.graph.node)
    assert not {node.op_type for node in model.graph.node} & {"Identity", "Constant", "Shape"}


def test_an_export_is_made_once(monkeypatch):
    path = exported("rtmpose-t")
    before = path.stat().st_mtime_ns
    monkeypatch.setattr(export, "export_onnx", lambda *arguments: pytest.fail("exported again"))
    assert exported("rtmpose-t") == path and path.stat().st_mtime_ns == before


def test_other_weights_are_another_file(monkeypatch):
    made = []
    monkeypatch.setattr(export, "export_onnx", lambda spec, checkpoint, target, *how: made.append(target))
    for digest in ("a" * 64, "b" * 64, "random-1"):
        cached_onnx(SPECS["rtmpose-t"], None, digest)
    assert len(set(made)) == 3


def test_a_failed_export_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("the exporter gave up")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(RuntimeError, match="gave up"):
        export_onnx(SPECS["rtmpose-t"], None, tmp_path / "a.onnx", "random-0")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_somebody_else_has_no_metadata(tmp_path):
    model = onnx.load(exported("rtmpose-t"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    assert read_metadata(tmp_path / "plain.onnx") is None


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07"])
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(InputError, match="is no ONNX model"):
        fixed_input_size(tmp_path / "a.onnx")


def test_dynamic_sides_are_no_fixed_input_size(tmp_path):
    model = onnx.load(exported("rtmpose-t"))
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
    onnx.save(model, tmp_path / "a.onnx")
    assert fixed_input_size(tmp_path / "a.onnx") is None


def test_the_fp16_variant_computes_in_fp16_and_talks_fp32():
    path = exported("rtmpose-t")
    half = fp16_onnx(path, "random-0")
    types = {entry.data_type for entry in onnx.load(half).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types and onnx.TensorProto.FLOAT not in types
    assert half.stat().st_size < 0.6 * path.stat().st_size
    pixels = np.random.default_rng(0).normal(0, 1, (2, 3, 256, 192)).astype("float32")
    ours, exact = (session(each).run(None, {"input": pixels}) for each in (half, path))
    for found, expected in zip(ours, exact, strict=True):
        assert found.dtype == np.float32
        difference = np.abs(found - expected).max() / np.abs(expected).max()
        assert 0 < difference < 0.05
    assert fp16_onnx(path, "random-0").stat().st_mtime_ns == half.stat().st_mtime_ns
