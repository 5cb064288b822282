"""Model files that reach outside, are cut, or were built for another machine."""

import types

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pose_utils.errors import InputError, Unavailable
from pose_utils.runtime.backends import tensorrt
from pose_utils.zoo import export
from pose_utils.zoo.artifacts import Artifact, from_file
from pose_utils.zoo.external import check_external_data
from pose_utils.zoo.specs import SPECS


def model(folder, location, deep=False):
    """A model that adds four weights, which it keeps in the file `location`."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    value = helper.make_tensor_value_info
    if deep:
        constant = helper.make_node("Constant", [], ["w"], value=tensor)
        inner = helper.make_graph([constant], "inner", [], [value("w", 1, [4])])
        nodes = [helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner)]
        inputs = [value("input", 1, [1, 3, 8, 8]), value("yes", TensorProto.BOOL, [])]
        graph = helper.make_graph(nodes, "g", inputs, [value("out", 1, [4])])
    else:
        nodes = [helper.make_node("Add", ["input", "w"], ["out"])]
        graph = helper.make_graph(
            nodes, "g", [value("input", 1, [1, 3, 8, 4])], [value("out", 1, [1, 3, 8, 4])], [tensor]
        )
    path = folder / "model" / "m.onnx"
    path.parent.mkdir(exist_ok=True)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.bin"
    path.write_bytes(np.arange(4, dtype="float32").tobytes())
    return path


@pytest.mark.parametrize("deep", [False, True], ids=["weight", "inside a branch"])
@pytest.mark.parametrize("way", ["../secret.bin", "absolute", "link", "x/../../secret.bin", "a\0b", ""])
def test_weights_outside_the_folder_are_refused(tmp_path, secret, way, deep):
    location = str(secret) if way == "absolute" else way
    path = model(tmp_path, location, deep)
    if way == "link":
        (path.parent / "link").symlink_to(secret)
    with pytest.raises(InputError, match="outside its own folder"):
        from_file(path, "simcc", SPECS["rtmpose-t"])


def test_weights_beside_the_file_are_fine_and_missing_ones_are_named(tmp_path, secret):
    path = model(tmp_path, "w.bin")
    with pytest.raises(InputError, match=r"'w\.bin', which is not there"):
        check_external_data(path)
    (path.parent / "w.bin").write_bytes(secret.read_bytes())
    assert from_file(path, "simcc", SPECS["rtmpose-t"]).path == path


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_an_export_that_was_cut_in_the_cache_is_made_again(tmp_path, monkeypatch, share):
    monkeypatch.setenv("POSE_CACHE_DIR", str(tmp_path))
    made = []

    def export_small(spec, checkpoint, target, digest, any_size):
        made.append(digest)
        whole = onnx.load(model(tmp_path, "w.bin"), load_external_data=False)
        helper.set_model_props(whole, {export.METADATA_KEY: f'{{"weights_digest": "{digest}"}}'})
        target.write_bytes(whole.SerializeToString())
        return target

    monkeypatch.setattr(export, "export_onnx", export_small)
    path = export.cached_onnx(SPECS["rtmpose-t"], None, "random-0")
    assert export.cached_onnx(SPECS["rtmpose-t"], None, "random-0") == path and len(made) == 1
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    export.cached_onnx(SPECS["rtmpose-t"], None, "random-0")
    assert len(made) == 2
    assert export.read_metadata(path) == {"weights_digest": "random-0"}


def test_an_engine_of_another_gpu_or_version_is_refused_with_what_to_do(tmp_path, monkeypatch):
    engine = tmp_path / "rtmpose-t.engine"
    engine.write_bytes(b"built elsewhere")
    runtime = types.SimpleNamespace(deserialize_cuda_engine=lambda content: None)
    library = types.SimpleNamespace(
        __name__="tensorrt",
        __version__="10",
        Logger=types.SimpleNamespace(ERROR=1),
        Runtime=lambda logger: runtime,
    )
    library.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(tensorrt.TensorRTBackend, "_target", lambda self: "SM86")
    monkeypatch.setattr(tensorrt, "load_library", lambda flavour: library)
    monkeypatch.setattr(tensorrt, "onnx_variant", lambda artifact, precision, symmetric: artifact.path)
    monkeypatch.setattr(tensorrt, "build_engine", lambda *arguments: types.SimpleNamespace(path=engine))
    artifact = Artifact(SPECS["rtmpose-t"], "onnx", "trained", "0" * 64, engine)
    with pytest.raises(
        Unavailable, match=r"rtmpose-t\.engine was built for another GPU or version; delete it"
    ):
        tensorrt.TensorRTBackend(artifact, "fp16", "cuda", None)
