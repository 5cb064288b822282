"""From a name in `assets.toml` to a verified local file.

The order is POSE_ASSETS_DIR, the cache, an installed package, then each source in turn. A file appears in
the cache under its name only when it is complete and verified. Nothing happens at import.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from pose_utils import paths
from pose_utils.errors import AssetError
from pose_utils.zoo.hosts import HostWatch
from pose_utils.zoo.manifest import Asset, WrongFile, check_file, digest, get_asset, manifest
from pose_utils.zoo.sources import SourceFailed, installed_file, needs_network, obtain

__all__ = [
    "AssetError", "available", "fetch", "forget_silent_hosts", "is_offline", "locate", "manifest", "verify",
]  # fmt: skip

LOCK_SECONDS = 1800
"""Longest wait for another process that fetches the same file."""

log = logging.getLogger(__name__)


def is_offline() -> bool:
    """Returns whether POSE_OFFLINE forbids every use of the network."""
    return os.environ.get("POSE_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def cached_assets() -> Path:
    """Returns the folder of downloaded assets; it need not exist."""
    return paths.cache_dir() / "assets"


def locate(name: str) -> Path | None:
    """Returns the verified local file of asset `name`, or None where it would have to be downloaded.

    Raises:
        UsageError: There is no such asset.
        AssetError: A file is there but is not what it should be.
    """
    found = _locate(get_asset(name))
    return found[0] if found else None


def verify(name: str) -> str:
    """Returns how the local file of asset `name` was verified, such as "sha256"; errors as `locate`.

    Raises:
        AssetError: Also where there is no local file.
    """
    found = _locate(get_asset(name))
    if not found:
        raise AssetError(f"{name} is not on this machine; fetch it first.")
    return found[1]


def available(name: str) -> bool:
    """Returns whether asset `name` is on this machine, verified; a wrong file counts as absent."""
    try:
        return locate(name) is not None
    except AssetError:
        return False


def fetch(name: str, *, offline: bool | None = None) -> Path:
    """Returns the verified local file of asset `name`, downloading it where needed.

    Args:
        name: As in `assets.toml`, such as "rtmpose-m.pth".
        offline: True for no network; None asks POSE_OFFLINE.

    Raises:
        UsageError: There is no such asset.
        AssetError: It cannot be had; the message lists what was tried and how to go on without a network.
    """
    asset = get_asset(name)
    found = _locate(asset)
    if found:
        return found[0]
    if is_offline() if offline is None else offline:
        raise AssetError(_advice(asset, [], "it is not here, and no network is used (POSE_OFFLINE)"))
    online = [source for source in asset.sources if needs_network(source)]
    target = cached_assets() / asset.name
    working = cached_assets() / ".partial" / asset.name
    try:
        working.mkdir(parents=True, exist_ok=True)
        with FileLock(working.with_name(f"{asset.name}.lock"), timeout=LOCK_SECONDS):
            found = _locate(asset)  # Another process may have brought it while we waited.
            if found:
                return found[0]
            return _from_sources(asset, online, working, target)
    except Timeout:
        minutes = LOCK_SECONDS // 60
        raise AssetError(f"another process has been fetching {name} for {minutes} minutes.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            shutil.rmtree(working, ignore_errors=True)  # Give the space back; a half file helps nobody here.
        raise AssetError(
            f"{name} cannot be stored in {cached_assets()}: {error.strerror or error}. "
            "Set POSE_CACHE_DIR to a folder that can be written and has space."
        ) from error


def forget_silent_hosts() -> None:
    """Lets hosts be tried again that did not answer in the last ten minutes."""
    _watch(paths.cache_dir()).forget()


def _from_sources(asset: Asset, sources: list[str], working: Path, target: Path) -> Path:
    tried: list[tuple[str, str]] = []
    for source in sources:
        try:
            part, how = _obtain_checked(source, asset, working)
        except (SourceFailed, AssetError) as error:
            tried.append((source, str(error)))
            log.info("%s: %s: %s", asset.name, source, error)
            continue
        if how.startswith("not verified"):
            _note(target).write_text(digest(part) + "\n", encoding="utf-8")
            log.warning("%s was fetched from %s but %s", asset.name, source, how)
        os.replace(part, target)
        shutil.rmtree(working, ignore_errors=True)
        return target
    raise AssetError(_advice(asset, tried))


def _obtain_checked(source: str, asset: Asset, working: Path) -> tuple[Path, str]:
    """Returns the file behind `source` and how it was verified; a wrong one is deleted.

    Where a download went on from an earlier part, a wrong result may be that part's fault: once more, anew.
    """
    resumed = any(working.glob("*.part"))
    try:
        part = obtain(source, asset, working, _watch(paths.cache_dir()))
        try:
            return part, check_file(asset, part)
        except AssetError:
            part.unlink(missing_ok=True)  # Never resumed, never published.
            raise
    except (SourceFailed, AssetError):
        if not resumed or any(working.glob("*.part")):
            raise
        return _obtain_checked(source, asset, working)


def _locate(asset: Asset) -> tuple[Path, str] | None:
    own = paths.assets_dir()
    for relative in asset.local_names() if own else ():
        if (own / relative).is_file():
            return own / relative, check_file(asset, own / relative, own_file=True)
    cached = cached_assets() / asset.name
    if cached.is_file():
        return cached, _check_cached(asset, cached)
    for source in asset.sources:
        path = None if needs_network(source) else installed_file(source)
        if path:
            return path, check_file(asset, path)
    return None


def _check_cached(asset: Asset, cached: Path) -> str:
    try:
        how = check_file(asset, cached)
    except WrongFile as error:
        raise WrongFile(f"{error} Delete it to fetch it again.") from None
    noted = _note(cached).read_text(encoding="utf-8").strip() if _note(cached).is_file() else None
    if how.startswith("not verified") and noted and noted != digest(cached):
        raise WrongFile(f"{cached} has changed since it was fetched; delete it to fetch it again.")
    return how


def _note(path: Path) -> Path:
    """Returns where the digest of an unverified file is kept."""
    return path.with_name(f"{path.name}.sha256")


@cache
def _watch(cache_folder: Path) -> HostWatch:
    return HostWatch(cache_folder / "silent_hosts.json")


def _advice(asset: Asset, tried: list[tuple[str, str]], why: str = "") -> str:
    if not why:
        why = f"none of its {len(tried)} sources gave it" if tried else "no public address of it is known"
    lines = [f"{asset.name} cannot be had: {why}."]
    lines += [f"  {source}\n    {reason}" for source, reason in tried]
    own = paths.assets_dir()
    where = f"{own}" if own else "a folder that you name in POSE_ASSETS_DIR"
    address, _, member = next((each for each in asset.sources if each.startswith("http")), "").partition("!")
    what = f"{member} of {address}" if member else address
    fetch_it = f" (from a connected machine: {what})" if address else ""
    lines.append(f"To go on without a network, put it as {asset.local_names()[0]} into {where}{fetch_it}.")
    return "\n".join(lines)
