"""ONNX files for a user to take away."""

from __future__ import annotations

import shutil
from pathlib import Path

from pose_utils.errors import InputError
from pose_utils.zoo.artifacts import Artifact, find_artifact
from pose_utils.zoo.quantize import fp16_onnx
from pose_utils.zoo.specs import parse_models


def deliver(models: str, precision: str, weights: str, folder: Path) -> list[tuple[Path, str]]:
    """Writes one ONNX file for each stage of `models` into `folder`.

    Args:
        models: "detector+pose".
        precision: fp32 or fp16 (inputs and outputs stay float32).
        weights: trained, random or auto.
        folder: Made where it is not there.

    Returns:
        (path, one line about its weights) for each stage.

    Raises:
        UsageError, AssetError, Unavailable: As `zoo.artifacts.find_artifact`.
        InputError: The folder cannot be written.
    """
    files = []
    for spec in parse_models(models):
        artifact = find_artifact(spec, "onnx", weights)
        source = fp16_onnx(artifact.path, artifact.digest) if precision == "fp16" else artifact.path
        target = folder / f"{spec.name}-{precision}.onnx"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
        files.append((target, _about(artifact)))
    return files


def _about(artifact: Artifact) -> str:
    if artifact.weights == "random":
        return "seeded random weights: right for latency and numerics, useless for finding people"
    return f"trained weights, sha256 {artifact.digest[:16]}..."
