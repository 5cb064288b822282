"""The one file (or seeded module) that a back end runs, with where its weights come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pose_utils.errors import AssetError, InputError, Unavailable, UsageError
from pose_utils.zoo import assets, export
from pose_utils.zoo.external import check_external_data
from pose_utils.zoo.specs import Codec, Format, ModelSpec

Weights = Literal["trained", "random"]
RANDOM_SEED = 0


@dataclass(frozen=True)
class Artifact:
    """What runs: accuracy and latency in one row always belong to one of these.

    Attributes:
        spec: The model.
        format: torch, onnx or tflite.
        weights: "trained", or "random" for seeded stand-ins of the exact architecture.
        digest: sha256 of the weight file in hexadecimal, or "random-SEED".
        path: The file; None for a torch module with random weights.
    """

    spec: ModelSpec
    format: Format
    weights: Weights
    digest: str
    path: Path | None

    @property
    def name(self) -> str:
        """File name for tables, without its folder."""
        return self.path.name if self.path else f"{self.spec.name} ({self.digest})"

    @property
    def size_bytes(self) -> float:
        """Size of the file, NaN where there is none."""
        return float(self.path.stat().st_size) if self.path else float("nan")


def find_artifact(spec: ModelSpec, format: Format, weights: str = "auto") -> Artifact:
    """Finds, downloads or exports what a back end of `format` needs to run `spec`.

    ONNX files come from the PyTorch weights where those are to be had, so that every back end runs
    the same weights; a released ONNX file is the second choice.

    Args:
        spec: The model.
        format: What the back end reads.
        weights: "trained", "random", or "auto" for trained where they can be had, else random.

    Raises:
        AssetError: Trained weights were asked for and cannot be had.
        Unavailable: The model does not exist in this format.
        UsageError: Unknown `weights`.
    """
    if weights not in ("auto", "trained", "random"):
        raise UsageError(f"weights is {weights!r}; allowed: auto, trained, random")
    if weights == "random":
        return _random(spec, format)
    try:
        return _trained(spec, format)
    except AssetError:
        if weights == "trained" or spec.config is None:
            raise
        return _random(spec, format)


def any_size_artifact(spec: ModelSpec, weights: str = "auto") -> Artifact:
    """Returns a detector's ONNX export whose height and width are dynamic, in multiples of 32.

    Raises:
        Unavailable: It exists as a released file only, whose size is fixed.
        UsageError, AssetError: As `find_artifact`; UsageError also for a pose model.
    """
    source = find_artifact(spec, "torch", weights)
    path = export.cached_onnx(spec, source.path, source.digest, any_size=True)
    return replace(source, format="onnx", path=path)


def from_file(path: str | Path, codec: Codec | None = None, template: ModelSpec | None = None) -> Artifact:
    """Takes an ONNX file as it is: one that the project exported says itself what it is, others are told.

    Args:
        path: The file. The input size is read from it where it is fixed.
        codec: How its outputs are decoded: rtmdet, rtmdet-end2end, simcc or heatmap; None for what it says.
        template: The spec whose normalisation and padding a file of somebody else shares.

    Raises:
        InputError: The file is missing, no ONNX model, or keeps weights outside its folder.
        UsageError: It does not say what it is, and nobody else does.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is no file")
    size = export.fixed_input_size(path)
    check_external_data(path)
    if codec is None:
        told = export.read_metadata(path)
        if told is None or "codec" not in told:
            raise UsageError(f"{path} does not say what it is: name the codec after the file")
        weights = "random" if told["weights_digest"].startswith("random") else "trained"
        return Artifact(export.described(told), "onnx", weights, file_digest(path), path)
    spec = replace(
        template, name=path.stem, codec=codec, input_size=size or template.input_size, config=None, assets={}
    )
    return Artifact(spec, "onnx", "trained", file_digest(path), path)


def file_digest(path: Path) -> str:
    """Returns the sha256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _random(spec: ModelSpec, format: Format) -> Artifact:
    if spec.config is None:
        raise Unavailable(f"{spec.name} has no PyTorch architecture to give random weights to")
    artifact = Artifact(spec, "torch", "random", f"random-{RANDOM_SEED}", None)
    return _converted(artifact, format)


def _trained(spec: ModelSpec, format: Format) -> Artifact:
    if format == "tflite" or "tflite" in spec.assets:
        if format != "tflite" or "tflite" not in spec.assets:
            raise Unavailable(f"{spec.name} is not to be had as {format}")
        return _file(spec, "tflite")
    if format == "torch" and "torch" not in spec.assets:
        raise Unavailable(f"{spec.name} has no PyTorch weights, only {', '.join(spec.assets)}")
    # Files that are here already go before any download.
    order = [
        kind for kind in ("torch", "onnx") if kind in spec.assets and (format == "onnx" or kind == format)
    ]
    order.sort(key=lambda kind: assets.locate(spec.assets[kind]) is None)
    errors = []
    for kind in order:
        try:
            return _converted(_file(spec, kind), format)
        except AssetError as error:
            errors.append(str(error))
    raise AssetError("\n".join(errors))


def _file(spec: ModelSpec, format: Format) -> Artifact:
    path = assets.fetch(spec.assets[format])
    return Artifact(spec, format, "trained", file_digest(path), path)


def _converted(artifact: Artifact, format: Format) -> Artifact:
    if artifact.format == format:
        return artifact
    if format != "onnx":
        raise Unavailable(f"{artifact.spec.name} is not to be had as {format}")
    return replace(
        artifact, format="onnx", path=export.cached_onnx(artifact.spec, artifact.path, artifact.digest)
    )
