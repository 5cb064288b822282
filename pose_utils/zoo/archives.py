"""Single files out of archives: nothing is written but the one file that was asked for."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path

LARGEST_MEMBER = 2 * 1024**3
"""Bytes above which a member is refused (a zip bomb; the largest model here is 255 MB)."""


class BadArchive(Exception):
    """An archive that cannot be read, or does not hold what was asked for."""


def extract_member(archive: Path, member: str, target: Path, size: int | None = None) -> None:
    """Writes one member of a zip archive to `target`.

    The member's own path never becomes a path on the disk, so that names such as `../../x` harm nothing.

    Args:
        archive: A zip file (wheels are zip files).
        member: Its full name, or the last part of it where the folder in front is not known.
        target: The file to write.
        size: Expected bytes where known.

    Raises:
        BadArchive: No zip file, no such member or several, a link, or more bytes than expected.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            info = _find(opened, member)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise BadArchive(f"{member} in {archive.name} is a link")
            if info.file_size > (LARGEST_MEMBER if size is None else size):
                raise BadArchive(f"{member} in {archive.name} is too large ({info.file_size} bytes)")
            with opened.open(info) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise BadArchive(f"{archive.name} cannot be unpacked: {error}") from error


def _find(opened: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    files = [info for info in opened.infolist() if not info.is_dir()]
    exact = [info for info in files if info.filename == member]
    # OpenMMLab's archives keep end2end.onnx in a folder named by its date.
    found = exact or [info for info in files if info.filename.endswith(f"/{member}")]
    if len(found) != 1:
        names = ", ".join(info.filename for info in files[:5])
        raise BadArchive(f"{len(found)} members called {member!r}, one expected; it holds {names}")
    return found[0]
