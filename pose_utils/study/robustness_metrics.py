"""Every figure of the robustness study, from recorded predictions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.study import accuracy, tallies
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.attribution import (
    BOTH_SUFFER,
    DETECTOR_SUFFERS,
    POSE_SUFFERS,
    SPLIT,
    count_causes,
    split_loss,
)
from pose_utils.study.intervals import Estimate, corruption_means, estimate, resampling_weights
from pose_utils.study.predictions import PHANTOM, Maker, Setting, candidates_of, phantom_scores, poses_of
from pose_utils.types import KEYPOINT_NAMES, Poses

COMPARED = (
    "detection_rate", "mean_confidence", "keypoint_ap", "keypoint_ar", "person_ap", "person_recall", "pck",
    "persons_found", "consistency",
)  # fmt: skip
"""Metrics whose paired difference from clean is reported as `<metric>_minus_clean`."""

PHANTOM_SCORE = 0.3
"""Mean keypoint score from which the whole picture counts as a person: mmpose's default for drawing one. The
published study does not tell its own."""

CORRUPTED = "corrupted"
"""Condition of the rows that average over all conditions but clean."""

UNITS = {
    "persons_per_image": "persons", "images_processed": "images", "images_with_keypoints": "images",
}  # fmt: skip

Figures = dict[str, tuple[Estimate, str]]
"""metric -> (figure, what it was compared with: "truth", "clean" or "")."""


@dataclass(frozen=True, eq=False)
class _Scene:
    """The pictures of a study in their order, their truth, and the resamples that all figures share."""

    names: list[str]
    truth: GroundTruth | None
    weights: np.ndarray

    def ids(self) -> list:
        known = self.truth.by_name()
        return [known[Path(name).name].id for name in self.names]

    def persons(self) -> list:
        known = self.truth.by_name()
        return [known[Path(name).name].persons for name in self.names]

    def for_matches(self, matches: accuracy.Matches) -> np.ndarray:
        """The same draws with their columns in COCOeval's order of the images."""
        place = {image_id: index for index, image_id in enumerate(self.ids())}
        return self.weights[:, [place[image_id] for image_id in matches.image_ids]]


def metric_rows(
    maker: Maker,
    persons: pd.DataFrame,
    joints: pd.DataFrame,
    pairs: Sequence[tuple[str, int]],
    names: Sequence[str],
    modes: Sequence[str],
    truth: GroundTruth | None,
    seed: int,
    bootstrap: int,
) -> pd.DataFrame:
    """Returns rows of metrics.csv (without FPS, which is timed during the pass).

    With truth, for each condition and origin of the boxes: keypoint AP and AR (also at .5, .75 and by
    size), person AP, person recall at IoU .5 above the detector's threshold (also by size), PCK and PCK of
    each joint, and persons found. Always: detection rate, mean confidence and persons an image, as
    published (the rate also with their fallback, see `PHANTOM_SCORE`), and agreement with the clean
    prediction. What keypoint AP, persons found and consistency lose is split between the stages
    (`attribution.split_loss`), and `persons_lost_<cause>` says which stage's corruption was enough. mPC and
    rPC average keypoint AP over all conditions but clean, and as `mpc_<family>` over the severities of one.

    Args:
        maker: Whose predictions these are.
        persons: Rows of persons.parquet.
        joints: Rows of poses.parquet.
        pairs: (condition, severity), clean among them.
        names: The pictures that were processed.
        modes: Origins of boxes, "detected" among them.
        truth: Annotations, or None.
        seed: Of the bootstrap.
        bootstrap: Number of resamples.
    """
    scene = _Scene(list(names), truth, resampling_weights(len(names), bootstrap, seed))
    if truth is not None:
        scene = _Scene(scene.names, truth.restricted(scene.ids()), scene.weights)
    clean = poses_of(persons, joints, Setting("clean", 0, "detected"), names)
    fallback = bool((persons["boxes"] == PHANTOM).any())
    found: dict[tuple[str, int, str], Figures] = {}
    seen: dict[tuple[str, int, str], list[np.ndarray]] = {}
    for condition, severity in pairs:
        rows = persons[(persons["condition"] == condition) & (persons["severity"] == severity)]
        points = joints[(joints["condition"] == condition) & (joints["severity"] == severity)]
        for mode in modes:
            if condition == "clean" and mode in (POSE_SUFFERS, DETECTOR_SUFFERS):
                continue  # the same as detected
            poses = poses_of(rows, points, Setting(condition, severity, mode), names)
            figures = _basic(scene, poses)
            if mode == "detected" and fallback:
                ghosts = phantom_scores(rows, condition, severity, names)
                figures["detection_rate_with_phantom"] = _with_phantom(scene, poses, ghosts)
            if mode != "truth":
                figures |= _agreement(scene, clean, poses)
            if truth is not None:
                figures |= _against_truth(scene, poses, in_full=mode in ("detected", "truth"))
                seen[condition, severity, mode] = tallies.found_persons(scene.persons(), poses)
                figures["persons_found"] = _share_found(scene, seen[condition, severity, mode])
            if truth is not None and mode == "detected":
                low = candidates_of(rows, condition, severity, names)
                figures |= _boxes_against_truth(scene, poses, low)
            found[condition, severity, mode] = figures
    _add_differences(found)
    _add_attribution(found)
    _add_causes(found, seen, scene)
    _add_means(found, modes)
    return pd.DataFrame([
        maker.columns() | _row(setting, metric, figure, reference, len(names))
        for setting, figures in found.items() for metric, (figure, reference) in figures.items()
    ])  # fmt: skip


def _row(setting: tuple[str, int, str], metric: str, figure: Estimate, reference: str, images: int) -> dict:
    condition, severity, mode = setting
    low, high = figure.interval()
    unit = UNITS.get(metric, "share")
    return {
        "condition": condition, "severity": severity, "boxes": mode, "metric": metric, "value": figure.value,
        "low": low, "high": high, "n": images, "unit": unit, "reference": reference,
    }  # fmt: skip


def _tally(scene: _Scene, tally: tallies.Tally) -> Estimate:
    return estimate(tallies.ratio(tally, scene.weights))


def _basic(scene: _Scene, poses: list[Poses]) -> Figures:
    presence = tallies.presence(poses)
    figures = {name: (_tally(scene, tally), "") for name, tally in presence.items()}
    processed = Estimate(float(len(poses)), np.full(len(scene.weights) - 1, float(len(poses))))
    figures["images_processed"] = (processed, "")
    if scene.truth is not None:
        # The published 2,693 images include those whose persons have no keypoints (2,346 have).
        posed = np.array([float(persons.posed.any()) for persons in scene.persons()])
        someone = presence["detection_rate"][0] * posed
        figures["detection_rate_with_keypoints"] = (_tally(scene, (someone, posed)), "")
        with_keypoints = Estimate(float(posed.sum()), scene.weights[1:] @ posed)
        figures["images_with_keypoints"] = (with_keypoints, "")
    return figures


def _with_phantom(scene: _Scene, poses: list[Poses], ghosts: np.ndarray) -> tuple[Estimate, str]:
    """Counts a picture as the published pipeline did: the whole of it stands in where nobody was found."""
    someone = np.array([len(found) > 0 for found in poses]) | (ghosts > PHANTOM_SCORE)
    return _tally(scene, (someone.astype(float), np.ones(len(poses)))), ""


def _share_found(scene: _Scene, found: list[np.ndarray]) -> tuple[Estimate, str]:
    counts = np.array([(some.sum(), len(some)) for some in found], float)
    return _tally(scene, (counts[:, 0], counts[:, 1])), "truth"


def _agreement(scene: _Scene, clean: list[Poses], poses: list[Poses]) -> Figures:
    alike, kept = tallies.consistency(clean, poses)
    return {"consistency": (_tally(scene, alike), "clean"), "persons_kept": (_tally(scene, kept), "clean")}


def _against_truth(scene: _Scene, poses: list[Poses], in_full: bool) -> Figures:
    """Compares poses with the truth; of worlds that only attribution asks for, AP and PCK are enough."""
    pairs = zip(scene.ids(), poses, strict=True)
    results = [result for image_id, found in pairs for result in found.to_coco(image_id)]
    matches = accuracy.match_keypoints(scene.truth, results)
    weights = scene.for_matches(matches)
    values = accuracy.figures(matches, weights) if in_full else {"ap": matches.precision(weights)}
    figures = {f"keypoint_{name}": (estimate(value), "truth") for name, value in values.items()}
    right, labelled = tallies.pck(scene.persons(), poses)
    figures["pck"] = (_tally(scene, (right.sum(axis=1), labelled.sum(axis=1))), "truth")
    for index, joint in enumerate(KEYPOINT_NAMES if in_full else ()):
        figures[f"pck_{joint}"] = (_tally(scene, (right[:, index], labelled[:, index])), "truth")
    return figures


def _boxes_against_truth(scene: _Scene, poses: list[Poses], low: list) -> Figures:
    results, posed = [], []
    for image_id, found, below in zip(scene.ids(), poses, low, strict=True):
        posed += found.to_coco(image_id)
        results += found.to_coco(image_id) + accuracy.box_results(below, image_id)
    every = accuracy.match_boxes(scene.truth, results)
    above = accuracy.match_boxes(scene.truth, posed)
    weights = scene.for_matches(every)
    figures = {"person_ap": (estimate(every.precision(weights)), "truth")}
    for area in above.areas:
        name = "person_recall" if area == "all" else f"person_recall_{area}"
        figures[name] = (estimate(above.recall(weights, area, threshold=0.5)), "truth")
    return figures


def _add_differences(found: dict[tuple[str, int, str], Figures]) -> None:
    for (condition, _, mode), figures in found.items():
        if condition == "clean":
            continue
        before = found["clean", 0, _before(mode)]
        for name in COMPARED:
            if name in figures and name in before:
                change = figures[name][0] - before[name][0]
                figures[f"{name}_minus_clean"] = (change, figures[name][1])


def _before(mode: str) -> str:
    """Returns the origin of boxes that `mode` comes down to on the clean picture."""
    return "truth" if mode == "truth" else "detected"


def _worlds(found: dict, condition: str, severity: int) -> tuple | None:
    """Returns what is known with only the pose model, only the detector, and both corrupted."""
    keys = [(condition, severity, mode) for mode in (POSE_SUFFERS, DETECTOR_SUFFERS, BOTH_SUFFER)]
    return tuple(found[key] for key in keys) if all(key in found for key in keys) else None


def _add_attribution(found: dict[tuple[str, int, str], Figures]) -> None:
    clean = found["clean", 0, "detected"]
    for (condition, severity, mode), figures in found.items():
        worlds = _worlds(found, condition, severity) if mode == BOTH_SUFFER else None
        for name in SPLIT if worlds else ():
            if name in clean:
                parts = split_loss(clean[name][0], *(world[name][0] for world in worlds))
                figures |= {f"{name}_{part}": (part_of, clean[name][1]) for part, part_of in parts.items()}


def _add_causes(
    found: dict[tuple[str, int, str], Figures], seen: dict[tuple[str, int, str], list], scene: _Scene
) -> None:
    for (condition, severity, mode), figures in found.items():
        worlds = _worlds(seen, condition, severity) if mode == BOTH_SUFFER else None
        if worlds:
            causes = count_causes(seen["clean", 0, "detected"], *worlds)
            figures |= {
                f"persons_lost_{cause}": (_tally(scene, tally), "truth") for cause, tally in causes.items()
            }


def _add_means(found: dict[tuple[str, int, str], Figures], modes: Sequence[str]) -> None:
    """Averages over all conditions but clean, and over the severities of each family that has several."""
    for mode in modes:
        rows = {(condition, severity): figures for (condition, severity, origin), figures in found.items()
                if condition != "clean" and origin == mode}  # fmt: skip
        groups = {"": list(rows.values())}
        for family in dict.fromkeys(condition for condition, severity in rows if severity):
            levels = [figures for (condition, _), figures in rows.items() if condition == family]
            groups |= {f"_{family}": levels} if len(levels) > 1 else {}
        before = found["clean", 0, _before(mode)]
        for name, prefix in (("keypoint_ap", ""), ("consistency", "consistency_")):
            for suffix, group in groups.items():
                if group and name in before and name in group[0]:
                    means = corruption_means(before[name][0], [figures[name][0] for figures in group])
                    mean_rows = found.setdefault((CORRUPTED, 0, mode), {})
                    mean_rows |= {
                        f"{prefix}{key}{suffix}": (figure, before[name][1]) for key, figure in means.items()
                    }
