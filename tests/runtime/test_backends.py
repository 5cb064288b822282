"""Every back end gives the same numbers, says what it runs on, and refuses instead of falling back."""

import numpy as np
import onnxruntime
import openvino
import pytest

from pose_utils.errors import Unavailable, UsageError
from pose_utils.runtime import backends
from pose_utils.runtime.backends import open_backend
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.specs import SPECS

PEERS = ("onnxruntime", "openvino")


def network_input(model, count):
    width, height = SPECS[model].input_size
    return np.random.default_rng(count).normal(0, 1, (count, 3, height, width)).astype("float32")


@pytest.fixture(scope="module")
def opened():
    """Returns a function that opens a model with random weights on a back end, once in this module."""
    known = {}

    def get(name, model):
        if (name, model) not in known:
            known[name, model] = open_backend(name, SPECS[model], weights="random")
        return known[name, model]

    return get


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize(
    ("model", "count"), [("rtmpose-t", 1), ("rtmpose-t", 3), ("rtmpose-t", 16), ("rtmdet-nano", 1)]
)
def test_the_numbers_are_those_of_pytorch(opened, name, model, count):
    inputs = network_input(model, count)
    expected = opened("torch", model).run(inputs)
    found = opened(name, model).run(inputs)
    assert opened(name, model).output_names == opened("torch", model).output_names
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == np.float32 and ours.shape == theirs.shape
        # A detector this deep with random weights magnifies rounding; a pose model does not.
        tolerance = 2e-4 if model == "rtmpose-t" else 3e-3
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("name", ("torch", *PEERS))
def test_outputs_belong_to_the_caller(opened, name):
    backend = opened(name, "rtmpose-t")
    first = backend.run(network_input("rtmpose-t", 1))
    kept = [output.copy() for output in first]
    backend.run(-network_input("rtmpose-t", 1))
    for output, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(output, copy)


@pytest.mark.parametrize("name", ("torch", *PEERS))
def test_the_input_is_left_as_it_was(opened, name):
    inputs = network_input("rtmpose-t", 2)
    copy = inputs.copy()
    opened(name, "rtmpose-t").run(inputs)
    np.testing.assert_array_equal(inputs, copy)


def test_what_it_runs_on_is_told(opened):
    assert opened("onnxruntime", "rtmpose-t").provider_used == "CPUExecutionProvider"
    assert "f32" in opened("openvino", "rtmpose-t").provider_used
    assert opened("torch", "rtmpose-t").provider_used.startswith("CPU, ")


def test_threads_are_passed_on(monkeypatch):
    asked = []
    real = onnxruntime.InferenceSession

    def session(path, options, providers):
        asked.append(options.intra_op_num_threads)
        return real(path, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    backend = open_backend("onnxruntime", SPECS["rtmpose-t"], threads=1, weights="random")
    assert asked == [1] and backend.threads == 1
    assert (
        "1 threads" in open_backend("openvino", SPECS["rtmpose-t"], threads=1, weights="random").provider_used
    )


def refusal(name, precision="fp32", device="cpu"):
    with pytest.raises(Unavailable) as caught:
        open_backend(name, SPECS["rtmpose-t"], precision, device, weights="random")
    return str(caught.value)


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "tensorrt", "tensorrt-rtx", "onnxruntime-tensorrt"])
def test_without_a_driver_cuda_is_refused_with_that_reason(monkeypatch, name):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for module in ("torch", "onnxruntime", "tensorrt"):
        monkeypatch.setattr(
            f"pose_utils.runtime.backends.{module}.nvidia_driver_missing",
            lambda: "no NVIDIA driver on this machine",
        )
    providers = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    assert refusal(name, device="cuda") == f"{name} fp32 on cuda: no NVIDIA driver on this machine"


@pytest.mark.parametrize(
    ("name", "precision", "device", "reason"),
    [
        ("onnxruntime", "fp16", "cpu", "would compute in FP32"),
        ("onnxruntime", "bf16", "cpu", "fp32, fp16, int8"),
        ("torch", "fp16", "cpu", "use bf16"),
        ("torch", "int8", "cpu", "fp32, bf16 and fp16"),
        ("openvino", "fp16", "cpu", "fp32, bf16 and int8"),
        ("openvino", "fp32", "cuda", "on CPUs"),
        ("tensorrt", "fp32", "cpu", "NVIDIA GPUs only"),
        ("tensorrt-rtx", "fp16", "cpu", "NVIDIA GPUs only"),
        ("onnxruntime-tensorrt", "fp32", "cpu", "no provider for device 'cpu'"),
        ("litert", "fp32", "cpu", "not to be had as tflite"),
    ],
)
def test_what_a_back_end_cannot_do_is_refused_with_the_reason(name, precision, device, reason):
    assert reason in refusal(name, precision, device)


def test_a_session_leaves_the_cores_to_the_next_network():
    session = open_backend("onnxruntime", SPECS["rtmpose-t"], weights="random")._session
    assert session.get_session_options().get_session_config_entry("session.force_spinning_stop") == "1"


class ProviderLost:
    """A session that comes up without the provider that was asked for."""

    def __init__(self, path, options, providers):
        self.asked = providers

    def disable_fallback(self):
        pass

    def get_providers(self):
        return ["CPUExecutionProvider"]


def test_a_session_that_comes_up_on_another_provider_is_refused(monkeypatch):
    monkeypatch.setattr("pose_utils.runtime.backends.onnxruntime.nvidia_driver_missing", lambda: "")
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", ProviderLost)
    assert "would have run on CPUExecutionProvider" in refusal("onnxruntime", device="cuda")


def test_a_build_without_the_provider_is_refused(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "has no CUDAExecutionProvider" in refusal("onnxruntime", device="cuda")


def test_bf16_is_refused_where_the_cpu_lacks_it(monkeypatch):
    class OldCpu:
        def get_property(self, device, name):
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "Core", OldCpu)
    assert "no BF16 instructions" in refusal("openvino", "bf16")


def test_another_precision_than_was_asked_for_is_refused(monkeypatch):
    class Compiled:
        def get_property(self, name):
            return openvino.Type.f32

    class Core:
        def get_property(self, device, name):
            return ["FP32", "BF16"]

        def read_model(self, path):
            return None

        def compile_model(self, *args):
            return Compiled()

    monkeypatch.setattr(openvino, "Core", Core)
    assert "chose f32 instead" in refusal("openvino", "bf16")


def test_bf16_runs_in_bf16_where_the_cpu_has_it(opened):
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no BF16 instructions")
    backend = open_backend("openvino", SPECS["rtmpose-t"], "bf16", weights="random")
    assert "bf16" in backend.provider_used
    inputs = network_input("rtmpose-t", 1)
    for ours, theirs in zip(backend.run(inputs), opened("torch", "rtmpose-t").run(inputs), strict=True):
        difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
        assert 1e-5 < difference < 0.3, "rounded to eight bits, and not otherwise wrong"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: open_backend("onxruntime", SPECS["rtmpose-t"]), "did you mean 'onnxruntime'"),
        (lambda: open_backend("zzz", SPECS["rtmpose-t"]), r"there is no back end 'zzz'\. Known: torch"),
        (lambda: open_backend("torch", SPECS["rtmpose-t"], "fp8"), "precision is 'fp8'"),
        (lambda: open_backend("torch", SPECS["rtmpose-t"], device="tpu"), "device is 'tpu'"),
        (lambda: open_backend("torch", SPECS["rtmpose-t"], weights="good"), "weights is 'good'"),
    ],
)
def test_names_that_do_not_exist_are_wrong_usage(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_library_that_is_not_installed_makes_the_back_end_unavailable(monkeypatch):
    def absent(name):
        raise ImportError("No module named 'openvino'")

    monkeypatch.setattr(backends.importlib, "import_module", absent)
    assert "not installed" in refusal("openvino")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "litert"])
def test_a_missing_library_is_no_traceback(monkeypatch, name, tmp_path):
    library = {"litert": "ai_edge_litert.interpreter"}.get(name, name)
    monkeypatch.setitem(__import__("sys").modules, library, None)
    from pose_utils.zoo.artifacts import Artifact

    spec = SPECS["movenet-multipose" if name == "litert" else "rtmpose-t"]
    artifact = Artifact(
        spec, "tflite" if name == "litert" else "onnx", "trained", "0" * 64, tmp_path / "none"
    )
    with pytest.raises(Unavailable):
        open_backend(name, artifact)


def test_a_file_of_another_format_is_refused():
    artifact = find_artifact(SPECS["rtmpose-t"], "onnx", "random")
    with pytest.raises(Unavailable, match="reads torch files"):
        open_backend("torch", artifact)


@pytest.mark.parametrize("name", PEERS)
def test_a_damaged_file_is_refused_and_not_a_traceback(name, tmp_path):
    from dataclasses import replace

    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x07 this is no graph")
    artifact = replace(find_artifact(SPECS["rtmpose-t"], "onnx", "random"), path=path)
    with pytest.raises(Unavailable):
        open_backend(name, artifact)


@pytest.mark.network
def test_movenet_runs_on_litert():
    backend = open_backend("litert", SPECS["movenet-multipose"])
    (rows,) = backend.run(np.zeros((1, 384, 384, 3), np.uint8))
    assert rows.shape == (1, 6, 56) and rows.dtype == np.float32
    assert "CPU" in backend.provider_used
    with pytest.raises(Unavailable, match="on CPUs"):
        open_backend("litert", SPECS["movenet-multipose"], device="cuda")
