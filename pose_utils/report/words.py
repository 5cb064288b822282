"""Identifiers of the records as words."""

from __future__ import annotations


def readable(name: object) -> str:
    """Returns an identifier such as motion_blur_heavy as words."""
    return str(name).replace("_", " ")


def with_severity(condition: str, severity: int) -> str:
    """Returns a condition as words, with its severity where it has one (0: none)."""
    return readable(condition) + (f" {severity}" if severity else "")
