"""A file in the cache is made by one process at a time; who waits for another one says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

SILENT_SECONDS = 5.0
"""How long waiting goes without a word."""


@contextmanager
def making(target: Path) -> Iterator[None]:
    """Holds the lock of `target` while it is looked for and made; its folder is there afterwards.

    Another process may have made the file while this one waited: look for it inside. A process that was
    stopped, not ended, keeps its lock, which the message on stderr helps to see.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_suffix(".lock"))
    try:
        lock.acquire(timeout=SILENT_SECONDS)
    except Timeout:
        print(f"waiting for another process, which makes {target.name} ({lock.lock_file})", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
