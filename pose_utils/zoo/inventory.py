"""Tables of the assets: what is here, what was fetched, what is right. Printing is the command line's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pose_utils import paths
from pose_utils.errors import AssetError
from pose_utils.zoo import assets
from pose_utils.zoo.manifest import Asset


def list_assets() -> pd.DataFrame:
    """Returns one row per asset, without using the network.

    Returns:
        Columns name, status ("POSE_ASSETS_DIR", "cache", "package", "missing" or "wrong"), megabytes (of the
        file here, else as published, NaN where not known), verified (how, or what is wrong), licence,
        published (figures as text), description, path (as text, "" where missing).
    """
    return pd.DataFrame([_row(asset) for asset in assets.manifest().values()])


def fetch_assets(names: Iterable[str] = ()) -> pd.DataFrame:
    """Fetches the assets called `names`, or all that are small enough to be wanted by default.

    Hosts that were silent are tried again, because somebody asks for these files now.

    Args:
        names: Names in `assets.toml`; none means every model and sample, but not COCO (1.1 GB).

    Returns:
        The rows of `list_assets` for these names, with a further column `problem` ("" where there is none).

    Raises:
        UsageError: A name means nothing; nothing has been fetched then.
    """
    chosen = list(names) or [name for name in assets.manifest() if not name.startswith("coco-")]
    for name in chosen:
        assets.get_asset(name)
    assets.forget_silent_hosts()
    problems = {}
    for name in chosen:
        try:
            assets.fetch(name)
        except AssetError as error:
            problems[name] = str(error)
    rows = list_assets().set_index("name", drop=False).loc[chosen].reset_index(drop=True)
    return rows.assign(problem=[problems.get(name, "") for name in chosen])


def verify_assets() -> pd.DataFrame:
    """Returns the rows of `list_assets` for the files that are here; status "wrong" marks the bad ones."""
    rows = list_assets()
    return rows[rows["status"] != "missing"].reset_index(drop=True)


def _row(asset: Asset) -> dict[str, object]:
    status, path, verified = "missing", None, ""
    try:
        path = assets.locate(asset.name)
        if path:
            status, verified = _place(path), assets.verify(asset.name)
    except AssetError as error:
        status, verified = "wrong", str(error)
    size = path.stat().st_size if path else asset.size
    return {
        "name": asset.name,
        "status": status,
        "megabytes": round(size / 1e6, 1) if size is not None else float("nan"),
        "verified": verified,
        "licence": asset.licence,
        "published": "; ".join(f"{value} {what}" for what, value in asset.published.items()),
        "description": asset.description,
        "path": str(path) if path else "",
    }


def _place(path: Path) -> str:
    own = paths.assets_dir()
    if own and path.is_relative_to(own):
        return "POSE_ASSETS_DIR"
    return "cache" if path.is_relative_to(paths.cache_dir()) else "package"
