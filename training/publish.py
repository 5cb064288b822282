"""Trained weights as small files: FP16 safetensors that load without running code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pose_utils.errors import AssetError, UsageError
from pose_utils.zoo.checkpoints import read_state_dict

_PREPROCESSOR = "data_preprocessor."


def published_state(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Returns averaged weights in FP16, without heads that only train.

    Args:
        state: Of a run's checkpoint.
        prefix: What the deployed module's names begin with inside the trained one ("pose." for pose models).

    Raises:
        ValueError: A weight is too large for FP16.
    """
    made = {}
    for name, value in state.items():
        inner = name.removeprefix(prefix)
        if not name.startswith(prefix) or _dispensable(inner):
            continue
        if value.abs().max() > torch.finfo(torch.float16).max:
            raise ValueError(f"{inner} does not fit FP16")
        made[inner] = value.half().contiguous()
    return made


def publish(state: Mapping[str, Tensor], target: Path, about: Mapping[str, str]) -> str:
    """Writes a safetensors file and returns its sha256.

    Args:
        state: FP16 tensors by name.
        target: The file.
        about: Facts kept in the file's header.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(state), target, metadata=dict(about))
    return hashlib.sha256(target.read_bytes()).hexdigest()


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors of a file that `Recipe.keep` wrote, widened to FP32, and the facts in its header.

    Raises:
        UsageError: It is missing, or no such file.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            facts = stored.metadata() or {}
        state = read_state_dict(path)
    except (OSError, SafetensorError, AssetError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if "phase" not in facts:
        raise UsageError(f"{path} names no phase: `python -m training keep` writes such files")
    return state, facts


def completed(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Returns a state with what `published_state` leaves out, as the new `network` has it.

    Raises:
        UsageError: A weight is missing: it would stay what the seed made of it.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state and not _dispensable(name)]
    if missing:
        raise UsageError(f"these weights do not fit: {len(missing)} are missing, such as {missing[0]}")
    return {**own, **state}


def _dispensable(name: str) -> bool:
    """Says whether a file does without it.

    Pixel means belong to the config, and counters of batch norms mean nothing at inference.
    """
    return _PREPROCESSOR in name or name.endswith("num_batches_tracked")
