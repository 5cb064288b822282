"""The errors a user can meet: each message says what was wrong, with what, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PoseUtilsError(Exception):
    """Base of every error that is shown to a user as one line instead of a traceback."""


class UsageError(PoseUtilsError):
    """A parameter, option or name that the caller must change."""


class InputError(PoseUtilsError):
    """A picture, video, annotation file or record that cannot be used as it is."""


class AssetError(PoseUtilsError):
    """A model or data file that cannot be had, or is not what it should be."""


class Unavailable(PoseUtilsError):
    """This machine cannot honour a request (no GPU, library or weights); rows say `skipped`."""


def not_allowed(what: str, value: object, allowed: Iterable[str]) -> UsageError:
    """Makes the error for a value that is none of a list: one line with the nearest and all that are."""
    names = [str(name) for name in allowed]
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UsageError(f"{what} is {value!r}{hint} Allowed: {', '.join(names)}.")
