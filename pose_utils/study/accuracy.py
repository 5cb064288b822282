"""COCO average precision and recall of keypoints and boxes, with room for intervals.

pycocotools' COCOeval matches predictions with persons, once. What it found is kept by image
(`Matches`), so that the figure of any resample of the images follows from weights on those
matches without matching again. With every weight 1 the figures are COCOeval's own.

How the figures are defined here: keypoint AP ranks the persons whose detector score is above .3 by box
score times mean keypoint score (`Poses.to_coco`), 20 an image; person AP ranks detector boxes
above .05 by their score, 100 an image.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_utils.errors import InputError
from pose_utils.study.annotations import GroundTruth
from pose_utils.types import Detections

CHUNK_CELLS = 4_000_000
"""Resamples times detections handled at once: bounds the memory at about 200 MB."""

Weights = np.ndarray
"""float64 (resamples, images): how often each image, in `Matches.image_ids` order, is drawn."""


@dataclass(frozen=True, eq=False)
class Matches:
    """What COCOeval matched, best score first over all images (ties in COCOeval's order).

    Attributes:
        image_ids: The images, in COCOeval's order; weights follow it.
        areas: Labels of the area ranges: all, then by size.
        thresholds: (t,) OKS or IoU thresholds, .5 to .95.
        scores: (d,) scores of the predictions.
        image: (d,) index into `image_ids` of each prediction.
        hit: bool (a, t, d), matched with a person who counts.
        false: bool (a, t, d), matched with nobody and not ignored.
        persons: (a, images) persons who count.
    """

    image_ids: tuple
    areas: tuple[str, ...]
    thresholds: np.ndarray
    scores: np.ndarray
    image: np.ndarray
    hit: np.ndarray
    false: np.ndarray
    persons: np.ndarray

    @property
    def once(self) -> Weights:
        """Weights that draw every image once: the plain figure."""
        return np.ones((1, len(self.image_ids)))

    def precision_by_threshold(self, weights: Weights, area: str = "all") -> np.ndarray:
        """Returns AP at each threshold, (resamples, t), NaN where no person counts.

        The mean of the interpolated precision at recall 0, .01, ..., 1. An image of weight 2 counts
        as if it were there twice.
        """
        row = self.areas.index(area)
        size = max(1, CHUNK_CELLS // max(1, len(self.scores)))
        starts = range(0, len(weights), size)
        return np.concatenate([self._precision(weights[start : start + size], row) for start in starts])

    def precision(self, weights: Weights, area: str = "all", threshold: float | None = None) -> np.ndarray:
        """Returns AP for each row of `weights`: the mean over all thresholds, or AP at one of them."""
        return self.precision_by_threshold(weights, area)[:, self._chosen(threshold)].mean(axis=1)

    def recall(
        self, weights: Weights, area: str = "all", threshold: float | None = None, floor: float = -np.inf
    ) -> np.ndarray:
        """Returns recall for each row of `weights`, NaN where no person counts.

        Args:
            weights: (resamples, images).
            area: Label of the area range.
            threshold: One of `thresholds`; None takes the mean over all, which is AR.
            floor: Only predictions scored above it count. Matching goes from the best score down, so
                leaving out the rest changes no match above.
        """
        row = self.areas.index(area)
        found = self.hit[row][self._chosen(threshold)] & (self.scores > floor)
        total = weights @ self.persons[row]
        hits = np.stack([np.bincount(self.image[each], minlength=len(self.image_ids)) for each in found])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, (weights @ hits.T.astype(float)).mean(axis=1) / total, np.nan)

    def _chosen(self, threshold: float | None) -> np.ndarray:
        if threshold is None:
            return np.arange(len(self.thresholds))
        return np.flatnonzero(np.isclose(self.thresholds, threshold))

    def _precision(self, weights: Weights, row: int) -> np.ndarray:
        total = weights @ self.persons[row]
        drawn = weights[:, self.image]
        levels = np.linspace(0.0, 1.0, 101)
        reached = np.zeros((len(weights), len(self.thresholds), len(levels)))
        for index in range(len(self.thresholds)):
            hits = np.cumsum(drawn * self.hit[row, index], axis=1)
            misses = np.cumsum(drawn * self.false[row, index], axis=1)
            precise = hits / (misses + hits + np.spacing(1))
            best = np.maximum.accumulate(precise[:, ::-1], axis=1)[:, ::-1]
            best = np.concatenate([best, np.zeros((len(weights), 1))], axis=1)  # a recall never reached
            with np.errstate(divide="ignore", invalid="ignore"):
                recalls = hits / total[:, None]
            for sample in np.flatnonzero(total > 0):
                reached[sample, index] = best[sample, np.searchsorted(recalls[sample], levels, side="left")]
        return np.where(total[:, None] > 0, reached.mean(axis=2), np.nan)


def match_keypoints(truth: GroundTruth, results: Sequence[dict]) -> Matches:
    """Matches COCO keypoint results (`Poses.to_coco`) with the truth by OKS.

    A result's `bbox` is left out: loadRes would take the prediction's area from it instead of from
    the extent of the keypoints, which is what the official evaluation does.

    Raises:
        InputError: A result is of an image that the truth does not hold.
    """
    fields = ("image_id", "category_id", "keypoints", "score")
    return _match(truth, [{name: result[name] for name in fields} for result in results], "keypoints")


def match_boxes(truth: GroundTruth, results: Sequence[dict]) -> Matches:
    """Matches COCO box results with the truth by IoU; `bbox_score` ranks them where there is one.

    Raises:
        InputError: A result is of an image that the truth does not hold.
    """
    boxes = [
        {"image_id": result["image_id"], "category_id": result["category_id"], "bbox": result["bbox"],
         "score": result.get("bbox_score", result["score"])}
        for result in results
    ]  # fmt: skip
    return _match(truth, boxes, "bbox")


def box_results(detections: Detections, image_id: int | str) -> list[dict]:
    """Returns detected boxes as COCO box results (xywh)."""
    return [
        {"image_id": image_id, "category_id": 1, "score": float(score),
         "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]}
        for (x1, y1, x2, y2), score in zip(detections.boxes, detections.scores, strict=True)
    ]  # fmt: skip


def _match(truth: GroundTruth, results: list[dict], kind: str) -> Matches:
    known = {image.id for image in truth.images}
    strangers = {result["image_id"] for result in results} - known
    if strangers:
        raise InputError(f"results name images that the annotations do not hold: {sorted(strangers)[:5]}")
    category = truth.dataset["categories"][0]["id"]
    results = [result | {"category_id": category} for result in results]
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        # COCOeval writes flags into the annotations: give it its own.
        reference.dataset = truth.dataset | {"annotations": [dict(a) for a in truth.dataset["annotations"]]}
        reference.createIndex()
        if results:
            predicted = reference.loadRes(results)
        else:  # loadRes looks at the first result
            predicted = COCO()
            predicted.dataset = reference.dataset | {"annotations": []}
            predicted.createIndex()
        run = COCOeval(reference, predicted, kind)
        run.evaluate()
    return _collect(run)


def _collect(run: COCOeval) -> Matches:
    areas, ids = tuple(run.params.areaRngLbl), tuple(run.params.imgIds)
    thresholds, limit = run.params.iouThrs, run.params.maxDets[-1]
    persons = np.zeros((len(areas), len(ids)))
    scores, owner, hits, falses = [], [], [], []
    for row in range(len(areas)):
        matched, ignored = [], []
        for index, found in enumerate(run.evalImgs[row * len(ids) : (row + 1) * len(ids)]):
            if found is None:
                continue
            persons[row, index] = np.count_nonzero(np.asarray(found["gtIgnore"]) == 0)
            matched.append(found["dtMatches"][:, :limit] != 0)
            ignored.append(np.asarray(found["dtIgnore"], bool)[:, :limit])
            if row == 0:
                scores += list(found["dtScores"][:limit])
                owner += [index] * len(found["dtScores"][:limit])
        nothing = [np.zeros((len(thresholds), 0), bool)]
        matched, ignored = (np.concatenate(found or nothing, axis=1) for found in (matched, ignored))
        hits.append(matched & ~ignored)
        falses.append(~matched & ~ignored)
    order = np.argsort(-np.array(scores, float), kind="mergesort")
    return Matches(
        image_ids=ids, areas=areas, thresholds=thresholds, scores=np.array(scores, float)[order],
        image=np.array(owner, int)[order], hit=np.stack(hits)[:, :, order],
        false=np.stack(falses)[:, :, order], persons=persons,
    )  # fmt: skip


def figures(matches: Matches, weights: Weights | None = None) -> dict[str, np.ndarray]:
    """Returns AP and AR over .5:.95, at .5 and .75, and by size: name -> (resamples,)."""
    weights = matches.once if weights is None else weights
    at = matches.precision_by_threshold(weights)
    half, strict = (int(np.argmin(np.abs(matches.thresholds - level))) for level in (0.5, 0.75))
    found = {"ap": at.mean(axis=1), "ap50": at[:, half], "ap75": at[:, strict]}
    sizes = [area for area in matches.areas if area != "all"]
    found |= {f"ap_{area}": matches.precision(weights, area) for area in sizes}
    found |= {"ar": matches.recall(weights), "ar50": matches.recall(weights, threshold=0.5),
              "ar75": matches.recall(weights, threshold=0.75)}  # fmt: skip
    return found | {f"ar_{area}": matches.recall(weights, area) for area in sizes}


def evaluate_keypoints(truth: GroundTruth, results: Sequence[dict]) -> dict[str, float]:
    """Returns keypoint ap, ap50, ap75, ap_medium, ap_large and the same of ar; NaN without persons."""
    return {name: float(value[0]) for name, value in figures(match_keypoints(truth, results)).items()}


def evaluate_boxes(truth: GroundTruth, results: Sequence[dict]) -> dict[str, float]:
    """Returns person ap, ap50, ap75, ap_small, _medium, _large and the same of ar; NaN without persons."""
    return {name: float(value[0]) for name, value in figures(match_boxes(truth, results)).items()}
