"""ONNX files for a user to take away: one a stage, or one for the whole pipeline."""

from __future__ import annotations

import shutil
from pathlib import Path

from pose_utils.errors import InputError
from pose_utils.runtime.fused import fused_file
from pose_utils.runtime.variants import onnx_variant
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.fused import fused_metadata
from pose_utils.zoo.specs import parse_models


def deliver(models: str, precision: str, weights: str, folder: Path) -> list[tuple[Path, str]]:
    """Writes one ONNX file for each stage of `models` into `folder`.

    Args:
        models: "detector+pose".
        precision: fp32, fp16 or int8 (inputs and outputs stay float32).
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
        source = onnx_variant(artifact, precision)
        note = f"sha256 {artifact.digest[:16]}..." if artifact.weights == "trained" else ""
        files.append(
            (_copy(source, folder / f"{spec.name}-{precision}.onnx"), _about(artifact.weights, note))
        )
    return files


def deliver_fused(models: str, precision: str, weights: str, output: Path) -> tuple[Path, str]:
    """Writes one ONNX file that takes a frame and gives people.

    Args:
        models: "detector+pose".
        precision: fp32, fp16 or int8, of the two networks.
        weights: trained, random or auto.
        output: The file where it ends in .onnx, else its folder.

    Returns:
        The path and one line about its weights.

    Raises:
        UsageError, AssetError, Unavailable, InputError: As `deliver`.
    """
    source = fused_file(models, precision, weights)
    about = fused_metadata(source)
    target = output if output.suffix == ".onnx" else output / f"{about['models']}-fused-{precision}.onnx"
    return _copy(source, target), _about(about["weights"], f"one input: {about['input']}")


def _copy(source: Path, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def _about(weights: str, note: str) -> str:
    if weights == "random":
        return "seeded random weights: right for latency and numerics, useless for finding people"
    return f"trained weights, {note}"
