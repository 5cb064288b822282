"""TensorRT-RTX engines, which are built without a GPU, and why one cannot be had."""

import importlib
from dataclasses import replace

import pytest

from pose_utils.errors import InputError, Unavailable
from pose_utils.zoo import engines
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.engines import build_engine, engine_path, float_types
from pose_utils.zoo.quantize import fp16_onnx
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


def test_weights_that_fell_out_of_fp16_would_show(tiny):
    assert set(float_types(tiny.path)) == {"FLOAT"}
    assert set(float_types(fp16_onnx(tiny.path, tiny.digest))) == {"FLOAT16"}
