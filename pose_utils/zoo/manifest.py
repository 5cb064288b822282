"""What `assets.toml` says of every file, and whether a file is what it should be."""

from __future__ import annotations

import difflib
import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from urllib.parse import urlsplit

from pose_utils.errors import AssetError, UsageError

MANIFEST_FILE = Path(__file__).with_name("assets.toml")
TRUST_VARIABLE = "POSE_ASSETS_TRUST"
"""Set to 1, it accepts files in POSE_ASSETS_DIR whose digest is not listed (a user's own weights)."""

_SIGNATURES = {".pth": (b"PK\x03\x04", b"\x80"), ".onnx": (b"\x08",), ".zip": (b"PK\x03\x04",)}
"""First bytes of each kind, so that a login page is never taken for a model."""


class WrongFile(AssetError):
    """A file that is there, but is not what it should be."""


@dataclass(frozen=True)
class LocalFile:
    """A name looked for in POSE_ASSETS_DIR; `sha256` where its bytes differ from the published file's."""

    path: str
    sha256: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Asset:
    """One model or data file.

    Attributes:
        name: As `ModelSpec.assets` and the command line call it.
        description: One line for people.
        sources: Where it comes from, in order; forms as described at the top of `assets.toml`.
        sha256: Whole digests (64 hexadecimal digits) of accepted files.
        sha256_prefix: First digits of accepted digests, where no more is known.
        md5: Digest as published, or None.
        size: Bytes, or None where not known.
        licence, url: Licence, and paper or home page.
        trained_on: Data that the weights saw; empty for data files.
        published: Figures by what they measure, in percent.
        published_source: Where these figures stand.
        local: Names looked for in POSE_ASSETS_DIR.
        unverified_reason: Why a file that fits no digest is accepted over https, or None: then it is not.
    """

    name: str
    description: str
    sources: tuple[str, ...]
    licence: str
    url: str
    sha256: tuple[str, ...] = ()
    sha256_prefix: tuple[str, ...] = ()
    md5: str | None = None
    size: int | None = None
    trained_on: str = ""
    published: Mapping[str, float] = field(default_factory=dict)
    published_source: str = ""
    local: tuple[LocalFile, ...] = ()
    unverified_reason: str | None = None

    def local_names(self) -> tuple[str, ...]:
        """Returns the relative paths under which POSE_ASSETS_DIR may hold this asset."""
        files = [entry.path for entry in self.local]
        # A member of an archive is often called end2end.onnx, whatever the model: no name to go by.
        addresses = [each for each in self.sources if each.startswith("http") and "!" not in each]
        names = [self.name, *map(published_name, addresses)]
        suffix = PurePosixPath(self.name).suffix
        names = [name for name in dict.fromkeys(names) if PurePosixPath(name).suffix == suffix or not suffix]
        files += [f"{folder}{name}" for name in names for folder in ("", "models/")]
        return tuple(dict.fromkeys(files))


def published_name(source: str) -> str:
    """Returns the last part of an address."""
    return PurePosixPath(urlsplit(source).path).name


def _asset(name: str, entry: dict) -> Asset:
    lists = {key: tuple(entry.pop(key, ())) for key in ("sources", "sha256", "sha256_prefix")}
    local = tuple(LocalFile(**each) for each in entry.pop("local", ()))
    published = MappingProxyType(entry.pop("published", {}))
    return Asset(name=name, local=local, published=published, **lists, **entry)


@cache
def manifest() -> Mapping[str, Asset]:
    """Returns every asset by name."""
    entries = tomllib.loads(MANIFEST_FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _asset(name, entry) for name, entry in entries.items()})


def get_asset(name: str) -> Asset:
    """Returns the asset called `name`; raises UsageError naming the nearest one otherwise."""
    try:
        return manifest()[name]
    except KeyError:
        near = difflib.get_close_matches(name, manifest(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"there is no asset {name!r}{hint} Known: {', '.join(manifest())}.") from None


@lru_cache(maxsize=256)
def _digest(path: str, algorithm: str, size: int, changed: int) -> str:
    # Size and time of change are in the key, so that a replaced file is read again.
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Returns the hexadecimal digest of a file, remembered while the file does not change."""
    facts = path.stat()
    return _digest(str(path), algorithm, facts.st_size, facts.st_mtime_ns)


def check_file(asset: Asset, path: Path, own_file: bool = False) -> str:
    """Returns how `path` was verified to be `asset`.

    Args:
        asset: What the file should be.
        path: An existing file.
        own_file: Whether it lies in POSE_ASSETS_DIR, where `POSE_ASSETS_TRUST=1` accepts any bytes.

    Returns:
        Such as "sha256", "sha256 of a re-export (...)", "first 8 digits of sha256", "md5" or
        "not verified: ...".

    Raises:
        WrongFile: The file is not what it should be.
    """
    found = digest(path)
    if found in asset.sha256:
        return "sha256"
    for entry in asset.local:
        if found == entry.sha256:
            return f"sha256 of a re-export ({entry.note})" if entry.note else "sha256"
    for prefix in asset.sha256_prefix:
        if found.startswith(prefix):
            return f"first {len(prefix)} digits of sha256"
    if asset.md5 and digest(path, "md5") == asset.md5:
        return "md5"
    _check_signature(asset, path)
    if asset.unverified_reason:
        return f"not verified: {asset.unverified_reason}"
    if own_file and os.environ.get(TRUST_VARIABLE) == "1":
        return f"not verified: {TRUST_VARIABLE}=1"
    expected = " or ".join([value[:12] for value in (*asset.sha256, *asset.sha256_prefix)])
    way_out = f" Replace it, or set {TRUST_VARIABLE}=1 if the file is your own." if own_file else ""
    raise WrongFile(
        f"{path} ({path.stat().st_size} bytes) is not {asset.name}: its sha256 begins with {found[:12]}, "
        f"expected {expected}.{way_out}"
    )


def _check_signature(asset: Asset, path: Path) -> None:
    expected = _SIGNATURES.get(PurePosixPath(asset.name).suffix)
    with path.open("rb") as stream:
        start = stream.read(4)
    if expected and not start.startswith(expected):
        raise WrongFile(
            f"{path} ({path.stat().st_size} bytes) is no {PurePosixPath(asset.name).suffix} file: it begins "
            f"with {start!r}. A page of a login or of an error is often saved in place of a model."
        )
