"""Keypoint and person AP of a pipeline on a COCO keypoint set, with detected or true boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from pose_utils.errors import InputError, UsageError
from pose_utils.runtime.media import read_image
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study.accuracy import box_results, evaluate_boxes, evaluate_keypoints
from pose_utils.study.annotations import GroundTruth, load_coco_keypoints


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        keypoint_ap, keypoint_ar: COCO keypoint AP and AR at OKS .5:.95, 20 persons an image.
        person_ap: COCO box AP at IoU .5:.95; None with true boxes.
        images, persons: Images evaluated, persons with keypoints in them.
        models, backend: What ran.
        skipped: reason -> count of images and annotations that were left out.
    """

    keypoint_ap: float
    keypoint_ar: float
    person_ap: float | None
    images: int
    persons: int
    models: str
    backend: str
    skipped: dict[str, int]


def evaluate(
    pipeline: PosePipeline,
    images_dir: Path,
    annotations: Path,
    boxes: str = "detected",
    progress: bool = True,
) -> Evaluation:
    """Runs `pipeline` over a COCO-format set.

    Args:
        pipeline: Opened with the score threshold that AP wants (`ModelSpec.ap_score`).
        images_dir: Where the pictures are.
        annotations: COCO keypoint annotations.
        boxes: "detected" for the pipeline's own boxes, "truth" for those of the annotated persons.
        progress: Show a bar with an estimate.

    Raises:
        InputError: Unusable annotations, or none of the pictures can be read.
        UsageError: Unknown `boxes`, or true boxes for a one-stage model.
    """
    if boxes not in ("detected", "truth"):
        raise UsageError(f"boxes is {boxes!r}; allowed: detected, truth")
    if boxes == "truth" and not pipeline.takes_boxes:
        raise UsageError(f"{pipeline.models} finds boxes itself; use --boxes detected")
    truth = load_coco_keypoints(annotations, images_dir)
    skipped = dict(truth.skipped)
    keypoints: list[dict] = []
    persons: list[dict] = []
    read: list[int | str] = []
    for image in tqdm(truth.images, desc=f"evaluating {pipeline.models}", unit="image", disable=not progress):
        try:
            pixels = read_image(image.path)
        except InputError:
            skipped["image unreadable"] = skipped.get("image unreadable", 0) + 1
            continue
        read.append(image.id)
        if boxes == "truth":
            poses = pipeline(pixels, boxes=image.persons.boxes[image.persons.posed])
        else:
            poses, found = pipeline.detect_and_pose(pixels)
            persons += box_results(found, image.id)
        keypoints += poses.to_coco(image.id)
    if not read:
        raise InputError(f"none of the {len(truth.images)} pictures in {images_dir} can be read")
    truth = _read_part(truth, read)
    figures = evaluate_keypoints(truth, keypoints)
    return Evaluation(
        keypoint_ap=figures["ap"],
        keypoint_ar=figures["ar"],
        person_ap=evaluate_boxes(truth, persons)["ap"] if boxes == "detected" else None,
        images=len(read),
        persons=truth.persons,
        models=pipeline.models,
        backend=pipeline.backend,
        skipped=skipped,
    )


def _read_part(truth: GroundTruth, read: list[int | str]) -> GroundTruth:
    return truth if len(read) == len(truth.images) else truth.restricted(read)
