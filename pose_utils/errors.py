"""The errors a user can meet: each message says what was wrong, with what, and what to do."""

from __future__ import annotations


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
