"""How well identities last and how calm keypoints are: figures for tracked persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from pose_utils.runtime.similarity import iou, keypoint_similarity, pair_up
from pose_utils.types import Poses

STILL_SPEED = 0.01
"""A joint is still where it moves less than this, in body heights a frame, on average over `STILL_FRAMES`."""
STILL_FRAMES = 9
MIN_SCORE = 0.3


@dataclass(frozen=True)
class IdentityFigures:
    """CLEAR MOT's counts (Bernardin and Stiefelhagen 2008) that concern identities.

    Attributes:
        switches: How often a true person's identity changed between two of their sights.
        identities: Different identities given out.
        persons: Different true persons.
        recall: Share of true sights that were found.
    """

    switches: int
    identities: int
    persons: int
    recall: float


def identity_figures(
    truth: Sequence[Mapping[int, np.ndarray]], found: Sequence[Poses], min_iou: float = 0.5
) -> IdentityFigures:
    """Counts identity switches.

    Args:
        truth: For each frame, the box (xyxy) of each person who is to be seen.
        found: For each frame, the persons with track_ids.
        min_iou: Overlap from which a found box is a true one; an earlier partner that still fits is kept.
    """
    partner: dict[int, int] = {}
    switches = sights = seen = 0
    for people, poses in zip(truth, found, strict=True):
        sights += len(people)
        overlap = {
            (person, int(identity)): iou(box, other)
            for person, box in people.items()
            for identity, other in zip(poses.track_ids, poses.boxes, strict=True)
        }
        pairs = {who: partner[who] for who in people if overlap.get((who, partner.get(who, 0)), 0) >= min_iou}
        persons = [who for who in people if who not in pairs]
        others = [int(each) for each in poses.track_ids if int(each) not in pairs.values()]
        table = np.array([[overlap[who, other] for other in others] for who in persons])
        matched = pair_up(table.reshape(len(persons), len(others)), min_iou)
        pairs |= {persons[row]: others[column] for row, column in matched}
        switches += sum(partner.get(who, identity) != identity for who, identity in pairs.items())
        partner |= pairs
        seen += len(pairs)
    identities = {int(each) for poses in found for each in poses.track_ids}
    people = {who for frame in truth for who in frame}
    return IdentityFigures(switches, len(identities), len(people), seen / sights if sights else 0.0)


def jitter(reference: Sequence[Poses], shown: Sequence[Poses]) -> tuple[float, int]:
    """Returns the mean acceleration of still joints, in % of the body height a frame squared, and their n.

    Args:
        reference: The tracked persons of each frame; which joints are still is told by these alone.
        shown: The same persons as they are shown, smoothed or not.
    """
    sums, count = 0.0, 0
    calm = _series(shown)
    for identity, (frames, points, scores, heights) in _series(reference).items():
        wanted = calm.get(identity)
        if wanted is None or len(frames) < STILL_FRAMES + 2:
            continue
        at = {frame: index for index, frame in enumerate(wanted[0])}
        rows = [index for index, frame in enumerate(frames) if frame in at]
        other = np.full(points.shape, np.nan)
        other[rows] = wanted[1][[at[frames[index]] for index in rows]]
        drift = uniform_filter1d(np.gradient(points, axis=0), STILL_FRAMES, axis=0, mode="nearest")
        speed = np.linalg.norm(drift, axis=2) / heights[:, None]
        sure = scores > MIN_SCORE
        unbroken = (np.diff(frames)[1:] == 1) & (np.diff(frames)[:-1] == 1)
        still = (speed < STILL_SPEED)[1:-1] & sure[1:-1] & sure[2:] & sure[:-2] & unbroken[:, None]
        acceleration = np.linalg.norm(other[2:] - 2 * other[1:-1] + other[:-2], axis=2) / heights[1:-1, None]
        values = acceleration[still & np.isfinite(acceleration)]
        sums, count = sums + float(values.sum()), count + len(values)
    return (100 * sums / count if count else float("nan")), count


def agreement(reference: Sequence[Poses], found: Sequence[Poses]) -> np.ndarray:
    """Returns the OKS of every person of the reference with their partner in the same frame, float64 (n,).

    As COCO computes it with the reference in place of the truth: joints count that the reference shows, and
    the area is that of its box. Whoever has no partner counts 0.

    Args:
        reference: For each frame, the persons.
        found: The same frames; partners are paired one to one for the greatest total.
    """
    values = []
    for truth, poses in zip(reference, found, strict=True):
        sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
        each = keypoint_similarity(poses.keypoints, truth.keypoints, sides.prod(axis=1))
        shown = truth.scores > MIN_SCORE
        table = ((each * shown).sum(axis=2) / np.maximum(shown.sum(axis=1), 1)).T
        partners = dict(pair_up(table, 0.0))
        known = shown.any(axis=1)
        values += [table[row, partners[row]] if row in partners else 0.0 for row in np.flatnonzero(known)]
    return np.array(values)


def births_inside(found: Sequence[Poses], size: tuple[int, int], border: float = 0.05) -> int:
    """Counts identities that begin after the first second's frames and away from the border: likely breaks.

    Args:
        found: For each frame, the persons with track_ids.
        size: Width and height of the frames.
        border: Share of the sides within which somebody may walk in.
    """
    known: set[int] = set()
    count = 0
    for index, poses in enumerate(found):
        for identity, box in zip(poses.track_ids, poses.boxes, strict=True):
            inside = box[0] > border * size[0] and box[2] < (1 - border) * size[0]
            inside &= box[1] > border * size[1] and box[3] < (1 - border) * size[1]
            count += bool(int(identity) not in known and index >= 10 and inside)
            known.add(int(identity))
    return count


def _series(found: Sequence[Poses]) -> dict[int, tuple[np.ndarray, ...]]:
    """Identity -> its frames (n,), keypoints (n, 17, 2), scores (n, 17) and box heights (n,)."""
    rows: dict[int, list[tuple]] = {}
    for frame, poses in enumerate(found):
        for index, identity in enumerate(poses.track_ids):
            box = poses.boxes[index]
            height = max(float(box[3] - box[1]), 1.0)
            row = (frame, poses.keypoints[index].astype(float), poses.scores[index], height)
            rows.setdefault(int(identity), []).append(row)
    return {
        identity: tuple(np.array(column) for column in zip(*each, strict=True))
        for identity, each in rows.items()
    }
