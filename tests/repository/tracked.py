"""What the repository tracks: the files that every hygiene test looks at."""

import functools
import subprocess
from pathlib import Path

import pytest

from pose_utils.paths import ROOT


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Returns the tracked files that exist, relative to the root; skips the test outside a git checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: nobody knows which files belong to the project")
    return tuple(Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def text_of(path: Path) -> str | None:
    """Returns a tracked file's text, or None for a binary one."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
