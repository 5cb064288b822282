"""ONNX files for a user to take away: one a stage, or one for the whole pipeline."""

from __future__ import annotations

from pathlib import Path

from pose_utils.errors import InputError, UsageError
from pose_utils.runtime.fused import fused_file
from pose_utils.runtime.variants import onnx_variant
from pose_utils.zoo.artifacts import any_size_artifact, find_artifact
from pose_utils.zoo.export import self_describing
from pose_utils.zoo.fused import fused_metadata
from pose_utils.zoo.specs import parse_models


def deliver(
    models: str, precision: str, weights: str, folder: Path, any_size: bool = False
) -> list[tuple[Path, str]]:
    """Writes one ONNX file for each stage of `models` into `folder`; each says itself what it needs.

    Args:
        models: "detector+pose".
        precision: fp32, fp16 or int8 (inputs and outputs stay float32).
        weights: trained, random or auto.
        folder: Made where it is not there.
        any_size: The detector's height and width are dynamic, in multiples of 32; FP32 only.

    Returns:
        (path, one line about its weights) for each stage.

    Raises:
        UsageError, AssetError, Unavailable: As `zoo.artifacts.find_artifact`; UsageError also for `any_size`
            in a lower precision, whose layers are chosen at one size.
        InputError: The folder cannot be written.
    """
    if any_size and precision != "fp32":
        raise UsageError(
            f"--any-size writes fp32, not {precision}: what {precision} costs is known at one size"
        )
    files = []
    for spec in parse_models(models):
        wide = any_size and spec.kind == "detector"
        artifact = any_size_artifact(spec, weights) if wide else find_artifact(spec, "onnx", weights)
        name = f"{spec.name}-{precision}" + ("-any-size" if wide else "")
        content = self_describing(onnx_variant(artifact, precision), spec, artifact.digest)
        note = f"sha256 {artifact.digest[:16]}..." if artifact.weights == "trained" else ""
        files.append((_write(content, folder / f"{name}.onnx"), _about(artifact.weights, note)))
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
    return _write(source.read_bytes(), target), _about(about["weights"], f"one input: {about['input']}")


def _write(content: bytes, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def _about(weights: str, note: str) -> str:
    if weights == "random":
        return "seeded random weights: right for latency and numerics, useless for finding people"
    return f"trained weights, {note}"
