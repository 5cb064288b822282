"""The figures published by the study that this project supersedes, to stand beside our own."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import pandas as pd


@cache
def _tables() -> dict:
    return tomllib.loads(files("pose_utils.report").joinpath("published.toml").read_text(encoding="utf-8"))


def published_label() -> str:
    """Returns the words that mark a published figure: "published, T4"."""
    return _tables()["label"]


def published_source() -> str:
    """Returns the sentence that says where and how the published figures were measured."""
    return _tables()["source"]


def published_benchmark() -> pd.DataFrame:
    """Returns name, backend, device, precision, pipeline, median_ms, p95_ms, p99_ms, fps; 8 rows."""
    return pd.DataFrame(_tables()["benchmark"])


def published_robustness() -> pd.DataFrame:
    """Returns condition, detection_rate (0..1), mean_confidence (0..1), mean_persons, fps; 9 rows."""
    return pd.DataFrame(_tables()["robustness"])
