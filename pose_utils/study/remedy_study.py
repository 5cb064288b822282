"""What each remedy buys and costs under each condition, and whether a gate knows which frames to skip."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pose_utils.runtime.media import read_image
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.study import conditions as known_conditions
from pose_utils.study import tallies
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.failure_rules import assign
from pose_utils.study.failures import clean_references, truth_references
from pose_utils.study.headline import headline, headline_metric
from pose_utils.study.intervals import Estimate, estimate, resampling_weights
from pose_utils.study.mitigations import AS_IT_IS, noise_level, remedies_for, sharpness
from pose_utils.study.oks import oks
from pose_utils.study.predictions import Maker
from pose_utils.study.records import RunFolder
from pose_utils.types import Poses

GATE = "frame gate"
GATE_SHARE = 0.05
"""Share of the clean pictures that the gate may take for too blurred, and as many for too noisy."""

FAILED_OKS = 0.5
"""A frame fails where its persons' mean OKS, the lost ones counted 0, is below this."""


@dataclass(eq=False)
class _Frames:
    """What one condition gave: predictions and milliseconds by remedy, and the signals of the gate."""

    poses: dict[str, list[Poses]] = field(default_factory=dict)
    ms: dict[str, list[float]] = field(default_factory=dict)
    sharp: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)


def study_remedies(
    pipeline: PosePipeline,
    images: Sequence[Path],
    conditions: Sequence[str],
    *,
    truth: GroundTruth | None,
    seed: int,
    run: RunFolder,
    bootstrap: int = 1000,
    progress: bool = True,
) -> pd.DataFrame:
    """Runs every remedy on every picture under every condition and writes remedies.csv.

    Why a remedy could not be tried stands in run.json under `remedies_left_out`.

    Gains are against the same pipeline without a remedy, paired picture by picture. The figure is keypoint AP
    with truth, else OKS with the prediction on the clean picture. Milliseconds are what a remedy adds to a
    frame. The gate skips a frame that is more blurred or noisier than 95 % of the clean pictures; its
    precision and recall say how many skipped frames would have failed, and how many that fail it skips.

    Args:
        pipeline: The networks.
        images: Pictures, whose names are unique.
        conditions: As `conditions.expand` takes them; clean is added.
        truth: Annotations of the pictures, or None.
        seed: Of corruptions and resamples.
        run: Where remedies.csv goes.
        bootstrap: Resamples of the pictures.
        progress: Shows a bar.
    """
    pairs = list(dict.fromkeys([("clean", 0), *known_conditions.expand(conditions)]))
    remedies, left_out = remedies_for(pipeline)
    run.update_info(remedies_left_out=left_out)
    if images:
        _try_all(pipeline, read_image(images[0]), remedies, _frames(remedies))  # first calls are slow
    found: dict[tuple[str, int], _Frames] = {}
    with tqdm(total=len(pairs) * len(images), unit="image", disable=not progress, mininterval=1) as bar:
        for pair in pairs:
            frames = found[pair] = _frames(remedies)
            bar.set_description(f"remedies, {pair[0]}")
            for index, path in enumerate(images):
                boxes = _boxes(truth, path, found[pairs[0]].poses[AS_IT_IS], index)
                image = known_conditions.apply(pair[0], read_image(path), image_name=path.name, seed=seed,
                                               severity=pair[1], boxes=boxes)  # fmt: skip
                _try_all(pipeline, image, remedies, frames)
                bar.update()
    maker = Maker(pipeline.models, pipeline.backend, pipeline.precision)
    names = [path.name for path in images]
    rows = _rows(found, names, truth, resampling_weights(len(names), bootstrap, seed))
    return run.write("remedies.csv", pd.DataFrame([maker.columns() | row for row in rows]))


def _boxes(truth: GroundTruth | None, path: Path, clean: list[Poses], index: int) -> np.ndarray:
    """Persons' boxes for conditions that are placed on persons; on the clean picture nobody asks for them."""
    if truth is not None:
        persons = truth.by_name()[path.name].persons
        return persons.boxes[persons.posed]
    return clean[index].boxes if index < len(clean) else np.empty((0, 4))


def _frames(remedies: Iterable[str]) -> _Frames:
    return _Frames({name: [] for name in remedies}, {name: [] for name in remedies})


def _try_all(pipeline: PosePipeline, image: np.ndarray, remedies: dict, frames: _Frames) -> None:
    for name, remedy in remedies.items():
        start = time.perf_counter()
        frames.poses[name].append(remedy(pipeline, image))
        frames.ms[name].append((time.perf_counter() - start) * 1000)
    frames.sharp.append(sharpness(image))
    frames.noise.append(noise_level(image))


def _rows(
    found: dict[tuple[str, int], _Frames], names: list[str], truth: GroundTruth | None, weights: np.ndarray
) -> list[dict]:
    clean = found["clean", 0]
    references = truth_references(truth, names) if truth else clean_references(clean.poses[AS_IT_IS])
    rows, gate = [], _Gate(clean)
    for (condition, severity), frames in found.items():
        base = headline(frames.poses[AS_IT_IS], names, truth, clean.poses[AS_IT_IS], weights)
        everybody = _extras(references, frames.poses[AS_IT_IS])
        for remedy, predicted in frames.poses.items():
            figure = headline(predicted, names, truth, clean.poses[AS_IT_IS], weights)
            extra = _extras(references, predicted) - everybody
            slower = np.array(frames.ms[remedy]) - np.array(frames.ms[AS_IT_IS])
            ones = np.ones(len(names))
            values = {
                headline_metric(truth): (figure, "share"),
                "gain": (figure - base, "share"),
                "extra_persons": (estimate(tallies.ratio((extra, ones), weights)), "persons per picture"),
                "ms": (_median(np.array(frames.ms[remedy]), weights), "ms"),
                "ms_added": (_median(slower, weights), "ms"),
            }
            rows += [_row(remedy, condition, severity, name, *value, len(names))
                     for name, value in values.items()]  # fmt: skip
        failed = _failed(references, frames.poses[AS_IT_IS])
        rows += [_row(GATE, condition, severity, name, value, "share", len(names))
                 for name, value in gate.judge(frames, failed, weights).items()]  # fmt: skip
    return rows


def _row(
    remedy: str, condition: str, severity: int, metric: str, figure: Estimate, unit: str, images: int
) -> dict:
    low, high = figure.interval()
    return {"remedy": remedy, "condition": condition, "severity": severity, "metric": metric,
            "value": figure.value, "low": low, "high": high, "n": images, "unit": unit}  # fmt: skip


def _extras(references: list, poses: list[Poses]) -> np.ndarray:
    """Returns how many predictions of each picture are nobody's."""
    pairs = zip(references, poses, strict=True)
    return np.array([len(found) - len(assign(persons, found)) for persons, found in pairs], float)


def _failed(references: list, poses: list[Poses]) -> np.ndarray:
    """Marks pictures whose persons were badly found; those without persons cannot fail."""
    marks = np.zeros(len(poses))
    for index, (persons, found) in enumerate(zip(references, poses, strict=True)):
        labelled = (persons.keypoints[..., 2] > 0).any(axis=1)
        if labelled.any():
            alike = oks(found.keypoints, persons.keypoints, persons.areas)
            own = {person: alike[pose, person] for person, pose in assign(persons, found).items()}
            marks[index] = np.mean([own.get(person, 0.0) for person in np.flatnonzero(labelled)]) < FAILED_OKS
    return marks


def _median(values: np.ndarray, weights: np.ndarray) -> Estimate:
    order = np.argsort(values)
    reached = np.cumsum(weights[:, order], axis=1)
    middle = (reached >= reached[:, -1:] / 2).argmax(axis=1)
    return estimate(values[order][middle])


class _Gate:
    """Skips frames that are blurred or noisy beyond what clean pictures are."""

    def __init__(self, clean: _Frames) -> None:
        self.least = np.quantile(clean.sharp, GATE_SHARE)
        self.most = np.quantile(clean.noise, 1 - GATE_SHARE)

    def judge(self, frames: _Frames, failed: np.ndarray, weights: np.ndarray) -> dict[str, Estimate]:
        """Returns the share skipped, and precision and recall against the frames that fail."""
        skipped = (np.array(frames.sharp) < self.least) | (np.array(frames.noise) > self.most)
        skipped, right = skipped.astype(float), (skipped & (failed > 0)).astype(float)
        ones = np.ones(len(failed))
        counts = {"skipped": (skipped, ones), "failing": (failed, ones), "gate_precision": (right, skipped),
                  "gate_recall": (right, failed)}  # fmt: skip
        return {name: estimate(tallies.ratio(tally, weights)) for name, tally in counts.items()}
