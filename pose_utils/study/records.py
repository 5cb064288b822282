"""The run folder and the schemas of everything that is measured.

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
from pose_utils.errors import InputError, UsageError
from pose_utils.study.atomic import remove_leftovers, write_atomic

SCHEMA_VERSION = 1

STATUSES = ("ok", "failed", "skipped")

_STR, _INT, _FLOAT = "str", "int64", "float64"

_REMEDIES = {
    "models": _STR, "backend": _STR, "precision": _STR, "remedy": _STR, "condition": _STR, "severity": _INT,
    "metric": _STR, "value": _FLOAT, "low": _FLOAT, "high": _FLOAT, "n": _INT, "unit": _STR,
}  # fmt: skip

SCHEMAS: Mapping[str, Mapping[str, str]] = {
    # One row for each model on each back end and precision. `weights` is trained or random.
    "backends.csv": {
        "model": _STR, "backend": _STR, "precision": _STR, "device": _STR, "status": _STR, "reason": _STR,
        "provider_used": _STR, "weights": _STR, "artifact": _STR, "size_bytes": _FLOAT, "build_s": _FLOAT,
    },
    # One row for each quantity compared with mmdet or mmpose. Differences are in `unit`.
    "parity.csv": {
        "model": _STR, "backend": _STR, "precision": _STR, "status": _STR, "reason": _STR, "reference": _STR,
        "quantity": _STR, "unit": _STR, "n": _INT, "max_diff": _FLOAT, "p999_diff": _FLOAT,
        "share_within": _FLOAT, "tolerance": _FLOAT, "passed": _STR, "weights": _STR,
    },
    # One row for each artefact (`files`: two files or fused), back end and precision against FP32: pixels on
    # the same pictures, and the change of AP (0..1) with its 95 % interval where there is ground truth.
    "proof.csv": {
        "models": _STR, "files": _STR, "backend": _STR, "precision": _STR, "status": _STR, "reason": _STR,
        "passed": _STR, "weights": _STR, "reference": _STR, "images": _INT, "boxes": _INT, "unpaired": _INT,
        "keypoints": _INT, "box_max_px": _FLOAT, "keypoint_max_px": _FLOAT, "keypoint_p999_px": _FLOAT,
        "share_within": _FLOAT, "size_bytes": _FLOAT, "keypoint_ap": _FLOAT, "keypoint_change": _FLOAT,
        "keypoint_low": _FLOAT, "keypoint_high": _FLOAT, "person_ap": _FLOAT, "person_change": _FLOAT,
        "person_low": _FLOAT, "person_high": _FLOAT,
    },
    # One row for each timed call and stage; stage "total" is the whole call.
    "latency.parquet": {
        "config": _STR, "models": _STR, "backend": _STR, "precision": _STR, "device": _STR,
        "pipeline": _STR, "stage": _STR,
        "persons": _INT, "block": _INT, "repeat": _INT, "ms": _FLOAT, "weights": _STR,
    },
    # One row for each configuration of the benchmark, those that could not run included.
    "configs.csv": {
        "config": _STR, "models": _STR, "backend": _STR, "precision": _STR, "device": _STR,
        "pipeline": _STR, "status": _STR,
        "reason": _STR, "weights": _STR, "provider_used": _STR, "threads": _FLOAT, "size_bytes": _FLOAT,
        "load_s": _FLOAT, "first_call_ms": _FLOAT, "digest": _STR, "cold_start": _STR,
        "peak_memory_mb": _FLOAT, "gpu_memory_mb": _FLOAT,
    },
    # One row for each block of timed calls: what the machine was doing meanwhile. NaN where it does not tell.
    "machine.csv": {
        "config": _STR, "persons": _INT, "block": _INT, "calls": _INT, "seconds": _FLOAT, "clock_mhz": _FLOAT,
        "governor": _STR, "temperature_c": _FLOAT, "others_cores": _FLOAT, "stolen_share": _FLOAT,
        "throttled": _FLOAT, "cpu_joules": _FLOAT, "gpu_joules": _FLOAT, "gpu_clock_mhz": _FLOAT,
        "gpu_temperature_c": _FLOAT,
    },
    # Keypoint AP of the very files that were timed (`digest`), 0..1; `loss` is what it gives up against
    # `against`, paired picture by picture, also 0..1. low and high bound 95 % intervals.
    "accuracy.csv": {
        "config": _STR, "models": _STR, "pipeline": _STR, "status": _STR, "reason": _STR, "digest": _STR,
        "boxes": _STR, "images": _INT, "persons": _INT, "ap": _FLOAT, "ap_low": _FLOAT, "ap_high": _FLOAT,
        "against": _STR, "loss": _FLOAT, "loss_low": _FLOAT, "loss_high": _FLOAT,
    },
    # One row for each keypoint that was predicted, in image pixels.
    "poses.parquet": {
        "models": _STR, "backend": _STR, "precision": _STR, "image": _STR, "condition": _STR,
        "severity": _INT, "boxes": _STR, "person": _INT, "keypoint": _STR, "x": _FLOAT, "y": _FLOAT,
        "score": _FLOAT,
    },
    # One row for each predicted person: its box in image pixels. Where boxes is "candidate", the row is
    # a box that the detector scored too low for a pose (.05 to its threshold); instance_score is then NaN.
    # Where it is "whole_picture", nobody was found and the picture itself was posed, for comparison only.
    "persons.parquet": {
        "models": _STR, "backend": _STR, "precision": _STR, "image": _STR, "condition": _STR,
        "severity": _INT, "boxes": _STR, "person": _INT, "x1": _FLOAT, "y1": _FLOAT, "x2": _FLOAT,
        "y2": _FLOAT, "box_score": _FLOAT, "instance_score": _FLOAT,
    },
    # One row for each figure of the robustness study; low and high bound its 95 % interval. severity is 0
    # for the published conditions; condition "corrupted" is the mean over all but clean (mPC, rPC).
    "metrics.csv": {
        "models": _STR, "backend": _STR, "precision": _STR, "condition": _STR, "severity": _INT,
        "boxes": _STR, "metric": _STR, "value": _FLOAT, "low": _FLOAT, "high": _FLOAT, "n": _INT,
        "unit": _STR, "reference": _STR,
    },
    # One row for each figure of a remedy under a condition; `gain` and `ms_added` are against the same
    # pipeline without it, paired picture by picture. "frame gate" has its own figures.
    "remedies.csv": _REMEDIES,
    # The same on video, where a remedy has memory; `gain` of OKS with the clean prediction, `kept_gain` of
    # persons kept; n counts frames.
    "video_remedies.csv": _REMEDIES,
    # One row for each figure of a precision under a condition; `change` is against the run's own precision,
    # `extra_change` that minus the change on the clean pictures, both paired picture by picture.
    "precisions.csv": {
        "models": _STR, "backend": _STR, "precision": _STR, "status": _STR, "reason": _STR,
        "condition": _STR, "severity": _INT, "boxes": _STR, "metric": _STR, "value": _FLOAT, "low": _FLOAT,
        "high": _FLOAT, "n": _INT, "unit": _STR,
    },
    # One row for each reference person (kind "person"), who ends in exactly one category, and for each
    # prediction that is nobody's (kind "extra"). person counts within image and kind. joints holds
    # one letter for each of the 17 keypoints: g good, j jitter, i inversion, s swap, m miss, x lost with
    # the person, - not labelled. overlap is the greatest box IoU with another reference person.
    "failures.csv": {
        "models": _STR, "backend": _STR, "precision": _STR, "image": _STR, "condition": _STR,
        "severity": _INT, "boxes": _STR, "kind": _STR, "person": _INT, "category": _STR, "iou": _FLOAT,
        "oks": _FLOAT, "score": _FLOAT, "area": _FLOAT, "visible_keypoints": _INT, "overlap": _FLOAT,
        "joints": _STR, "reference": _STR,
    },
}  # fmt: skip
"""Column name -> dtype of every table. `boxes` says where a person's box came from: detected,
truth, clean, or detected_on_clean (detected on the corrupted picture, posed on the clean one);
`reference` what a figure was compared with: truth or the clean prediction."""


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
    texts = [name for name, dtype in SCHEMAS[table].items() if dtype == _STR]
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
