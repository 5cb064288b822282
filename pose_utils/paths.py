"""Every folder of the project, from one file; nothing else joins paths to the repository root."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from pose_utils.errors import AssetError

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
DATA = ROOT / "data"
REPORTS = ROOT / "reports"
RUNS = REPORTS / "runs"
LATEST = REPORTS / "latest"
REFERENCE = REPORTS / "reference"


def cache_dir() -> Path:
    """Returns the folder for downloads, exports and engines (`POSE_CACHE_DIR` overrides it)."""
    chosen = os.environ.get("POSE_CACHE_DIR")
    return Path(chosen).expanduser().resolve() if chosen else platformdirs.user_cache_path("pose_utils")


def assets_dir() -> Path | None:
    """Returns the folder named by `POSE_ASSETS_DIR`, or None where it is not set.

    A relative value is looked up from the working directory and then from the project root,
    because Jupyter runs notebooks in their own folder and papermill in the caller's.

    Raises:
        AssetError: The variable names a folder that does not exist.
    """
    chosen = os.environ.get("POSE_ASSETS_DIR")
    if not chosen:
        return None
    for candidate in (Path(chosen).expanduser(), ROOT / chosen):
        if candidate.is_dir():
            return candidate.resolve()
    raise AssetError(f"POSE_ASSETS_DIR is {chosen!r}, which is no folder; correct it or unset it.")
