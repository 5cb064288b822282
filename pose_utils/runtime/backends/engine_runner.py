"""Batches through a TensorRT engine: fixed buffers and one recorded launch for each bucket of batch sizes.

What a frame would otherwise pay every time is paid once a bucket: allocating, page-locking, setting shapes
and addresses, and launching hundreds of kernels one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from pose_utils.atomic import write_atomic

if TYPE_CHECKING:
    import torch


class GpuStream:
    """A CUDA stream of PyTorch; `EngineRunner` asks nothing else of a device."""

    device, pinned = "cuda", True

    def __init__(self) -> None:
        """Makes the stream; needs a GPU."""
        import torch

        self._cuda = torch.cuda
        self._stream = torch.cuda.Stream()
        self.handle: int = self._stream.cuda_stream

    def run(self, work: Callable[[], None]) -> None:
        """Puts `work` on the stream and waits until it is done."""
        with self._cuda.stream(self._stream):
            work()
        self._stream.synchronize()

    def recorded(self, work: Callable[[], None]) -> Callable[[], None]:
        """Returns what replays `work` as one CUDA graph, or `work` itself where it cannot be recorded."""
        graph = self._cuda.CUDAGraph()
        try:
            with self._cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError:
            return work
        return graph.replay


class EngineRunner:
    """Runs batches of any size; larger ones than the engine takes run in several pieces."""

    def __init__(
        self,
        open_context: Callable[[], Any],
        input_name: str,
        output_names: Sequence[str],
        largest: int,
        stream: GpuStream,
        records: bool = True,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        """Allocates nothing yet: a bucket's buffers are made when its first batch comes.

        Args:
            open_context: Makes an execution context. Every bucket has its own, for a recorded launch is of
                the very context, shapes and addresses that it was recorded with.
            input_name: The engine's input.
            output_names: Its outputs, in the order in which they are returned.
            largest: Largest batch of the engine's optimisation profile.
            stream: What it runs on.
            records: Record launches as CUDA graphs; False where the library does so by itself.
            keep: Called after a bucket is made, whose kernels are compiled by then.
        """
        self._open_context = open_context
        self._input, self._outputs = input_name, tuple(output_names)
        self._largest, self._stream, self._records = largest, stream, records
        self._keep = keep
        self._buckets: dict[int, _Bucket] = {}

    @property
    def buckets(self) -> tuple[int, ...]:
        """Batch sizes that have run."""
        return tuple(self._buckets)

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Returns the outputs of float32 inputs (n, 3, h, w), owned by the caller."""
        starts = range(0, len(inputs), self._largest)
        pieces = [self._run_piece(inputs[start : start + self._largest]) for start in starts]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def _run_piece(self, inputs: np.ndarray) -> list[np.ndarray]:
        size = bucket_of(len(inputs), self._largest)
        if size not in self._buckets:
            shape = (size, *inputs.shape[1:])
            self._buckets[size] = _Bucket(
                self._open_context(), self._input, self._outputs, shape, self._stream, self._records
            )
            self._keep()
        return self._buckets[size].run(inputs)


def bucket_of(count: int, largest: int) -> int:
    """Returns the batch size that `count` runs at: the next power of two, `largest` at most."""
    return min(1 << (count - 1).bit_length(), largest)


class _Bucket:
    """One batch size: page-locked buffers on the host, fixed ones on the GPU, and how they are run."""

    def __init__(
        self,
        context: Any,
        input_name: str,
        output_names: tuple[str, ...],
        shape: tuple[int, ...],
        stream: GpuStream,
        records: bool,
    ) -> None:
        import torch

        self._context, self._stream = context, stream
        # Zeros: rows beyond the batch are computed as well, and must not be what memory happened to hold.
        self._given = torch.zeros(shape, pin_memory=stream.pinned)
        self._pixels = torch.zeros(shape, device=stream.device)
        context.set_input_shape(input_name, shape)
        context.set_tensor_address(input_name, self._pixels.data_ptr())
        self._made: list[torch.Tensor] = []
        for name in output_names:
            made = torch.empty(tuple(context.get_tensor_shape(name)), device=stream.device)
            context.set_tensor_address(name, made.data_ptr())
            self._made.append(made)
        self._answers = [torch.empty(made.shape, pin_memory=stream.pinned) for made in self._made]
        stream.run(self._once)  # Not recorded: the library may still allocate.
        self._launch = stream.recorded(self._once) if records else self._once

    def _once(self) -> None:
        self._pixels.copy_(self._given, non_blocking=True)
        self._context.execute_async_v3(self._stream.handle)
        for answer, made in zip(self._answers, self._made, strict=True):
            answer.copy_(made, non_blocking=True)

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        self._given.numpy()[: len(inputs)] = inputs
        self._stream.run(self._launch)
        return [answer.numpy()[: len(inputs)].copy() for answer in self._answers]


def records_itself(trt: ModuleType) -> bool:
    """Says whether the library records CUDA graphs by itself, as TensorRT-RTX does."""
    return hasattr(trt, "CudaGraphStrategy")


def context_maker(
    trt: ModuleType, engine: Any, path: Path, gpu: str
) -> tuple[Callable[[], Any], Callable[[], None]]:
    """Returns what makes execution contexts, and what keeps the kernels that were compiled for them.

    TensorRT-RTX compiles kernels for this GPU and these shapes when they are first run; they are kept beside
    the engine for the next process. TensorRT has compiled them before and keeps nothing.

    Args:
        trt: The library.
        engine: Its deserialised engine.
        path: The engine's file, whose name says model, precision, profile and version.
        gpu: Name of the GPU.
    """
    if not records_itself(trt):
        return engine.create_execution_context, lambda: None
    kept = path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9_.-]', '-', gpu)}.kernels")
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    # Not lazily: the first calls would run other kernels than the later ones.
    config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    cache = config.create_runtime_cache()
    if kept.is_file():
        cache.deserialize(kept.read_bytes())
    config.set_runtime_cache(cache)

    def keep() -> None:
        write_atomic(kept, lambda draft: draft.write_bytes(bytes(cache.serialize())))

    return lambda: engine.create_execution_context(config), keep
