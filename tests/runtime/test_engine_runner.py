"""The runner of TensorRT engines, on a CPU: its context reads and writes addresses as TensorRT's does."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from pose_utils.runtime.backends.engine_runner import EngineRunner, bucket_of, context_maker

LARGEST = 16


class CpuStream:
    """What `GpuStream` is, on the host; `recorded` counts."""

    device, pinned, handle = "cpu", False, 77

    def __init__(self):
        self.records = self.replays = 0

    def run(self, work):
        work()

    def recorded(self, work):
        self.records += 1

        def replay():
            self.replays += 1
            work()

        return replay


class Context:
    """Gives the sum and the maximum of each input, through the addresses it was told."""

    def __init__(self):
        self.addresses, self.shape, self.calls = {}, None, 0

    def set_input_shape(self, name, shape):
        assert name == "input" and self.shape is None, "shapes of a recorded context must not change"
        self.shape = shape

    def set_tensor_address(self, name, address):
        assert name not in self.addresses, "addresses of a recorded context must not change"
        self.addresses[name] = address

    def get_tensor_shape(self, name):
        return (self.shape[0], 1) if name == "sum" else (self.shape[0], 1, 1)

    def _at(self, name, shape):
        values = (ctypes.c_float * int(np.prod(shape))).from_address(self.addresses[name])
        return np.ctypeslib.as_array(values).reshape(shape)

    def execute_async_v3(self, handle):
        assert handle == CpuStream.handle
        self.calls += 1
        pixels = self._at("input", self.shape).reshape(len(self._at("input", self.shape)), -1)
        self._at("sum", (self.shape[0], 1))[:] = pixels.sum(axis=1, keepdims=True)
        self._at("max", (self.shape[0], 1, 1))[:] = pixels.max(axis=1)[:, None, None]


@pytest.fixture
def made():
    """A runner with its stream and the contexts it opened."""
    stream, contexts = CpuStream(), []

    def open_context():
        contexts.append(Context())
        return contexts[-1]

    return SimpleNamespace(
        runner=EngineRunner(open_context, "input", ["sum", "max"], LARGEST, stream),
        stream=stream,
        contexts=contexts,
    )


def batch(count, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 4, 5)).astype("float32")


@pytest.mark.parametrize(("count", "bucket"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 16), (16, 16)])
def test_a_batch_runs_at_the_next_power_of_two(made, count, bucket):
    assert bucket_of(count, LARGEST) == bucket
    made.runner.run(batch(count))
    assert made.contexts[0].shape == (bucket, 3, 4, 5) and made.runner.buckets == (bucket,)


def test_a_bucket_is_never_larger_than_the_profile():
    assert bucket_of(5, 6) == 6 and bucket_of(1, 1) == 1


@pytest.mark.parametrize("count", [1, 3, 16, 17, 40])
def test_every_row_gets_its_own_answer_and_none_is_added(made, count):
    pixels = batch(count)
    sums, maxima = made.runner.run(pixels)
    np.testing.assert_allclose(sums, pixels.sum(axis=(1, 2, 3))[:, None], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(maxima, pixels.max(axis=(1, 2, 3))[:, None, None])


def test_buffers_and_the_record_of_a_bucket_are_made_once(made):
    for seed, count in enumerate((3, 4, 3, 1, 2, 4)):
        made.runner.run(batch(count, seed))
    assert made.runner.buckets == (4, 1, 2) and len(made.contexts) == made.stream.records == 3
    assert made.stream.replays == 6
    assert [context.calls for context in made.contexts] == [5, 2, 2], "one call before it is recorded"


def test_answers_belong_to_the_caller(made):
    first, _ = made.runner.run(batch(2, 0))
    kept = first.copy()
    made.runner.run(batch(2, 1))
    np.testing.assert_array_equal(first, kept)


def test_rows_left_from_a_larger_batch_do_not_reach_a_smaller_one(made):
    made.runner.run(np.full((4, 3, 4, 5), np.nan, "float32"))
    sums, _ = made.runner.run(batch(3))
    assert sums.shape == (3, 1) and np.isfinite(sums).all()


def test_a_library_that_records_by_itself_is_not_recorded_again(made):
    made.runner = EngineRunner(Context, "input", ["sum", "max"], LARGEST, made.stream, records=False)
    assert made.runner.run(batch(2))[0].shape == (2, 1) and made.stream.records == 0


def test_kernels_are_kept_once_a_bucket(made):
    kept = []
    runner = EngineRunner(
        Context, "input", ["sum", "max"], LARGEST, made.stream, keep=lambda: kept.append(runner.buckets)
    )
    for count in (3, 4, 1, 3):
        runner.run(batch(count))
    assert kept == [(4,), (4, 1)]


class Cache:
    def __init__(self):
        self.content = b""

    def deserialize(self, content):
        self.content = content

    def serialize(self):
        return self.content + b"+"


class Engine:
    """Remembers the runtime configuration its contexts were made with."""

    def __init__(self):
        self.config = SimpleNamespace(
            create_runtime_cache=Cache, set_runtime_cache=lambda cache: setattr(self, "cache", cache)
        )
        self.made_with = []

    def create_runtime_config(self):
        return self.config

    def create_execution_context(self, *config):
        self.made_with.append(config)
        return Context()


def test_kernels_compiled_here_are_kept_beside_the_engine_for_the_next_process(tmp_path):
    rtx = pytest.importorskip("tensorrt_rtx")
    path = tmp_path / "rtmpose-t-abc-fp16-b1x4x16-SM86-1.7.engine"
    for kept in (b"+", b"++"):
        engine = Engine()
        open_context, keep = context_maker(rtx, engine, path, "NVIDIA A2 / 16 GB")
        open_context()
        assert engine.made_with == [(engine.config,)]
        assert engine.config.cuda_graph_strategy == rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        keep()
        (file,) = tmp_path.iterdir()
        assert file.name.startswith(path.stem) and "/" not in file.name and file.read_bytes() == kept


def test_plain_tensorrt_keeps_no_kernels(tmp_path):
    engine = Engine()
    open_context, keep = context_maker(SimpleNamespace(), engine, tmp_path / "a.engine", "T4")
    open_context()
    keep()
    assert engine.made_with == [()] and list(tmp_path.iterdir()) == []
