"""Every runtime and precision against mmdet's and mmpose's own inference on the same weights.

For detectors the reference is `mmdet.apis.inference_detector`, for pose estimators
`mmpose.apis.inference_topdown` with the flip test off; a model that exists as a file only is compared
with ONNX Runtime FP32. FP32 is judged in pixels of the picture. A lower precision moves pixels by right, and
what that costs is judged by AP (`study.proof`); here its raw outputs are judged, by the noise in them. Seeded
random weights find nobody, so a detector with them is compared by its raw outputs in every precision.

Noise is a share, for every output of a picture, or for the SimCC vectors or heatmaps of a person: how far it
is from the reference over how far the reference is from what it says of an empty picture (root mean squares);
at 1 the picture is forgotten. Weights that magnify any rounding cannot be judged: where rounding the input
alone to a precision moves the outputs past the tolerance, the row says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import Backend
from pose_utils.runtime.geometry import crop_persons, letterbox, person_affines, to_network_input
from pose_utils.runtime.pipeline import Detector, PoseEstimator
from pose_utils.study.benchmark import Workload
from pose_utils.study.references import Reference, mmdet_boxes, mmpose_keypoints
from pose_utils.zoo.artifacts import Artifact, find_artifact
from pose_utils.zoo.specs import ModelSpec

TOLERANCE_PX = 0.5
TOLERANCE_NOISE = {"fp32": 3e-3, "fp16": 0.05, "bf16": 0.3, "int8": 0.3}
ROUNDINGS, LOOSEST = 32, 0.3
"""Every layer on the way rounds as the input is rounded; and a share at which outputs are wrong outright."""
MANTISSA = {"fp32": 24, "fp16": 11, "bf16": 8}
"""Binary digits of each type; rounding is off by half of the last one at most."""

BY_AP = "judged by AP, in proof.csv"
FLAT = "not judged: random weights give flat vectors, whose peak jumps at any rounding"
REQUIRED_SHARE = 0.999
COMPARED_SCORE = 0.3
NO_BOX_PX = 1e4
"""Booked for a box that only one side has: it can never pass for agreement."""


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


@dataclass(frozen=True, eq=False)
class Quantity:
    """What was compared, and how far it may be off.

    Attributes:
        reference: Whose numbers are right.
        name: What is compared.
        unit: px, or 1 for a share.
        differences: float (n,).
        tolerance: In `unit`; NaN where this row is not judged, and `unjudged` says why.
        unjudged: The reason, or "".
    """

    reference: str
    name: str
    unit: str
    differences: np.ndarray
    tolerance: float
    unjudged: str = ""


def compare(
    spec: ModelSpec,
    backend: str,
    precision: str,
    workloads: Sequence[Workload],
    weights: str = "auto",
    reference: Reference | None = None,
) -> list[dict]:
    """Compares one model on one back end with its reference and returns its rows of parity.csv.

    Args:
        spec: The model.
        backend: Name of the back end.
        precision: What it computes in.
        workloads: Pictures with their persons.
        weights: trained, random or auto.
        reference: Keeps what the reference says of this model and these pictures for the next back end.
    """
    row = {
        "model": spec.name, "backend": backend, "precision": precision, "status": "skipped", "reason": "",
        "reference": "", "quantity": "", "unit": "", "n": 0, "max_diff": np.nan, "p999_diff": np.nan,
        "share_within": np.nan, "tolerance": np.nan, "passed": "", "weights": "",
    }  # fmt: skip
    try:
        opened = open_backend(backend, spec, precision, weights=weights)
        quantities = _quantities(spec, opened, workloads, reference or Reference())
    except (Unavailable, AssetError) as error:
        return [{**row, "reason": str(error).splitlines()[0]}]
    row["weights"] = opened.artifact.weights
    return [{**row, **_figures(quantity)} for quantity in quantities]


def run_parity(
    models: Sequence[ModelSpec],
    backends: Sequence[tuple[str, str]],
    workloads: Sequence[Workload],
    weights: str = "auto",
) -> list[dict]:
    """Compares every model on every (back end, precision); returns the rows of parity.csv."""
    pairs = [(spec, backend, precision) for spec in models for backend, precision in backends]
    references = {spec.name: Reference() for spec in models}
    compared = [
        compare(*pair, workloads, weights, references[pair[0].name])
        for pair in tqdm(pairs, desc="parity", unit="comparison")
    ]
    return [row for rows in compared for row in rows]


def _figures(found: Quantity) -> dict:
    row = {"reference": found.reference, "quantity": found.name, "unit": found.unit}
    if not len(found.differences):
        return {**row, "reason": "nothing to compare: no person in these pictures"}
    limit = found.tolerance if found.unit != "px" else TOLERANCE_PX
    within = float((found.differences <= limit).mean())
    verdict = "" if found.unjudged else "yes" if within >= REQUIRED_SHARE else "no"
    return {
        **row, "status": "ok", "reason": found.unjudged, "n": len(found.differences),
        "max_diff": float(found.differences.max()),
        "p999_diff": float(np.quantile(found.differences, 0.999)), "share_within": within,
        "tolerance": np.nan if found.unjudged else limit, "passed": verdict,
    }  # fmt: skip


def _quantities(
    spec: ModelSpec, backend: Backend, workloads: Sequence[Workload], reference: Reference
) -> list[Quantity]:
    """FP32 in pixels where pixels mean something; the noise of raw outputs for everything else."""
    source = _torch_twin(backend.artifact)
    if spec.kind == "detector" and source is None:
        raise Unavailable(f"{spec.name}: no PyTorch weights to compare {backend.artifact.name} with")
    trained, exact = backend.artifact.weights == "trained", backend.precision == "fp32"
    found = []
    if spec.kind == "pose" or trained:
        in_pixels = _keypoint_pixels if spec.kind == "pose" else _box_pixels
        why = "" if exact else BY_AP if trained else FLAT
        found.append(replace(in_pixels(spec, backend, source, workloads, reference), unjudged=why))
    if not exact or not found:
        found.append(_noise(spec, backend, source, workloads, reference))
    return found


def _box_pixels(
    spec: ModelSpec, backend: Backend, source: Artifact, workloads: Sequence[Workload], reference: Reference
) -> Quantity:
    def ask() -> list[tuple[np.ndarray, np.ndarray]]:
        detect = mmdet_boxes(source)
        return [detect(workload.image) for workload in workloads]

    ours, differences = Detector(backend), []
    for workload, expected in zip(workloads, reference.once(source, ask, "boxes"), strict=True):
        found = ours(workload.image)
        differences.append(box_differences(found.boxes, found.scores, *expected))
    return Quantity(
        "mmdet inference_detector",
        "box corners, score > .3",
        "px",
        np.concatenate(differences),
        TOLERANCE_PX,
    )


def _keypoint_pixels(
    spec: ModelSpec,
    backend: Backend,
    source: Artifact | None,
    workloads: Sequence[Workload],
    reference: Reference,
) -> Quantity:
    # Without a box mmpose would take the whole picture as a person.
    peopled = [each for each in workloads if each.persons]
    name = "mmpose inference_topdown, flip off" if source else "onnxruntime FP32"

    def ask() -> list[tuple[np.ndarray, np.ndarray]]:
        estimate = mmpose_keypoints(source) if source else PoseEstimator(open_backend("onnxruntime", spec))
        return [estimate(workload.image, workload.boxes) for workload in peopled]

    ours = PoseEstimator(backend)
    # Random weights give no confident keypoint: there every one is compared.
    least = COMPARED_SCORE if backend.artifact.weights == "trained" else -np.inf
    differences = []
    for workload, (expected, scores) in zip(peopled, reference.once(source, ask, "keypoints"), strict=True):
        found, _ = ours(workload.image, workload.boxes)
        differences.append(np.abs(found - expected).max(axis=2)[scores > least])
    quantity = "keypoints, score > .3" if least > 0 else "keypoints, all"
    return Quantity(
        name, quantity, "px", np.concatenate([*differences, np.empty(0)], axis=None), TOLERANCE_PX
    )


def _noise(
    spec: ModelSpec,
    backend: Backend,
    source: Artifact | None,
    workloads: Sequence[Workload],
    reference: Reference,
) -> Quantity:
    package = "mmdet" if spec.kind == "detector" else "mmpose"
    name = f"{package} module, PyTorch FP32" if source else "onnxruntime FP32"

    def network() -> Backend:
        return open_backend("torch", source) if source else open_backend("onnxruntime", spec)

    def outputs() -> list[list[np.ndarray]]:
        return [exact.run(inputs) for inputs in _network_inputs(spec, workloads)]

    def nudged() -> list[list[np.ndarray]]:
        return [exact.run(_rounded(inputs, backend.precision)) for inputs in _network_inputs(spec, workloads)]

    def empty() -> list[np.ndarray]:
        width, height = spec.input_size
        return exact.run(np.zeros((1, 3, height, width), "float32"))

    exact = reference.once(source, network, "network")
    right = reference.once(source, outputs, "outputs")
    off = reference.once(source, nudged, "nudged", backend.precision)
    blank = reference.once(source, empty, "empty")
    shares, moved = [np.empty(0)], [np.empty(0)]
    pairs = zip(_network_inputs(spec, workloads), right, off, strict=True)
    for inputs, expected, shaken in pairs:
        shares.append(noise_shares(backend.run(inputs), expected, blank))
        moved.append(noise_shares(shaken, expected, blank))
    shares, moved = np.concatenate(shares), np.concatenate(moved)
    nudge, limit = float(np.max(moved, initial=0.0)), TOLERANCE_NOISE[backend.precision]
    unjudged = f"not judged: rounding the input alone moves these outputs by {nudge:.1%}"
    return Quantity(
        name,
        "SimCC vectors, noise" if spec.codec == "simcc" else "raw outputs, noise",
        "1",
        shares,
        max(limit, min(ROUNDINGS * nudge, LOOSEST)),
        unjudged if nudge > limit else "",
    )


def noise_shares(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], blank: Sequence[np.ndarray]
) -> np.ndarray:
    """Returns the noise of every row (picture or person) of every output, see the module's text.

    Raw outputs of a network, each (n, ...), the right ones, and those for an empty picture, each (1, ...).
    """
    shares = []
    for found, expected, nothing in zip(ours, theirs, blank, strict=True):
        off, told = (
            np.square(np.float64(one) - other).reshape(len(one), -1).mean(axis=1)
            for one, other in ((found, expected), (expected, nothing))
        )
        shares.append(np.sqrt(off / np.maximum(told, np.finfo("float32").tiny)))
    return np.concatenate(shares)


def _network_inputs(spec: ModelSpec, workloads: Sequence[Workload]) -> Iterator[np.ndarray]:
    for workload in workloads:
        if spec.kind == "detector":
            yield to_network_input(letterbox(workload.image, spec.input_size)[0][None], spec)
        elif workload.persons:
            affines = person_affines(workload.boxes, spec.input_size, spec.padding)
            yield to_network_input(crop_persons(workload.image, affines, spec.input_size), spec)


def _rounded(inputs: np.ndarray, precision: str) -> np.ndarray:
    """What rounding to a precision does to an input: half of the last place, up or down by chance."""
    signs = np.random.default_rng(0).choice(np.float32([-1, 1]), inputs.shape)
    if precision == "int8":
        return inputs + signs * np.float32(np.ptp(inputs) / 510)
    return inputs * (1 + signs * np.float32(2.0 ** -MANTISSA[precision]))


def _torch_twin(artifact: Artifact) -> Artifact | None:
    """The PyTorch weights that a file was exported from, or None for a file that came as it is."""
    try:
        twin = find_artifact(artifact.spec, "torch", artifact.weights)
    except (Unavailable, AssetError):
        return None
    return twin if twin.digest == artifact.digest else None
