"""The rules by which a reference person, and a prediction that is nobody's, gets its one category.

The keypoint errors are those of Ronchi and Perona, Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation (ICCV 2017), with the thresholds of their coco-analyze (pycocotools/cocoanalyze.py:
oksLocThrs .1, jitterKsThrs .5 and .85). The rest of the tree is ours and stated with each constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_utils.runtime.similarity import box_iou, keypoint_similarity, share_inside
from pose_utils.study.oks import oks
from pose_utils.types import FLIP_PAIRS, NUM_KEYPOINTS, Detections, Poses

MATCH_OKS = 0.1
"""A prediction may belong to a person from this OKS on (coco-analyze, oksLocThrs)."""

GOOD_KS = 0.85
"""A keypoint is good above this similarity with its true place (coco-analyze, jitterKsThrs)."""

JITTER_KS = 0.5
"""Down to this similarity it jitters; below it to every candidate place, it is a miss (the same)."""

FOUND_OKS = 0.75
"""A person is found from this OKS on: the strict one of COCO's two named thresholds."""

BOX_IOU = 0.5
"""A box is on its person from this IoU on (COCO's and Pascal VOC's customary threshold)."""

NEAR_IOU = 0.1
"""Down to this IoU an unclaimed box is still a poor box of the person, below it somebody else's."""

CATEGORIES = (
    "found", "missed_no_box", "missed_below_threshold", "box_poor", "jitter", "inversion", "swap", "miss",
)  # fmt: skip
"""How a reference person can end, each in exactly one:

found: OKS `FOUND_OKS` or better with its prediction; without labelled keypoints, box IoU `BOX_IOU` or better.
missed_no_box: no prediction is its own, and no low-scored box is on it.
missed_below_threshold: no prediction is its own, but a box the detector scored too low is on it.
box_poor: it has a prediction, not found, whose box has less than `BOX_IOU` with its own.
jitter, inversion, swap, miss: its box is good and its keypoints are not; the error that cost most OKS.
"""

EXTRAS = ("duplicate", "crowd", "background")
"""How a prediction can be nobody's: on a person who has a better one (IoU `BOX_IOU`), at least half inside a
crowd region, or neither."""

JOINT_LETTERS = {
    "good": "g", "jitter": "j", "inversion": "i", "swap": "s", "miss": "m", "lost": "x", "unlabelled": "-",
}  # fmt: skip

_ERRORS = ("miss", "swap", "inversion", "jitter")  # coco-analyze's order: the first of equals names a person
_MIRROR = np.arange(NUM_KEYPOINTS)
for _left, _right in FLIP_PAIRS:
    _MIRROR[[_left, _right]] = _right, _left


@dataclass(frozen=True, eq=False)
class References:
    """Who is in a picture.

    Attributes:
        keypoints: (n, 17, 3), x, y, labelled where above 0.
        areas: (n,) square pixels.
        boxes: (n, 4) xyxy.
        crowd: (c, 4) xyxy of regions that hold several persons.
    """

    keypoints: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    crowd: np.ndarray

    def __len__(self) -> int:
        return len(self.areas)


@dataclass(frozen=True)
class Outcome:
    """What became of one person; `iou`, `oks` and `score` are NaN where there is nothing to compare."""

    category: str
    iou: float
    oks: float
    score: float
    joints: str


def assign(persons: References, poses: Poses) -> dict[int, int]:
    """Says which prediction is which person's own: person -> prediction, one to one.

    First as COCOeval does with OKS: predictions from the best instance score down each take the free
    person they are most like, from `MATCH_OKS` on. Then boxes: free persons and free predictions by falling
    IoU, from `NEAR_IOU` on, unless the prediction lies closer to a person who has one already.
    """
    labelled = (persons.keypoints[:, :, 2] > 0).any(axis=1)
    alike = oks(poses.keypoints, persons.keypoints, persons.areas)
    alike[:, ~labelled] = 0
    owner: dict[int, int] = {}
    for pose in np.argsort(-poses.instance_scores, kind="stable"):
        free = [person for person in range(len(persons)) if person not in owner]
        best = max(free, key=lambda person: alike[pose, person], default=None)
        if best is not None and alike[pose, best] >= MATCH_OKS:
            owner[best] = int(pose)
    overlap = box_iou(poses.boxes, persons.boxes)
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        pose, person = (int(index) for index in np.unravel_index(flat, overlap.shape))
        if overlap[pose, person] < NEAR_IOU:
            break
        nearer = any(overlap[pose, other] > overlap[pose, person] for other in owner)
        if person not in owner and pose not in owner.values() and not nearer:
            owner[person] = pose
    return owner


def joint_errors(persons: References, person: int, keypoints: np.ndarray) -> tuple[str, np.ndarray]:
    """Names what happened to each keypoint of a prediction, as coco-analyze does.

    Each predicted keypoint is compared with the same keypoint of its person, with that keypoint's mirror on
    the same person (left for right), and with both of every other person, each at that person's
    own scale; the likeliest place decides. Good above `GOOD_KS` or jitter down to `JITTER_KS` where it is
    its own place, inversion where it is the mirror's, swap where it is another person's; a miss where even
    the likeliest is below `JITTER_KS`.

    Args:
        persons: Everybody in the picture.
        person: Index of the prediction's owner.
        keypoints: (17, 2) predicted, pixels.

    Returns:
        A letter for each keypoint (`JOINT_LETTERS`), and float64 (17,) similarity with the own place.
    """
    order = [person] + [other for other in range(len(persons)) if other != person]
    places = persons.keypoints[order]
    places = np.concatenate([places, places[:, _MIRROR]])
    areas = np.tile(persons.areas[order], 2)
    similar = keypoint_similarity(keypoints[None], places, areas)[0]
    own = similar[0].copy()
    similar[places[:, :, 2] == 0] = -1
    best, where = similar.max(axis=0), similar.argmax(axis=0)  # the first of equals: the own place
    letters = []
    for joint in range(NUM_KEYPOINTS):
        if places[0, joint, 2] == 0:
            kind = "unlabelled"
        elif best[joint] < JITTER_KS:
            kind = "miss"
        elif where[joint] == 0:
            kind = "good" if best[joint] > GOOD_KS else "jitter"
        else:
            kind = "inversion" if where[joint] == len(order) else "swap"
        letters.append(JOINT_LETTERS[kind])
    return "".join(letters), own


def classify_references(
    persons: References, poses: Poses, low: Detections
) -> tuple[list[Outcome], dict[int, int]]:
    """Gives every person one category of `CATEGORIES`.

    Args:
        persons: Who is there.
        poses: Who was found.
        low: Boxes that the detector scored too low for a pose.

    Returns:
        One outcome a person, and person -> own prediction.
    """
    owner = assign(persons, poses)
    alike = oks(poses.keypoints, persons.keypoints, persons.areas)
    overlap = box_iou(poses.boxes, persons.boxes)
    below = box_iou(low.boxes, persons.boxes)
    outcomes = []
    for person in range(len(persons)):
        labelled = persons.keypoints[person, :, 2] > 0
        if person not in owner:
            hint = low.scores[below[:, person] >= BOX_IOU] if len(low) else np.empty(0)
            category = "missed_below_threshold" if len(hint) else "missed_no_box"
            letters = np.where(labelled, JOINT_LETTERS["lost"], JOINT_LETTERS["unlabelled"])
            nearest = float(below[:, person].max(initial=0.0))
            score = float(hint.max()) if len(hint) else np.nan
            outcomes.append(Outcome(category, nearest, np.nan, score, "".join(letters)))
            continue
        pose = owner[person]
        iou, score = float(overlap[pose, person]), float(poses.box_scores[pose])
        if not labelled.any():
            category = "found" if iou >= BOX_IOU else "box_poor"
            nothing = JOINT_LETTERS["unlabelled"] * NUM_KEYPOINTS
            outcomes.append(Outcome(category, iou, np.nan, score, nothing))
            continue
        similarity = float(alike[pose, person])
        letters, own = joint_errors(persons, person, poses.keypoints[pose])
        if similarity >= FOUND_OKS:
            category = "found"
        elif iou < BOX_IOU:
            category = "box_poor"
        else:
            of = np.array(list(letters))
            cost = [(1 - own)[of == JOINT_LETTERS[error]].sum() for error in _ERRORS]
            category = _ERRORS[int(np.argmax(cost))]
        outcomes.append(Outcome(category, iou, similarity, score, letters))
    return outcomes, owner


def classify_extras(persons: References, poses: Poses, owner: dict[int, int]) -> list[tuple[int, str, float]]:
    """Gives every prediction that is nobody's one category of `EXTRAS`.

    Returns:
        (prediction, category, greatest IoU with a person) for each.
    """
    overlap = box_iou(poses.boxes, persons.boxes)
    inside = share_inside(poses.boxes, persons.crowd)
    extras = []
    for pose in sorted(set(range(len(poses))) - set(owner.values())):
        iou = float(overlap[pose].max(initial=0.0))
        if iou >= BOX_IOU:
            category = "duplicate"
        else:
            category = "crowd" if inside[pose].max(initial=0.0) >= 0.5 else "background"
        extras.append((pose, category, iou))
    return extras
