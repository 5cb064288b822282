"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pose_utils.errors import InputError

_THIS_MACHINE = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:20] or "machine"
_TEMPORARY = re.compile(r"\..*\.([A-Za-z0-9]+)-(\d+)-[0-9a-f]{8}\.temporary(\.\w+)?")


def write_atomic(path: Path, write: Callable[[Path], Any]) -> Path:
    """Lets `write` fill a temporary file beside `path` and renames it into place.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    # In the name: whose it is, so that what a killed run left behind can be told from a live one's.
    owner = f"{_THIS_MACHINE}-{os.getpid()}-{os.urandom(4).hex()}"
    temporary = path.with_name(f".{path.stem[:60]}.{owner}.temporary{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def remove_leftovers(folder: Path) -> None:
    """Deletes temporary files of processes of this machine that were killed while they wrote."""
    for path in folder.rglob(".*.temporary*"):
        owner = _TEMPORARY.fullmatch(path.name)
        if owner and owner[1] == _THIS_MACHINE and not _is_alive(int(owner[2])):
            with suppress(OSError):  # a folder that can only be read is still good for reading
                path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
