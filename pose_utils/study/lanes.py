"""Pipelines that run side by side, one a core, and pictures dealt out to them.

Two networks on one thread each get more pictures through than one network on two threads: no layer waits for
its slowest thread, and what runs outside the networks (decoding, corrupting, cropping) overlaps as well.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

from pose_utils.cores import available_cores
from pose_utils.runtime.opening import side_by_side

MOST = 16
"""Pipelines at most: each holds its own copy of the weights."""

Pipeline = TypeVar("Pipeline")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """Some copies of one pipeline, and threads that work with whichever is free.

    Every copy computes on one thread whatever the number of cores, so that FP32 rounds alike on all of them
    and a run that is taken up again ends with the same figures. Where a pipeline cannot be copied (it holds a
    GPU, or PyTorch's threads, which belong to the whole process) there is one lane, and the threads prepare
    pictures beside it.
    """

    def __init__(self, pipeline: Pipeline, workers: int | None = None) -> None:
        """Opens the copies.

        Args:
            pipeline: A `runtime.pipeline.PosePipeline`; anything else is its own only lane.
            workers: Threads; None for as many as the pipeline computes with, by default one a core.
        """
        threads = [used.threads for used in getattr(pipeline, "backends", ())]
        self.workers = min(workers or max(threads, default=available_cores()), MOST)
        pipelines = side_by_side(pipeline, self.workers)
        self.count = len(pipelines)
        self._free: queue.SimpleQueue = queue.SimpleQueue()
        for each in pipelines:
            self._free.put(each)

    @contextmanager
    def free(self) -> Iterator[Pipeline]:
        """Lends a pipeline that nobody else uses meanwhile; waits for one."""
        pipeline = self._free.get()
        try:
            yield pipeline
        finally:
            self._free.put(pipeline)

    def deal(
        self, work: Callable[[Item], Result], items: Sequence[Item], done: Callable[[], object]
    ) -> list[Result]:
        """Calls `work` for every item on the threads, and returns the results in the order of the items.

        Pictures live in `work` alone, so no more of them are held than there are threads. The first error (or
        Ctrl-C) ends it: what has begun is waited for, what has not is dropped.

        Args:
            work: Called on a thread of the pool.
            items: What it is called with.
            done: Called on this thread after each.
        """
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="lane")
        try:
            futures = [pool.submit(work, item) for item in items]
            for future in as_completed(futures):
                future.result()
                done()
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
