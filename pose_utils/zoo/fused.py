"""One ONNX file from frame to people: any detector and pose file of ours, joined by standard operators.

Input `frame`: uint8 (1, h, w, 3), BGR, of any size. Inputs with defaults: `score_threshold`,
`iou_threshold`, `max_persons` (scalars; ONNX Runtime takes them, OpenVINO and TensorRT keep the
defaults). Outputs in frame pixels, best box first: `boxes` (n, 4) xyxy, `box_scores` (n,),
`keypoints` (n, 17, 2), `scores` (n, 17). Nobody found: n is 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from pose_utils import __version__, paths
from pose_utils.atomic import write_atomic
from pose_utils.errors import InputError, UsageError
from pose_utils.types import NUM_KEYPOINTS
from pose_utils.zoo import fused_decoding as decoding
from pose_utils.zoo import fused_sampling as sampling
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.export import METADATA_KEY, OPSET, describe, read_metadata
from pose_utils.zoo.graph_writer import GraphWriter
from pose_utils.zoo.locks import making
from pose_utils.zoo.specs import MAX_PERSONS, NMS_IOU, ModelSpec

FUSED_VERSION = 2
"""Part of every cached file name: raise it when the glue changes."""

OUTPUTS = ("boxes", "box_scores", "keypoints", "scores")


def cached_fused(detector: Artifact, pose: Artifact, precision: str, files: tuple[Path, Path]) -> Path:
    """Returns the fused file of two networks from the cache, made now where it is not there.

    Args:
        detector: The detector's ONNX artifact.
        pose: The pose model's.
        precision: What the networks compute in, for the name and the metadata.
        files: The two networks in that precision: the artifacts' own paths, or variants of them.
    """
    key = hashlib.sha256("".join([detector.digest, pose.digest, *(path.name for path in files)]).encode())
    name = f"{_models(detector, pose)}-fused-{precision}-{key.hexdigest()[:16]}-v{FUSED_VERSION}"
    target = paths.cache_dir() / "exports" / f"{name}.onnx"
    with making(target):
        if not target.is_file():
            model = fuse(detector, pose, precision, files)
            write_atomic(target, lambda draft: onnx.save(model, draft))
    return target


def fuse(
    detector: Artifact, pose: Artifact, precision: str = "fp32", files: tuple[Path, Path] | None = None
) -> onnx.ModelProto:
    """Joins a detector and a pose file; see the module's text for inputs and outputs.

    All but the two networks computes in FP32, and coordinates of crops in FP64 as in `runtime.geometry`:
    FP16 cannot hold coordinates of a large frame.

    Raises:
        UsageError: The two do not make a two-stage pipeline.
        InputError: A file has operators or outputs that cannot be joined.
    """
    if (detector.spec.kind, pose.spec.kind) != ("detector", "pose"):
        raise UsageError(f"{_models(detector, pose)}: a fused file needs a detector and a pose model")
    detector_file, pose_file = files or (detector.path, pose.path)
    graph = GraphWriter(OPSET)
    frame = graph.take_input("frame", "uint8", [1, "height", "width", 3])
    min_score = graph.take_setting("score_threshold", detector.spec.person_score, "float32")
    iou = graph.take_setting("iou_threshold", NMS_IOU, "float32")
    max_persons = graph.take_setting("max_persons", MAX_PERSONS, "int64")
    picture, size = sampling.float_frame(graph, frame)

    pixels, scale = sampling.letterbox(graph, picture, size, detector.spec)
    found = graph.splice(onnx.load(detector_file), "detector", pixels)
    boxes, box_scores = decoding.candidates(graph, found, detector.spec)
    boxes, box_scores = decoding.suppressed(graph, boxes, box_scores, max_persons, iou, min_score)
    boxes = graph.op("Div", boxes, graph.op("Concat", scale, scale, axis=0))

    cropped, count = decoding.at_least_one(graph, boxes)
    crops, zoom, offset = sampling.person_crops(graph, picture, size, cropped, pose.spec)
    heads = graph.splice(onnx.load(pose_file), "pose", crops)
    points, scores = decoding.keypoints(graph, heads, pose.spec)
    points = sampling.to_frame(graph, points, zoom, offset)

    graph.give(boxes, "boxes", ["persons", 4])
    graph.give(box_scores, "box_scores", ["persons"])
    graph.give(decoding.first(graph, points, count), "keypoints", ["persons", NUM_KEYPOINTS, 2])
    graph.give(decoding.first(graph, scores, count), "scores", ["persons", NUM_KEYPOINTS])
    return graph.model("frame_to_people", {METADATA_KEY: json.dumps(_about(detector, pose, precision))})


def fused_metadata(path: Path) -> dict:
    """Returns what a fused file says about itself: models, precision, weights, defaults, both stages.

    Raises:
        InputError: The file is no fused file of ours.
    """
    metadata = read_metadata(path)
    if metadata is None or metadata.get("kind") != "fused":
        raise InputError(f"{path} is no fused file: `python -m pose_utils export --fused` writes them")
    return metadata


def with_settings(path: Path, settings: Mapping[str, float]) -> bytes:
    """Returns the file's content with other defaults, for runtimes that cannot be given them as inputs."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in settings:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            tensor.CopyFrom(numpy_helper.from_array(np.array(settings[tensor.name], kind), tensor.name))
    return model.SerializeToString()


def _about(detector: Artifact, pose: Artifact, precision: str) -> dict:
    stages = {"detector": detector, "pose": pose}
    return {
        "kind": "fused",
        "models": _models(detector, pose),
        "precision": precision,
        "weights": "random" if "random" in (detector.weights, pose.weights) else "trained",
        "input": "frame: uint8 (1, h, w, 3) BGR",
        "outputs": list(OUTPUTS),
        "defaults": {
            "score_threshold": detector.spec.person_score,
            "iou_threshold": NMS_IOU,
            "max_persons": MAX_PERSONS,
        },
        "version": __version__,
        "opset": OPSET,
        **{stage: _stage(artifact.spec, artifact.digest) for stage, artifact in stages.items()},
    }


def _models(detector: Artifact, pose: Artifact) -> str:
    return f"{detector.spec.name}+{pose.spec.name}"


def _stage(spec: ModelSpec, digest: str) -> dict:
    return {key: value for key, value in describe(spec, digest).items() if key not in ("version", "opset")}
