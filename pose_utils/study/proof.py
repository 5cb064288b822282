"""What each file costs in accuracy: every artefact, runtime and precision against FP32 on the same pictures.

Differences are in pixels with the same boxes; AP is on ground truth, its change paired picture by picture.
The reference is FP32 as two files: PyTorch where both models have PyTorch weights, else ONNX Runtime.
`study.parity` holds that reference to mmdet's and mmpose's own inference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from pose_utils.errors import AssetError, InputError, Unavailable
from pose_utils.runtime.fused import FusedPipeline
from pose_utils.runtime.media import read_image
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study.accuracy import box_results, match_boxes, match_keypoints
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.intervals import Estimate, estimate, resampling_weights
from pose_utils.study.material import choose_material
from pose_utils.study.parity import COMPARED_SCORE, NO_BOX_PX, REQUIRED_SHARE, TOLERANCE_PX
from pose_utils.study.records import RunFolder
from pose_utils.types import Detections, Poses
from pose_utils.zoo.specs import parse_models

TWO_FILES, FUSED = "two files", "fused"
ARTEFACTS = (
    (TWO_FILES, "torch", "fp32"), (TWO_FILES, "torch", "bf16"), (TWO_FILES, "onnxruntime", "fp32"),
    (TWO_FILES, "openvino", "fp32"), (TWO_FILES, "openvino", "bf16"), (FUSED, "onnxruntime", "fp32"),
    (FUSED, "openvino", "fp32"), (FUSED, "onnxruntime", "fp16"), (FUSED, "openvino", "fp16"),
    (TWO_FILES, "onnxruntime", "int8"), (TWO_FILES, "openvino", "int8"), (FUSED, "onnxruntime", "int8"),
)  # fmt: skip
"""What is proven: (files, back end, precision)."""

LARGEST_LOSS = {"fp32": 0.003, "fp16": 0.003, "bf16": 0.003, "int8": 0.010}
"""AP (0..1) that a precision may lose against FP32."""

RESAMPLES = 300
LEAST_BOX = 0.05
"""Box score from which detections count for person AP; persons for keypoint AP and pixels need .3."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """What one artefact said of every picture: all boxes with their poses where there are any."""

    poses: list[Poses]
    found: list[Detections]
    on_given: list[np.ndarray] | None


def prove(
    models: str,
    pictures: Sequence[Path],
    truth: GroundTruth | None,
    weights: str = "trained",
    artefacts: Sequence[tuple[str, str, str]] = ARTEFACTS,
    seed: int = 0,
    threads: int | None = None,
) -> list[dict]:
    """Runs every artefact over pictures and returns the rows of proof.csv.

    Args:
        models: "detector+pose".
        pictures: The files, those of `truth` in its order where there is one.
        truth: Their annotated persons; without it there is no AP, and only FP32 is run.
        weights: trained, random or auto.
        artefacts: Which of ARTEFACTS.
        seed: Of the resampling of pictures, the same for all rows.
        threads: CPU threads.
    """
    images = [read_image(path) for path in pictures]
    backend = "torch" if all(spec.config for spec in parse_models(models)) else "onnxruntime"
    reference_pipeline = _opened(models, (TWO_FILES, backend, "fp32"), weights, threads)[0]
    reference = _answers(reference_pipeline, images, None)
    boxes = [poses.boxes for poses in reference.poses]
    expected = _ap(truth, reference, seed)
    rows = []
    for artefact in tqdm(artefacts, desc="proof", unit="artefact"):
        row = _empty_row(models, artefact, f"{backend} fp32, two files")
        if truth is None and artefact[2] != "fp32":
            rows.append({**row, "reason": "lower precision is judged by AP: no ground truth here"})
            continue
        try:
            pipeline, size, used_weights = _opened(models, artefact, weights, threads)
            answers = _answers(pipeline, images, boxes)
        except (Unavailable, AssetError, InputError) as error:
            rows.append({**row, "reason": str(error).splitlines()[0]})
            continue
        row |= {"status": "ok", "weights": used_weights, "size_bytes": size, "images": len(images)}
        row |= _differences(reference, answers) | _changes(expected, _ap(truth, answers, seed))
        rows.append(row | _verdict(row))
    return rows


def prove_run(run: RunFolder, pictures: int, seed: int = 0) -> pd.DataFrame:
    """Proves the models of a run on its pictures and writes proof.csv.

    Args:
        run: Its run.json names the models.
        pictures: At most so many; 0 leaves every row skipped.
        seed: Of the resampling.
    """
    models = run.info()["models"]
    reason = "" if len(parse_models(models)) == 2 else f"{models} is one network, without variants"
    reason = reason or ("" if pictures else "left out of this profile, which is for tests")
    if reason:
        rows = [{**_empty_row(models, artefact, ""), "reason": reason} for artefact in ARTEFACTS]
    else:
        material = choose_material(limit=pictures)
        rows = prove(models, material.paths, material.truth, "auto", seed=seed)
    return run.write("proof.csv", rows)


def _opened(
    models: str, artefact: tuple[str, str, str], weights: str, threads: int | None
) -> tuple[PosePipeline | FusedPipeline, float, str]:
    kind, backend, precision = artefact
    if kind == FUSED:
        fused = FusedPipeline.from_models(models, backend, precision, "cpu", threads, weights, LEAST_BOX)
        return fused, float(fused.path.stat().st_size), fused.weights
    pipeline = PosePipeline.from_models(models, backend, precision, "cpu", threads, weights, COMPARED_SCORE)
    return pipeline, float(sum(stage.size_bytes for stage in pipeline.backends)), pipeline.weights


def _answers(
    pipeline: PosePipeline | FusedPipeline, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
) -> _Answers:
    if isinstance(pipeline, FusedPipeline):
        everybody = [pipeline(image) for image in images]
        return _Answers(
            [_above(poses) for poses in everybody],
            [Detections(poses.boxes, poses.box_scores) for poses in everybody],
            None,
        )
    pairs = [pipeline.detect_and_pose(image) for image in images]
    given = None
    if boxes is not None:
        given = [pipeline(image, boxes=each).keypoints for image, each in zip(images, boxes, strict=True)]
    return _Answers([poses for poses, _ in pairs], [found for _, found in pairs], given)


def _above(poses: Poses) -> Poses:
    keep = poses.box_scores > COMPARED_SCORE
    return Poses(poses.keypoints[keep], poses.scores[keep], poses.boxes[keep], poses.box_scores[keep])


def _differences(reference: _Answers, answers: _Answers) -> dict:
    boxes, joints = [np.empty(0)], [np.empty(0)]
    for index, (theirs, ours) in enumerate(zip(reference.poses, answers.poses, strict=True)):
        distances = np.abs(theirs.boxes[:, None] - ours.boxes[None]).max(axis=2, initial=0)
        rows, columns = linear_sum_assignment(distances)
        lost = len(theirs) + len(ours) - 2 * len(rows)
        boxes += [distances[rows, columns], np.full(lost, NO_BOX_PX)]
        if answers.on_given is not None:
            found, expected, sure = answers.on_given[index], theirs.keypoints, theirs.scores
        else:
            found, expected, sure = ours.keypoints[columns], theirs.keypoints[rows], theirs.scores[rows]
        joints.append(np.abs(found - expected).max(axis=2, initial=0)[sure > COMPARED_SCORE])
    boxes, joints = np.concatenate(boxes), np.concatenate(joints)
    paired = boxes[boxes < NO_BOX_PX]
    return {
        "boxes": len(boxes), "unpaired": len(boxes) - len(paired), "box_max_px": _or_nan(np.max, paired),
        "keypoints": len(joints), "keypoint_max_px": _or_nan(np.max, joints),
        "keypoint_p999_px": _or_nan(lambda values: np.quantile(values, 0.999), joints),
        "share_within": _or_nan(lambda values: (values <= TOLERANCE_PX).mean(), joints),
    }  # fmt: skip


def _or_nan(figure: Callable[[np.ndarray], float], values: np.ndarray) -> float:
    return float(figure(values)) if len(values) else np.nan


def _ap(truth: GroundTruth | None, answers: _Answers, seed: int) -> dict[str, Estimate]:
    if truth is None:
        return {}
    ids = [image.id for image in truth.images]
    joints = [entry for poses, name in zip(answers.poses, ids, strict=True) for entry in poses.to_coco(name)]
    boxes = [
        entry for found, name in zip(answers.found, ids, strict=True) for entry in box_results(found, name)
    ]
    matched = {"keypoint": match_keypoints(truth, joints), "person": match_boxes(truth, boxes)}
    weights = resampling_weights(len(ids), RESAMPLES, seed)
    return {name: estimate(matches.precision(weights)) for name, matches in matched.items()}


def _changes(reference: dict[str, Estimate], ours: dict[str, Estimate]) -> dict:
    row = {}
    for name, figure in ours.items():
        change = figure - reference[name]
        low, high = change.interval()
        row |= {f"{name}_ap": figure.value, f"{name}_change": change.value,
                f"{name}_low": low, f"{name}_high": high}  # fmt: skip
    return row


def _verdict(row: dict) -> dict:
    """FP32 is held to pixels, lower precisions to AP; random weights have no AP to lose.

    A loss beyond the bar whose interval still holds the bar is `unsure`: neither held nor refuted.
    """
    precision, reasons, doubts = row["precision"], [], []
    if precision == "fp32":
        if row["share_within"] < REQUIRED_SHARE:
            reasons.append(f"{row['share_within']:.2%} of keypoints within {TOLERANCE_PX} px")
        if row["unpaired"] or row["box_max_px"] > TOLERANCE_PX:
            reasons.append("boxes differ")
    bar = LARGEST_LOSS[precision]
    for name in ("keypoint", "person"):
        if row[f"{name}_change"] >= -bar or np.isnan(row[f"{name}_change"]):
            continue
        said = f"{name} AP falls by {-row[f'{name}_change'] * 100:.1f} points"
        if row[f"{name}_high"] < -bar:
            reasons.append(said)
        else:
            doubts.append(f"{said}, too few pictures to tell from the {bar * 100:.1f} allowed")
    if row["weights"] == "random":
        return {"passed": "", "reason": "not judged: random weights have no AP"}
    verdict = "no" if reasons else "unsure" if doubts else "yes"
    return {"passed": verdict, "reason": "; ".join(reasons + doubts)}


def _empty_row(models: str, artefact: tuple[str, str, str], reference: str) -> dict:
    kind, backend, precision = artefact
    figures = ("box_max_px", "keypoint_max_px", "keypoint_p999_px", "share_within", "size_bytes",
               "keypoint_ap", "keypoint_change", "keypoint_low", "keypoint_high",
               "person_ap", "person_change", "person_low", "person_high")  # fmt: skip
    return {
        "models": models, "files": kind, "backend": backend, "precision": precision, "status": "skipped",
        "reason": "", "passed": "", "weights": "", "reference": reference, "images": 0, "boxes": 0,
        "unpaired": 0, "keypoints": 0, **dict.fromkeys(figures, np.nan),
    }  # fmt: skip
