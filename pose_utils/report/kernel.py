"""The kernel that notebooks run on: always the interpreter that runs this program, and stoppable."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import suppress
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.engines import NBClientEngine, papermill_engines
from papermill.execute import PapermillExecutionError

from pose_utils import paths

_GRACE_S = 10.0
"""Seconds an interrupted cell gets to close its files before its kernel is killed."""


class OwnInterpreterKernel(AsyncKernelManager):
    """Starts ipykernel with `sys.executable`, whatever a kernelspec of the user's home says.

    The project is importable in it from any working directory, installed or not.
    """

    running: OwnInterpreterKernel | None = None

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command line and environment of the kernel."""
        search = [str(paths.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=50"],
            display_name="Python 3",
            language="python",
            env={"PYTHONPATH": os.pathsep.join(search)},
        )

    async def _async_start_kernel(self, **options: Any) -> None:
        await super()._async_start_kernel(**options)
        type(self).running = self

    start_kernel = _async_start_kernel


class _CountingEngine(NBClientEngine):
    """papermill's own engine, which also says when a cell is done."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        on_cell = options.pop("on_cell")
        complete = nb_man.cell_complete

        def cell_complete(cell: Any, *arguments: Any, **keywords: Any) -> Any:
            if cell.cell_type == "code":
                on_cell()
            return complete(cell, *arguments, **keywords)

        nb_man.cell_complete = cell_complete
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register("pose_utils", _CountingEngine)


def execute(
    source: Path, target: Path, parameters: Mapping[str, Any], on_cell: Callable[[], None] = lambda: None
) -> None:
    """Runs `source` with `parameters` and writes the executed notebook to `target`, cell by cell.

    Raises:
        PapermillExecutionError: A cell failed; `target` holds everything up to it.
        KeyboardInterrupt: Ctrl-C; the running cell was interrupted and the kernel is gone.
    """
    logging.getLogger("papermill").setLevel(logging.ERROR)
    options = {"engine_name": "pose_utils", "kernel_name": "python3", "language": "python",
               "progress_bar": False, "log_output": False, "on_cell": on_cell,
               "kernel_manager_class": OwnInterpreterKernel}  # fmt: skip
    # nbclient takes SIGINT over in the main thread and then reports a dead kernel; in a worker it can't.
    with ThreadPoolExecutor(1, "notebook") as worker:
        task = worker.submit(
            papermill.execute_notebook, str(source), str(target), parameters=dict(parameters), **options
        )
        try:
            _wait(task, None)
        except KeyboardInterrupt:
            _stop(task)
            raise


def _wait(task: Future, limit_s: float | None) -> None:
    """Waits in short steps, because a wait without a limit would not notice Ctrl-C on every system."""
    end = None if limit_s is None else time.monotonic() + limit_s
    while True:
        try:
            task.result(timeout=0.2)
            return
        except StillRunning:
            if task.done():
                raise  # the notebook itself raised TimeoutError
            if end is not None and time.monotonic() > end:
                raise


def _stop(task: Future) -> None:
    for sign in (signal.SIGINT, signal.SIGKILL):
        kernel = OwnInterpreterKernel.running
        pid = getattr(getattr(kernel, "provisioner", None), "pid", None)
        if pid is not None and not task.done():
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        try:
            _wait(task, _GRACE_S)
            return
        except (StillRunning, KeyboardInterrupt):
            continue  # a second Ctrl-C ends the patience with the cell
        except Exception:
            return  # the interrupted cell's own error, or a dead kernel: both are what was asked for


__all__ = ["OwnInterpreterKernel", "PapermillExecutionError", "execute"]
