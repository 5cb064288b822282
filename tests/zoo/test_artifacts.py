"""Which file a back end gets: trained before random, here before far away, a user's own as it is."""

import hashlib

import onnx
import pytest
import torch

from pose_utils.errors import AssetError, InputError, Unavailable, UsageError
from pose_utils.zoo import artifacts
from pose_utils.zoo.artifacts import file_digest, find_artifact, from_file
from pose_utils.zoo.checkpoints import load_module
from pose_utils.zoo.specs import SPECS

TINY = SPECS["rtmpose-t"]


@pytest.fixture(autouse=True)
def shared_exports(monkeypatch, own_cache, session_cache):
    monkeypatch.setenv("POSE_CACHE_DIR", str(session_cache))


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """Puts files where `assets` would (name -> path); all else cannot be had. `asked` keeps the order."""
    files, asked = {}, []

    def fetch(name):
        asked.append(name)
        if name not in files:
            raise AssetError(f"{name} cannot be had")
        return files[name]

    monkeypatch.setattr(artifacts.assets, "fetch", fetch)
    monkeypatch.setattr(artifacts.assets, "locate", files.get)
    files_of = type("Weights", (), {"files": files, "asked": asked})
    return files_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "rtmpose-t.pth"
    torch.save({"state_dict": load_module(TINY, None, seed=9).state_dict()}, path)
    return path


def test_random_weights_are_marked_as_such(weights):
    plain = find_artifact(TINY, "torch", "random")
    assert (plain.weights, plain.digest, plain.path) == ("random", "random-0", None)
    assert plain.name == "rtmpose-t (random-0)" and plain.size_bytes != plain.size_bytes
    file = find_artifact(TINY, "onnx", "random")
    assert file.weights == "random" and file.digest == plain.digest and file.size_bytes > 1e6
    assert weights.asked == []


def test_auto_takes_random_weights_only_where_trained_ones_cannot_be_had(weights, checkpoint):
    assert find_artifact(TINY, "torch").weights == "random"
    weights.files["rtmpose-t.pth"] = checkpoint
    found = find_artifact(TINY, "torch")
    assert (found.weights, found.path) == ("trained", checkpoint)
    assert found.digest == hashlib.sha256(checkpoint.read_bytes()).hexdigest() == file_digest(checkpoint)


def test_trained_weights_are_never_replaced_by_random_ones(weights):
    with pytest.raises(AssetError, match=r"rtmpose-t\.pth cannot be had\nrtmpose-t\.onnx cannot be had"):
        find_artifact(TINY, "onnx", "trained")


def test_an_onnx_file_comes_from_the_pytorch_weights(weights, checkpoint):
    import numpy as np
    import onnxruntime

    weights.files["rtmpose-t.pth"] = checkpoint
    found = find_artifact(TINY, "onnx", "trained")
    assert found.digest == file_digest(checkpoint), "the digest is that of the weights"
    pixels = np.ones((1, 3, 256, 192), "float32")
    session = onnxruntime.InferenceSession(str(found.path), providers=["CPUExecutionProvider"])
    module = load_module(TINY, checkpoint)
    with torch.no_grad():
        expected = module.head(module.extract_feat(torch.from_numpy(pixels)))[0].numpy()
    np.testing.assert_allclose(session.run(None, {"input": pixels})[0], expected, atol=1e-4)


def test_a_file_that_is_here_goes_before_any_download(weights, tmp_path):
    released = tmp_path / "rtmpose-t.onnx"
    released.write_bytes(b"released")
    weights.files["rtmpose-t.onnx"] = released
    found = find_artifact(TINY, "onnx", "trained")
    assert found.path == released and weights.asked == ["rtmpose-t.onnx"]


def test_a_model_without_an_architecture_has_no_random_form(weights):
    with pytest.raises(Unavailable, match="no PyTorch architecture"):
        find_artifact(SPECS["pp-tinypose"], "onnx", "random")
    with pytest.raises(AssetError):
        find_artifact(SPECS["pp-tinypose"], "onnx", "auto")


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("movenet-multipose", "onnx"),
        ("movenet-multipose", "torch"),
        ("pp-tinypose", "torch"),
        ("rtmpose-t", "tflite"),
    ],
)
def test_a_format_that_a_model_does_not_have_is_unavailable(weights, name, format):
    with pytest.raises(Unavailable):
        find_artifact(SPECS[name], format, "trained")


def test_an_unknown_kind_of_weights_is_wrong_usage():
    with pytest.raises(UsageError, match="allowed: auto, trained, random"):
        find_artifact(TINY, "onnx", "best")


def test_a_users_own_file_is_taken_as_it_is(tmp_path, weights):
    path = tmp_path / "mine.onnx"
    model = onnx.load(find_artifact(TINY, "onnx", "random").path)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    shape[2].dim_value, shape[3].dim_value = 384, 288
    onnx.save(model, path)
    mine = from_file(path, "simcc", SPECS["rtmpose-m"])
    assert mine.path == path and mine.digest == file_digest(path)
    assert mine.spec.name == "mine" and mine.spec.input_size == (288, 384)
    assert mine.spec.mean == SPECS["rtmpose-m"].mean and mine.spec.config is None


def test_a_users_file_that_is_missing_or_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no file"):
        from_file(tmp_path / "a.onnx", "simcc", TINY)
    (tmp_path / "a.onnx").write_text("no model")
    with pytest.raises(InputError, match="no ONNX model"):
        from_file(tmp_path / "a.onnx", "simcc", TINY)
