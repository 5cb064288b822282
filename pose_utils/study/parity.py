"""Every runtime and precision against mmdet's and mmpose's own inference on the same weights.

For detectors the reference is `mmdet.apis.inference_detector`, for pose estimators
`mmpose.apis.inference_topdown` with the flip test off. Seeded random weights cannot find a person,
so a detector with them is compared by its raw outputs. A model that exists as a file only is compared
with ONNX Runtime FP32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import Backend
from pose_utils.runtime.geometry import letterbox, to_network_input
from pose_utils.runtime.pipeline import Detector, PoseEstimator
from pose_utils.study.benchmark import Workload
from pose_utils.zoo.artifacts import Artifact, find_artifact
from pose_utils.zoo.checkpoints import load_module
from pose_utils.zoo.specs import ModelSpec

TOLERANCE_PX = 0.5
TOLERANCE_RAW = 1e-3
REQUIRED_SHARE = 0.999
COMPARED_SCORE = 0.3
NO_BOX_PX = 1e4
"""Booked for a box that only one side has: it can never pass for agreement."""


def mmdet_boxes(artifact: Artifact) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Returns a function from an image to mmdet's own boxes (n, 4) xyxy and scores (n,)."""
    from mmdet.apis import inference_detector
    from mmengine.registry import DefaultScope

    module = load_module(artifact.spec, artifact.path)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with DefaultScope.overwrite_default_scope("mmdet"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = inference_detector(module, image).pred_instances
        return found.bboxes.numpy(), found.scores.numpy()

    return detect


def mmpose_keypoints(artifact: Artifact) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Returns a function from image and boxes to mmpose's keypoints (n, 17, 2) and scores; flip off."""
    from mmengine.registry import DefaultScope
    from mmpose.apis import inference_topdown

    module = load_module(artifact.spec, artifact.path)
    module.test_cfg["flip_test"] = False

    def estimate(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with DefaultScope.overwrite_default_scope("mmpose"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = inference_topdown(module, image, boxes)
        instances = [sample.pred_instances for sample in samples]
        return (
            np.concatenate([instance.keypoints for instance in instances]),
            np.concatenate([instance.keypoint_scores for instance in instances]),
        )

    return estimate


def box_differences(
    boxes: np.ndarray, scores: np.ndarray, other_boxes: np.ndarray, other_scores: np.ndarray
) -> np.ndarray:
    """Returns the largest corner difference in pixels for each box above .3 on either side.

    Boxes are paired so that the sum of differences is least; one without a partner counts as 10,000 px.
    """
    boxes, others = boxes[scores > COMPARED_SCORE], other_boxes[other_scores > COMPARED_SCORE]
    distances = (
        np.abs(boxes[:, None] - others[None]).max(axis=2) if len(boxes) and len(others) else np.empty((0, 0))
    )
    rows, columns = linear_sum_assignment(distances)
    unpaired = len(boxes) + len(others) - 2 * len(rows)
    return np.concatenate([distances[rows, columns], np.full(unpaired, NO_BOX_PX)])


def compare(
    spec: ModelSpec, backend: str, precision: str, workloads: Sequence[Workload], weights: str = "auto"
) -> dict:
    """Compares one model on one back end with its reference and returns a row of parity.csv."""
    row = {
        "model": spec.name, "backend": backend, "precision": precision, "status": "skipped", "reason": "",
        "reference": "", "quantity": "", "unit": "", "n": 0, "max_diff": np.nan, "p999_diff": np.nan,
        "share_within": np.nan, "tolerance": np.nan, "passed": "", "weights": "",
    }  # fmt: skip
    try:
        opened = open_backend(backend, spec, precision, weights=weights)
        reference, quantity, unit, differences = _differences(spec, opened, workloads)
    except (Unavailable, AssetError) as error:
        return {**row, "reason": str(error).splitlines()[0]}
    row |= {"reference": reference, "quantity": quantity, "unit": unit, "weights": opened.artifact.weights}
    if not len(differences):
        return {**row, "reason": "nothing to compare: no person in these pictures"}
    tolerance = TOLERANCE_PX if unit == "px" else TOLERANCE_RAW
    within = float((differences <= tolerance).mean())
    return {
        **row, "status": "ok", "n": len(differences), "max_diff": float(differences.max()),
        "p999_diff": float(np.quantile(differences, 0.999)), "share_within": within, "tolerance": tolerance,
        "passed": "yes" if within >= REQUIRED_SHARE else "no",
    }  # fmt: skip


def run_parity(
    models: Sequence[ModelSpec],
    backends: Sequence[tuple[str, str]],
    workloads: Sequence[Workload],
    weights: str = "auto",
) -> list[dict]:
    """Compares every model on every (back end, precision); returns the rows of parity.csv."""
    pairs = [(spec, backend, precision) for spec in models for backend, precision in backends]
    return [compare(*pair, workloads, weights) for pair in tqdm(pairs, desc="parity", unit="comparison")]


def _differences(
    spec: ModelSpec, backend: Backend, workloads: Sequence[Workload]
) -> tuple[str, str, str, np.ndarray]:
    artifact = backend.artifact
    if spec.kind == "pose":
        return _pose_differences(spec, backend, workloads)
    source = _torch_twin(artifact)
    if artifact.weights == "trained" and source is not None:
        detect, ours = mmdet_boxes(source), Detector(backend)
        differences = []
        for workload in workloads:
            found = ours(workload.image)
            differences.append(box_differences(found.boxes, found.scores, *detect(workload.image)))
        return "mmdet inference_detector", "box corners, score > .3", "px", np.concatenate(differences)
    if source is None:
        raise Unavailable(f"{spec.name}: no PyTorch weights to compare {artifact.name} with")
    return _raw_differences(spec, backend, source, workloads)


def _raw_differences(
    spec: ModelSpec, backend: Backend, source: Artifact, workloads: Sequence[Workload]
) -> tuple[str, str, str, np.ndarray]:
    reference = open_backend("torch", source)
    differences = []
    for workload in workloads:
        inputs = to_network_input(letterbox(workload.image, spec.input_size)[0][None], spec)
        for ours, theirs in zip(backend.run(inputs), reference.run(inputs), strict=True):
            spread = float(np.abs(theirs).max()) or 1.0
            differences.append((np.abs(ours - theirs) / spread).ravel())
    return "mmdet module, PyTorch FP32", "raw outputs / largest output", "1", np.concatenate(differences)


def _pose_differences(
    spec: ModelSpec, backend: Backend, workloads: Sequence[Workload]
) -> tuple[str, str, str, np.ndarray]:
    ours, source = PoseEstimator(backend), _torch_twin(backend.artifact)
    if source is not None:
        name, theirs = "mmpose inference_topdown, flip off", mmpose_keypoints(source)
    else:
        name, theirs = "onnxruntime FP32", PoseEstimator(open_backend("onnxruntime", spec))
    # Random weights give no confident keypoint: there every one is compared.
    least = COMPARED_SCORE if backend.artifact.weights == "trained" else -np.inf
    differences = []
    # Without a box mmpose would take the whole picture as a person.
    for workload in (each for each in workloads if each.persons):
        expected, scores = theirs(workload.image, workload.boxes)
        found, _ = ours(workload.image, workload.boxes)
        differences.append(np.abs(found - expected).max(axis=2)[scores > least])
    quantity = "keypoints, score > .3" if least > 0 else "keypoints, all"
    return name, quantity, "px", np.concatenate([*differences, np.empty(0)], axis=None)


def _torch_twin(artifact: Artifact) -> Artifact | None:
    """The PyTorch weights that a file was exported from, or None for a file that came as it is."""
    try:
        twin = find_artifact(artifact.spec, "torch", artifact.weights)
    except (Unavailable, AssetError):
        return None
    return twin if twin.digest == artifact.digest else None
