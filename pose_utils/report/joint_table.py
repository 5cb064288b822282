"""One picture joint by joint: how many were to be found, how many were, and how far off the others are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pose_utils.report.words import readable
from pose_utils.runtime.similarity import keypoint_similarity
from pose_utils.study.failure_rules import JITTER_KS, References, assign
from pose_utils.study.oks import AREA_OF_BOX
from pose_utils.types import KEYPOINT_NAMES, Poses


def joint_table(poses: Poses, expected: Poses) -> pd.DataFrame:
    """Compares a prediction with who was to be found.

    Args:
        poses: What was found, in pixels.
        expected: Who is there; keypoints scored 0 are not labelled.

    Returns:
        A row a joint: joint, labelled (persons on whom it is), right (similarity of .5 or more with its
        place), "distance, px" (median over persons who have a prediction) and score (mean over the same).
    """
    labelled = expected.scores > 0
    sizes = (expected.boxes[:, 2:] - expected.boxes[:, :2]).astype(float)
    areas = AREA_OF_BOX * np.maximum(sizes, 1).prod(axis=1)
    keypoints = np.concatenate([expected.keypoints, labelled[..., None]], axis=-1)
    persons = References(keypoints, areas, np.asarray(expected.boxes, float), np.empty((0, 4)))
    pairs = assign(persons, poses)
    similar = keypoint_similarity(poses.keypoints, expected.keypoints, areas)
    rows = []
    for joint, name in enumerate(KEYPOINT_NAMES):
        seen = [(person, pose) for person, pose in pairs.items() if labelled[person, joint]]
        away = [np.hypot(*(poses.keypoints[pose, joint] - expected.keypoints[person, joint]))
                for person, pose in seen]  # fmt: skip
        rows.append({
            "joint": readable(name), "labelled": int(labelled[:, joint].sum()),
            "right": sum(bool(similar[pose, person, joint] >= JITTER_KS) for person, pose in seen),
            "distance, px": float(np.median(away)) if away else np.nan,
            "score": float(np.mean([poses.scores[pose, joint] for _, pose in seen])) if seen else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)
