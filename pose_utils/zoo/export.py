"""ONNX files of detector and pose estimator: raw heads, dynamic batch, simplified, self-describing."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from pathlib import Path

import onnx

from pose_utils import __version__, paths
from pose_utils.errors import InputError, UsageError
from pose_utils.zoo.checkpoints import load_module, output_names, raw_network
from pose_utils.zoo.locks import making
from pose_utils.zoo.specs import (
    MAX_PERSONS,
    NMS_IOU,
    RTMDET_PAD,
    RTMDET_STRIDES,
    SIMCC_SPLIT_RATIO,
    ModelSpec,
)

OPSET = 17
EXPORT_VERSION = 4
"""Part of every cached file name: raise it when an export changes, and nothing stale is loaded."""

METADATA_KEY = "pose_utils"


def cached_onnx(spec: ModelSpec, checkpoint: Path | None, digest: str, any_size: bool = False) -> Path:
    """Returns the export of these weights from the cache, made now where it is not there.

    Args:
        spec: The model.
        checkpoint: Its verified weights, or None for seeded random ones.
        digest: Identifies the weights; part of the file name.
        any_size: See `export_onnx`.
    """
    key = re.sub(r"[^\w.-]", "-", digest)[:16] + ("-any-size" if any_size else "")
    target = paths.cache_dir() / "exports" / f"{spec.name}-{key}-v{EXPORT_VERSION}.onnx"
    with making(target):
        if not _is_export_of(target, digest):
            export_onnx(spec, checkpoint, target, digest, any_size)
    return target


def _is_export_of(target: Path, digest: str) -> bool:
    """Says whether `target` is there and whole: a damaged one is made again, not refused for ever."""
    try:
        return target.is_file() and (read_metadata(target) or {}).get("weights_digest") == digest
    except (InputError, ValueError):
        return False


def export_onnx(
    spec: ModelSpec, checkpoint: Path | None, target: Path, digest: str, any_size: bool = False
) -> Path:
    """Writes the raw network of `spec` as one ONNX file.

    Input `input`: float32 (n, 3, height, width), normalised as `spec` says; n is dynamic. Outputs are
    called as `checkpoints.output_names` says. The file carries the spec in its metadata.

    Args:
        spec: The model.
        checkpoint: Its verified weights, or None for seeded random ones.
        target: The file.
        digest: Identifies the weights.
        any_size: Height and width are dynamic as well, in multiples of 32: for a detector, which is
            convolutions throughout; a pose model's heads know their crop.

    Returns:
        `target`, written whole or not at all.

    Raises:
        UsageError: `any_size` for a pose model.
    """
    if any_size and spec.kind != "detector":
        raise UsageError(f"{spec.name}: only a detector takes inputs of any size")
    import onnxslim
    import torch

    network = raw_network(load_module(spec, checkpoint), spec)
    width, height = spec.input_size
    names = list(output_names(spec))
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        draft = Path(folder) / target.name
        with torch.no_grad():
            # The TorchScript exporter: its graphs of these two networks are smaller than the
            # dynamo exporter's and were compared with mmdet and mmpose (study/parity.py).
            torch.onnx.export(
                network,
                (torch.zeros(1, 3, height, width),),
                str(draft),
                input_names=["input"],
                output_names=names,
                dynamic_axes=_dynamic_axes(names, any_size),
                opset_version=OPSET,
                dynamo=False,
            )
        model = onnxslim.slim(onnx.load(draft))
        onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(describe(spec, digest))})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, draft)
        draft.replace(target)
    return target


def _dynamic_axes(outputs: list[str], any_size: bool) -> dict[str, dict[int, str]]:
    axes = {name: {0: "batch"} for name in ["input", *outputs]}
    if any_size:
        for name in axes:
            level = name.rpartition("_")[2] if name != "input" else ""
            axes[name] |= {2: f"height{level}", 3: f"width{level}"}
    return axes


def describe(spec: ModelSpec, digest: str) -> dict:
    """Returns what a back end must know of a file: input, normalisation, codec, weights."""
    return {
        "model": spec.name,
        "kind": spec.kind,
        "codec": spec.codec,
        "input_size": list(spec.input_size),
        "mean": list(spec.mean),
        "std": list(spec.std),
        "channels": spec.channels,
        "padding": spec.padding,
        "person_score": spec.person_score,
        "decoding": _DECODING[spec.codec],
        "precision": "fp32",
        "weights_digest": digest,
        "opset": OPSET,
        "version": __version__,
    }


_DECODING = {
    "rtmdet": {"strides": RTMDET_STRIDES, "nms_iou": NMS_IOU, "max_persons": MAX_PERSONS, "pad": RTMDET_PAD},
    "rtmdet-end2end": {"max_persons": MAX_PERSONS, "pad": RTMDET_PAD},
    "simcc": {"split_ratio": SIMCC_SPLIT_RATIO},
    "heatmap": {"shift": 0.25},
}
"""What the codecs of files need beside their name, for readers that are not this project."""


def described(metadata: dict) -> ModelSpec:
    """Returns the model that `describe` told of, out of the file's words alone.

    Raises:
        InputError: Something is missing.
    """
    try:
        return ModelSpec(
            name=metadata["model"],
            kind=metadata["kind"],
            codec=metadata["codec"],
            input_size=tuple(metadata["input_size"]),
            mean=tuple(metadata["mean"]),
            std=tuple(metadata["std"]),
            channels=metadata["channels"],
            padding=metadata["padding"],
            person_score=metadata["person_score"],
        )
    except KeyError as error:
        raise InputError(f"the file does not say its {error}; export it anew") from error


def read_metadata(path: Path) -> dict | None:
    """Returns what `describe` wrote into a file, or None for a file of somebody else."""
    entries = {prop.key: prop.value for prop in _load_graph(path).metadata_props}
    return json.loads(entries[METADATA_KEY]) if METADATA_KEY in entries else None


def self_describing(path: Path, spec: ModelSpec, digest: str) -> bytes:
    """Returns the content of an ONNX file, with what `describe` says added where it does not say it itself.

    A released file carries nothing of ours: a back end would have to be told its codec and normalisation.
    """
    told = read_metadata(path) or {}
    if "codec" in told:
        return path.read_bytes()
    model = onnx.load(path)
    held = {prop.key: prop.value for prop in model.metadata_props}
    about = describe(spec, digest) | {"opset": model.opset_import[0].version} | told
    onnx.helper.set_model_props(model, held | {METADATA_KEY: json.dumps(about)})
    return model.SerializeToString()


def fixed_input_size(path: Path) -> tuple[int, int] | None:
    """Returns (width, height) of an ONNX file's first input, or None where they are dynamic."""
    dims = _load_graph(path).graph.input[0].type.tensor_type.shape.dim
    sides = [dim.dim_value for dim in dims[2:4]]
    return (sides[1], sides[0]) if len(sides) == 2 and all(sides) else None


def _load_graph(path: Path) -> onnx.ModelProto:
    # External data is never read: a file could point at anything on the disk.
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf raises several unrelated classes
        raise InputError(f"{path} is no ONNX model: {error}") from error
    if not model.graph.input:
        raise InputError(f"{path} is no ONNX model: it has no input")
    return model
