"""What set-up needs to know: pins, names of wheel folders, the stamp, what the machine lacks.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements.txt"
OPENMMLAB = ROOT / "requirements" / "openmmlab.txt"
GPU = ROOT / "requirements" / "gpu.txt"
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"
STAMP = ".setup-stamp.json"
FREE_GB = 10


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def pins(*files: Path) -> dict[str, str]:
    """Reads `name==version` lines; a name that appears twice with different markers must have one version."""
    found: dict[str, str] = {}
    for file in files:
        for line in file.read_text().splitlines():
            match = re.match(r"([A-Za-z0-9._-]+)==([^\s;#]+)", line)
            if match:
                found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found


def wheel_key(package: str, torch: str, cuda: str | None, numpy: str, cuda_ops: bool = False) -> str:
    """Names the folder of a compiled wheel after everything that its binary depends on."""
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    system = re.sub(r"[^a-z0-9_]", "_", sysconfig.get_platform().lower())
    if package == "xtcocotools":
        return f"numpy{numpy}-{python}-{system}"
    toolkit = f"cu{cuda.replace('.', '')}" if cuda else "cpu"
    return f"torch{torch.split('+')[0]}-{python}-{toolkit}-{system}" + ("-cuda_ops" if cuda_ops else "")


def wheel_folder(key: str) -> Path:
    """Returns the cache folder of a key, beside the project's downloads (`POSE_CACHE_DIR` moves both)."""
    if os.environ.get("POSE_CACHE_DIR"):
        base = Path(os.environ["POSE_CACHE_DIR"]).expanduser()
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "pose_utils"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pose_utils"
    return base.resolve() / "wheels" / key


def find_wheel(folder: Path, package: str, version: str) -> Path | None:
    """Returns a whole wheel of that package and version for this Python, or None; a truncated one is none."""
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    for wheel in sorted(folder.glob(f"{package}-{version}-{python}-*.whl")):
        if zipfile.is_zipfile(wheel):
            return wheel
    return None


def is_kept(package: str, version: str) -> bool:
    """Tells whether a compiled wheel for this Python lies in the cache under any key."""
    return any(find_wheel(folder, package, version) for folder in wheel_folder("any").parent.glob("*"))


def digest(environment: Path, cuda_ops: bool = False) -> str:
    """Digests all that decides what an environment holds; equal digests mean nothing is left to do."""
    whole = hashlib.sha256(f"{ROOT}\n{environment}\n{sys.version_info[:2]}\n{cuda_ops}".encode())
    installer = [Path(__file__).with_name(name) for name in ("environment.py", "steps.py", "install.py")]
    for file in (REQUIREMENTS, OPENMMLAB, GPU, CONSTRAINTS, *installer):
        whole.update(file.read_bytes())
    return whole.hexdigest()


def read_stamp(environment: Path) -> dict:
    """Reads the stamp of a finished set-up; an absent or unreadable one is empty."""
    try:
        return json.loads((environment / STAMP).read_text())
    except (OSError, ValueError):
        return {}


def is_done(stamp: dict, wanted_digest: str, gpu: str) -> bool:
    """Tells whether the stamp is of this very set-up, and whether a GPU extra that was asked for is in it."""
    return stamp.get("digest") == wanted_digest and (gpu != "1" or stamp.get("gpu") == "installed")


def counted_objects(build: Path) -> tuple[int, int]:
    """Counts the compiled files of a ninja build and all it will compile (0, 0 before it starts)."""
    plans = list(build.glob("build/temp.*/build.ninja"))
    total = sum(len(re.findall(r"^build \S+\.o:", plan.read_text(), re.MULTILINE)) for plan in plans)
    return (sum(1 for plan in plans for _ in plan.parent.rglob("*.o")), total)


def unexpected(complaints: str) -> list[str]:
    """Returns what `pip check` says beyond chumpy, which mmpose asks for and nothing here uses."""
    lines = [line.strip() for line in complaints.splitlines()]
    return [line for line in lines if line and "chumpy" not in line and "No broken requirements" not in line]


# --- The machine


def loads(library: str) -> bool:
    """Tells whether the dynamic loader finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def lacking(compiles: bool) -> list[tuple[str, str, str]]:
    """Lists what the system lacks, as (what, Debian/Ubuntu package, Fedora package)."""
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    wants = [(not has_module("ensurepip"), "Python's venv module", f"{python}-venv", python)]
    if sys.platform == "linux":
        wants += [
            (not loads("libGL.so.1"), "libGL.so.1 (OpenCV)", "libgl1", "mesa-libGL"),
            (not loads("libgthread-2.0.so.0"), "glib (OpenCV)", "libglib2.0-0", "glib2"),
        ]
    if compiles:
        compiler = os.environ.get("CXX", "").split(" ")[0] or "c++"
        wants += [
            (not shutil.which(compiler), f"a C++ compiler ({compiler})", "g++", "gcc-c++"),
            (not headers.exists(), "Python's headers", f"{python}-dev", f"{python}-devel"),
        ]
    return [(what, debian, fedora) for absent, what, debian, fedora in wants if absent]


def has_module(name: str) -> bool:
    """Tells whether this Python can import a module, without importing it."""
    return importlib.util.find_spec(name) is not None


def check_machine(environment: Path, compiles: bool) -> None:
    """Raises SetupError where Python, a system library or the disk cannot carry the set-up."""
    absent = lacking(compiles)
    if absent:
        names = "\n".join(f"  - {what}" for what, _, _ in absent)
        raise SetupError(
            f"This system lacks:\n{names}\n"
            f"Debian, Ubuntu:  sudo apt-get install {' '.join(debian for _, debian, _ in absent)}\n"
            f"Fedora, RHEL:    sudo dnf install {' '.join(fedora for _, _, fedora in absent)}"
        )
    # torch alone is 5 GB, and pip unpacks what it downloads before it copies
    free = shutil.disk_usage(environment.parent).free / 1e9
    if free < FREE_GB and not list(environment.glob("lib/python*/site-packages/torch")):
        raise SetupError(
            f"{environment.parent} has {free:.1f} GB free; set-up wants {FREE_GB} (7 stay in use)."
        )


def answers(command: list[str]) -> bool:
    """Tells whether a command exists and succeeds within ten seconds."""
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder for one builder at a time, so that two clones don't compile into each other."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"      waiting for another set-up that works in {folder}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
