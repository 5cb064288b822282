"""Counts by image whose ratio over the images is a metric: PCK, detection rate, consistency.

A tally is a pair (numerator, denominator) of float64 (images,) or (images, k); its figure over any set of
images is sum over sum, so intervals follow from weights as for AP.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_utils.runtime.similarity import pair_up
from pose_utils.study.annotations import TruthPersons
from pose_utils.study.failure_rules import FOUND_OKS, References, assign
from pose_utils.study.oks import oks, oks_between
from pose_utils.types import NUM_KEYPOINTS, Poses

PCK_SHARE = 0.1
"""A joint is right within this share of the longer side of its person's box (Yang and Ramanan 2013)."""

KEPT_OKS = 0.5
"""OKS from which a person of the clean prediction counts as kept under a condition."""

Tally = tuple[np.ndarray, np.ndarray]


def ratio(tally: Tally, weights: np.ndarray) -> np.ndarray:
    """Returns sum(numerator) / sum(denominator) for each row of weights, NaN where the latter is 0."""
    top, bottom = weights @ tally[0], weights @ tally[1]
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def pck(truth: Sequence[TruthPersons], predicted: Sequence[Poses]) -> Tally:
    """Tallies joints that are right, (images, 17) each.

    Persons are paired with predictions by OKS, one to one, for the greatest total. Every labelled joint
    of a person nobody was paired with counts as wrong: a missed person has no right joints.
    """
    right, labelled = np.zeros((2, len(truth), NUM_KEYPOINTS))
    for index, (persons, poses) in enumerate(zip(truth, predicted, strict=True)):
        which = np.flatnonzero(persons.posed)
        visible = persons.keypoints[which, :, 2] > 0
        labelled[index] = visible.sum(axis=0)
        alike = oks(poses.keypoints, persons.keypoints[which], persons.areas[which])
        for pose, person in pair_up(alike, least=1e-9):
            box = persons.boxes[which[person]]
            away = poses.keypoints[pose] - persons.keypoints[which[person], :, :2]
            near = np.hypot(*away.T) <= PCK_SHARE * max(box[2] - box[0], box[3] - box[1])
            right[index] += near & visible[person]
    return right, labelled


def found_persons(truth: Sequence[TruthPersons], predicted: Sequence[Poses]) -> list[np.ndarray]:
    """Says for each picture, bool (persons with keypoints,), who was found.

    As failures.csv says it: its own prediction (`failure_rules.assign`) has OKS `FOUND_OKS` or better.
    """
    found = []
    for persons, poses in zip(truth, predicted, strict=True):
        alone, crowd = ~persons.crowd, persons.boxes[persons.crowd]
        everybody = References(persons.keypoints[alone], persons.areas[alone], persons.boxes[alone], crowd)
        alike = oks(poses.keypoints, everybody.keypoints, everybody.areas)
        good = np.zeros(len(everybody), bool)
        for person, pose in assign(everybody, poses).items():
            good[person] = alike[pose, person] >= FOUND_OKS
        found.append(good[persons.posed[alone]])
    return found


def consistency(clean: Sequence[Poses], predicted: Sequence[Poses]) -> tuple[Tally, Tally]:
    """Tallies agreement with the clean prediction of the same model, for pictures without truth.

    Returns:
        The sum of OKS over the clean prediction's persons (one who was lost counts 0), and the persons
        kept, that is paired at OKS `KEPT_OKS` or better; both over the clean prediction's persons.
    """
    alike, kept, persons = np.zeros((3, len(clean)))
    for index, (reference, poses) in enumerate(zip(clean, predicted, strict=True)):
        similar = oks_between(poses, reference)
        pairs = pair_up(similar, least=1e-9)
        persons[index] = len(reference)
        alike[index] = sum(similar[pair] for pair in pairs)
        kept[index] = sum(similar[pair] >= KEPT_OKS for pair in pairs)
    return (alike, persons), (kept, persons)


def presence(predicted: Sequence[Poses]) -> dict[str, Tally]:
    """Tallies what the published study reported.

    `detection_rate` is the share of images with anybody in them, right or wrong; `mean_confidence` the mean
    keypoint score over those who were found, so losing the hard persons raises it.
    """
    counts = np.array([len(poses) for poses in predicted], float)
    confidence = np.array([poses.scores.mean(axis=1).sum() if len(poses) else 0.0 for poses in predicted])
    images = np.ones(len(predicted))
    return {
        "detection_rate": ((counts > 0).astype(float), images),
        "mean_confidence": (confidence, counts),
        "persons_per_image": (counts, images),
    }
