"""TensorRT-RTX engines, which are built without a GPU, and why one cannot be had."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

from pose_utils.errors import InputError, Unavailable
from pose_utils.zoo import engines
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.engines import OutOfPrecision, build_engine, check_half, engine_path, timing_cache_path
from pose_utils.zoo.quantize import int8_onnx
from pose_utils.zoo.specs import SPECS


@pytest.fixture(autouse=True)
def shared_exports(monkeypatch, own_cache, session_cache):
    monkeypatch.setenv("POSE_CACHE_DIR", str(session_cache))


@pytest.fixture
def tiny():
    return find_artifact(SPECS["rtmpose-t"], "onnx", "random")


@pytest.fixture
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has wheels for Linux x86-64 only")


def test_an_engine_is_built_without_a_gpu_and_once(rtx, tiny):
    first = build_engine(tiny, "fp16", "SM86")
    assert first.build_s > 0 and first.path.stat().st_size > 1e6
    assert (first.target, first.precision) == ("SM86", "fp16")
    again = build_engine(tiny, "fp16", "SM86")
    assert again.path == first.path and again.build_s == 0


def test_a_target_without_kernels_is_refused_with_the_librarys_reason(rtx, tiny):
    with pytest.raises(Unavailable, match=r"no engine of rtmpose-t for SM75: .*\w{5}") as caught:
        build_engine(tiny, "fp32", "SM75")
    assert "no reason given" not in str(caught.value)
    assert not engine_path(tiny, "fp32", "SM75", "tensorrt_rtx", rtx.__version__).exists()


def test_a_target_that_does_not_exist_is_refused(rtx, tiny):
    with pytest.raises(Unavailable, match=r"cannot build for SM90; it can for SM75, SM80"):
        build_engine(tiny, "fp16", "SM90")


def test_a_file_that_cannot_be_parsed_is_refused(rtx, tiny, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x07 no graph")
    with pytest.raises(Unavailable, match=r"cannot parse broken\.onnx"):
        build_engine(replace(tiny, path=path, digest="f" * 64), "fp32", "SM86")


def test_engines_are_built_from_onnx_only(rtx):
    module = find_artifact(SPECS["rtmpose-t"], "torch", "random")
    with pytest.raises(InputError, match="engines are built from ONNX"):
        build_engine(module, "fp16", "SM86")


@pytest.mark.parametrize(
    ("flavour", "package"), [("tensorrt", "make setup GPU=1"), ("tensorrt_rtx", "tensorrt_rtx_cu13")]
)
def test_a_missing_library_says_how_to_get_it(monkeypatch, tiny, flavour, package):
    def absent(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(engines.importlib, "import_module", absent)
    with pytest.raises(Unavailable, match=package):
        build_engine(tiny, "fp16", "SM86", flavour)


def test_every_target_exists_in_the_library(rtx):
    assert set(engines.TARGETS) <= set(dir(importlib.import_module("tensorrt_rtx").ComputeCapability))


def test_whatever_could_make_an_engine_stale_is_in_its_name(tiny, tmp_path):
    exported_anew = tmp_path / tiny.path.name
    exported_anew.write_bytes(tiny.path.read_bytes() + b"\0")
    names = {
        engine_path(artifact, precision, target, flavour, version)
        for artifact in (tiny, replace(tiny, path=exported_anew), replace(tiny, spec=SPECS["rtmdet-nano"]))
        for precision in ("fp16", "fp32")
        for target in ("SM86", "NVIDIA GeForce RTX 4090")
        for flavour in ("tensorrt", "tensorrt_rtx")
        for version in ("1.7", "1.8")
    }
    assert len(names) == 3 * 2**4
    assert not any(" " in path.name or "/" in path.name for path in names)


def test_an_fp16_engine_says_that_every_layer_computes_in_fp16(rtx, tiny):
    for engine in (
        build_engine(tiny, "fp16", "SM86"),
        build_engine(tiny, "fp16", "SM86"),
    ):  # anew or from the cache
        assert set(engine.layers) == {"HALF"} and engine.layers["HALF"] > 40
    assert set(build_engine(tiny, "fp32", "SM86").layers) == {"FLOAT"}


def test_a_graph_that_fell_out_of_fp16_is_refused(rtx, tiny):
    """The FP32 file under the name of FP16: what a converter that gave up would hand over."""
    with pytest.raises(
        OutOfPrecision, match=r"rtmpose-t: \d+ of \d+ layers fell out of FP16: /backbone.* and others"
    ):
        build_engine(tiny, "fp16", "SM86", source=tiny.path)


def test_layers_that_a_file_keeps_wide_are_no_fault():
    check_half({"a": "HALF", "b": "FLOAT"}, {"b"}, "m")
    with pytest.raises(OutOfPrecision, match="1 of 2 layers"):
        check_half({"a": "HALF", "b": "FLOAT"}, {"a"}, "m")
    with pytest.raises(OutOfPrecision):
        check_half({}, set(), "m")


def test_an_int8_engine_is_built_from_the_file_without_zero_points(rtx, tiny):
    samples = [np.random.default_rng(i).normal(0, 1, (1, 3, 256, 192)).astype("float32") for i in range(2)]
    source = int8_onnx(tiny.path, tiny.digest, samples, trained=False, symmetric=True)
    engine = build_engine(tiny, "int8", "SM86", source=source)
    assert engine.path.stat().st_size > 1e6 and "int8" in engine.path.name
    with pytest.raises(InputError, match="quantised file"):
        build_engine(tiny, "int8", "SM86")


def test_kernel_times_are_kept_for_one_version_and_one_gpu(rtx):
    class Library:
        __name__, __version__ = "tensorrt", "10.1"

    paths = {
        timing_cache_path(Library, "SM86"),
        timing_cache_path(Library, "NVIDIA T4"),
        timing_cache_path(rtx, "SM86"),
    }
    assert len(paths) == 3 and not any(" " in path.name for path in paths)
