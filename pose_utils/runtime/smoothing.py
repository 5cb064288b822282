"""Calmer keypoints: a One-Euro filter for every joint of every identity, and gaps filled in between.

Géry Casiez, Nicolas Roussel, Daniel Vogel: 1€ Filter, CHI 2012.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from pose_utils.types import Poses

MIN_CUTOFF_HZ = 1.0
"""Cut-off of a joint at rest. A joint that begins to move lags by `lag_s` until its speed raises it."""
SPEED_GAIN = 8.0
"""Hertz of cut-off for each body height a second."""
SPEED_CUTOFF_HZ = 1.0
FORGET_S = 2.0
"""Seconds after which an identity that is gone is forgotten."""


def blend(cutoff_hz: np.ndarray | float, step_s: float) -> np.ndarray | float:
    """Returns the share of the new value in an exponential low-pass of this cut-off."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))


def lag_s(speed: float, step_s: float) -> float:
    """Returns by how many seconds a joint of constant speed (body heights a second) trails the truth.

    An exponential low-pass with share a of the new value trails a ramp by (1 - a) / a steps, which is
    1 / (2 pi cut-off) seconds: 159 ms where nothing moves, 18 ms at one body height a second.
    """
    share = blend(MIN_CUTOFF_HZ + SPEED_GAIN * speed, step_s)
    return float((1 - share) / share * step_s)


@dataclass
class _Memory:
    raw: np.ndarray
    smooth: np.ndarray
    speed: np.ndarray
    time_s: float


class OneEuro:
    """Smooths the keypoints of identities; each keeps its own past."""

    def __init__(self) -> None:
        self._past: dict[int, _Memory] = {}

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Returns `poses` (with track_ids) smoothed; boxes and scores stay as they are.

        Args:
            poses: The frame's persons.
            time_s: When the frame was taken, in seconds, growing.
        """
        smooth = [
            self._smooth(int(identity), points, max(float(box[3] - box[1]), 1.0), time_s)
            for identity, points, box in zip(poses.track_ids, poses.keypoints, poses.boxes, strict=True)
        ]
        self._past = {key: past for key, past in self._past.items() if time_s - past.time_s <= FORGET_S}
        return replace(poses, keypoints=np.array(smooth)) if smooth else poses

    def _smooth(self, identity: int, points: np.ndarray, height: float, time_s: float) -> np.ndarray:
        past = self._past.get(identity)
        points = points.astype(float)
        if past is None or time_s <= past.time_s:
            self._past[identity] = _Memory(points, points, np.zeros_like(points), time_s)
            return points
        step = time_s - past.time_s
        # Between raw points: against the smoothed one, the lag itself would count as speed.
        speed = past.speed + blend(SPEED_CUTOFF_HZ, step) * ((points - past.raw) / step - past.speed)
        heights = np.linalg.norm(speed, axis=1, keepdims=True) / height
        smooth = past.smooth + blend(MIN_CUTOFF_HZ + SPEED_GAIN * heights, step) * (points - past.smooth)
        self._past[identity] = _Memory(points, smooth, speed, time_s)
        return smooth


class GapFiller:
    """Holds frames back for `delay` frames and fills an identity's gaps of less than that between two sights.

    Identities, their keypoints and boxes are interpolated linearly; a filled person has box score 0 and the
    lower of the two sights' keypoint scores, so that nobody takes it for a sight.
    """

    def __init__(self, delay: int) -> None:
        """Takes the delay in frames; gaps of up to `delay` - 1 frames are filled."""
        self.delay = delay
        self._held: deque[tuple[object, Poses]] = deque()

    def push(self, frame: object, poses: Poses) -> list[tuple[object, Poses]]:
        """Takes the next frame with its persons and returns what is old enough to be final."""
        if self.delay and poses.track_ids is not None:
            self._fill(poses)
        self._held.append((frame, poses))
        return [self._held.popleft()] if len(self._held) > self.delay else []

    def flush(self) -> list[tuple[object, Poses]]:
        """Returns what is still held, at the end."""
        held, self._held = list(self._held), deque()
        return held

    def _fill(self, now: Poses) -> None:
        for index, identity in enumerate(now.track_ids):
            seen = [place for place, (_, past) in enumerate(self._held) if identity in past.track_ids]
            gap = len(self._held) - 1 - seen[-1] if seen else 0
            for step in range(1, gap + 1):
                place = seen[-1] + step
                before = self._held[seen[-1]][1]
                frame, poses = self._held[place]
                self._held[place] = (
                    frame,
                    _between(before, now, index, int(identity), step / (gap + 1), poses),
                )


def _between(before: Poses, after: Poses, index: int, identity: int, share: float, into: Poses) -> Poses:
    """Adds to `into` the person `share` of the way from its sight in `before` to that in `after`."""
    first = int(np.flatnonzero(before.track_ids == identity)[0])

    def mixed(name: str) -> np.ndarray:
        return (1 - share) * getattr(before, name)[first] + share * getattr(after, name)[index]

    return Poses(
        np.concatenate([into.keypoints, mixed("keypoints")[None]]),
        np.concatenate([into.scores, np.minimum(before.scores[first], after.scores[index])[None]]),
        np.concatenate([into.boxes, mixed("boxes")[None]]),
        np.append(into.box_scores, 0.0),
        np.append(into.track_ids, identity),
    )
