"""The run folder: where everything that is measured is kept.

Notebooks share nothing but these files. Every table carries `run_id` and `schema_version`, is
validated before it is written, and is published by rename, so that a killed run leaves either
the whole file or none.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pose_utils import paths
from pose_utils.atomic import remove_leftovers, write_atomic
from pose_utils.errors import InputError, UsageError
from pose_utils.study.schemas import SCHEMAS, STR

SCHEMA_VERSION = 1

STATUSES = ("ok", "failed", "skipped")

_UNREADABLE = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError,
    MemoryError,
)  # fmt: skip
"""What pandas and pyarrow raise on damaged files; a flipped bit in Parquet's metadata can be any of them."""


def new_run_id(now: datetime | None = None) -> str:
    """Returns a sortable name for a run, such as "20261123-182200-4f1c"."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{os.urandom(2).hex()}"


class RunFolder:
    """One run's records: `run.json`, the tables of `SCHEMAS`, and parts of unfinished tables."""

    def __init__(self, path: Path) -> None:
        """Opens an existing run folder; `create` makes a new one."""
        self.path = Path(path)
        if not (self.path / "run.json").is_file():
            raise UsageError(f"{self.path} is no run folder: it has no run.json. Run notebook 00 first.")
        self.run_id: str = self.info()["run_id"]
        remove_leftovers(self.path)

    @classmethod
    def create(cls, info: Mapping[str, Any], path: Path | None = None) -> RunFolder:
        """Makes a run folder (by default reports/runs/<run_id>) and points reports/latest at it."""
        folder = Path(path) if path else paths.RUNS / new_run_id()
        run_id = folder.resolve().name
        record = {"run_id": run_id, "schema_version": SCHEMA_VERSION, **info}
        write_atomic(folder / "run.json", lambda target: target.write_text(json.dumps(record, indent=2)))
        if folder.parent == paths.RUNS:
            _point_latest_at(folder)
        return cls(folder)

    @classmethod
    def open(cls, run_dir: str | Path = "") -> RunFolder:
        """Opens the folder `run_dir`, or the newest run where it is empty."""
        if run_dir:
            return cls(Path(run_dir))
        if not paths.LATEST.exists():
            raise UsageError("there is no run yet: run notebook 00 or `make report` first")
        return cls(paths.LATEST.resolve())

    def info(self) -> dict[str, Any]:
        """Returns run.json: versions, hardware, weight digests and parameters."""
        path = self.path / "run.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{path} cannot be read ({error}): run notebook 00 into another folder"
            ) from error
        if not isinstance(record, dict) or not isinstance(record.get("run_id"), str):
            raise InputError(f"{path} is damaged: it names no run. Run notebook 00 into another folder")
        return record

    def update_info(self, **values: Any) -> None:
        """Adds or replaces entries of run.json."""
        record = self.info() | values
        write_atomic(self.path / "run.json", lambda target: target.write_text(json.dumps(record, indent=2)))

    def has(self, table: str) -> bool:
        """Says whether this run has written `table`."""
        return (self.path / table).is_file()

    def write(self, table: str, rows: pd.DataFrame | list[dict]) -> pd.DataFrame:
        """Validates `rows` against the schema of `table` and publishes the file.

        Raises:
            ValueError: Unknown table, or columns that do not match its schema.
        """
        frame = _validated(table, rows, self.run_id)
        write_atomic(self.path / table, lambda target: _save(frame, target))
        return frame

    def read(self, table: str) -> pd.DataFrame:
        """Returns a table that an earlier notebook wrote.

        Raises:
            InputError: It is not there, damaged, or of another schema version.
        """
        path = self.path / table
        if not path.is_file():
            raise InputError(f"{path} is missing: run the notebook that writes {table} first")
        try:
            frame = _load(path, table)
        except _UNREADABLE as error:
            message = f"{path} cannot be read ({error}): delete it and run its notebook again"
            raise InputError(message) from error
        if frame.empty:
            return frame
        versions = set(frame.get("schema_version", pd.Series([None])))
        if versions != {SCHEMA_VERSION}:
            raise InputError(f"{path} has schema version {versions}, this program reads {SCHEMA_VERSION}")
        return frame

    def part_path(self, table: str, key: str) -> Path:
        """Returns where the part `key` of an unfinished table lies; keys are made safe for file names."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", key)
        return self.path / "parts" / Path(table).stem / f"{safe}{Path(table).suffix}"

    def has_part(self, table: str, key: str) -> bool:
        """Says whether part `key` of `table` is there; one that is damaged or of another time is deleted."""
        path = self.part_path(table, key)
        if not path.is_file():
            return False
        try:
            frame = _load(path, table)
            good = set(frame.columns) == {*SCHEMAS[table], "run_id", "schema_version"}
            good &= bool((frame["schema_version"] == SCHEMA_VERSION).all()) if good else False
        except _UNREADABLE:
            good = False
        if not good:
            path.unlink()
        return good

    def part(self, table: str, key: str, compute: Callable[[], pd.DataFrame | list[dict]]) -> pd.DataFrame:
        """Returns part `key` of `table`, computed now or read back from an interrupted run."""
        path = self.part_path(table, key)
        if self.has_part(table, key):
            return _load(path, table)
        frame = _validated(table, compute(), self.run_id)
        write_atomic(path, lambda target: _save(frame, target))
        return frame


def _validated(table: str, rows: pd.DataFrame | list[dict], run_id: str) -> pd.DataFrame:
    if table not in SCHEMAS:
        raise ValueError(f"there is no table {table!r}; known: {', '.join(SCHEMAS)}")
    schema = SCHEMAS[table]
    frame = pd.DataFrame(rows) if len(rows) else pd.DataFrame(columns=list(schema))
    frame = frame.drop(columns=["run_id", "schema_version"], errors="ignore")
    if set(frame.columns) != set(schema):
        missing, extra = sorted(set(schema) - set(frame.columns)), sorted(set(frame.columns) - set(schema))
        raise ValueError(f"{table}: missing columns {missing}, unexpected columns {extra}")
    if "status" in schema and not frame["status"].isin(STATUSES).all():
        raise ValueError(f"{table}: status must be one of {STATUSES}")
    if "status" in schema and (frame["reason"].eq("") & frame["status"].ne("ok")).any():
        raise ValueError(f"{table}: a row that is not ok needs its reason")
    frame = frame[list(schema)].astype(dict(schema))
    return frame.assign(run_id=run_id, schema_version=SCHEMA_VERSION)


def _load(path: Path, table: str) -> pd.DataFrame:
    """Reads a table as it was written: empty texts stay empty, and floats come back to the last bit."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    texts = [name for name, dtype in SCHEMAS[table].items() if dtype == STR]
    numbers = {name: [""] for name in SCHEMAS[table] if name not in texts}
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=numbers)


def _save(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)


def _point_latest_at(folder: Path) -> None:
    temporary = paths.LATEST.with_name(f".latest-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.relative_to(paths.LATEST.parent))
    os.replace(temporary, paths.LATEST)
