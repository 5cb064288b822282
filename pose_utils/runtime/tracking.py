"""Identities that last: persons joined from frame to frame, the detector asked in every k-th frame only.

In the manner of ByteTrack (Zhang et al., ECCV 2022: sure detections first, then unsure ones for who is
left) and OC-SORT (Cao et al., CVPR 2023: the last sight counts where the prediction failed), with object
keypoint similarity in place of box overlap. Somebody whom the detector misses is looked for by the pose
model where they should be.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pose_utils.runtime.motion import BoxMotion
from pose_utils.runtime.similarity import SEEN_SCORE, box_iou, oks_table, pair_up
from pose_utils.types import NUM_KEYPOINTS, Detections, Poses

UNSURE_SCORE = 0.1
"""Boxes from here to the pipeline's threshold may continue an identity, never begin one."""
MIN_OKS, MIN_IOU = 0.3, 0.3
"""Least similarity to a predicted pose, and least overlap with the last sight."""
SAME_OKS = 0.8
"""Two identities as similar as this are one person: the younger goes."""
SIGHTS_TO_BEGIN = 2
"""Sights in a row before an identity is given out, except in the first frame."""
KEEP_FRAMES = 30
"""Frames that an identity outlives its last sight."""
RECOVER_FRAMES = 10
"""Detector frames in a row in which somebody the detector misses is still looked for where they should be."""


@dataclass
class Track:
    """One identity.

    Attributes:
        identity: From 1.
        motion: Of its box.
        keypoints, scores, box, box_score: As last seen, in image pixels.
        margins: How far its detected box reaches beyond its keypoints, in sides of their extent: left, top,
            right, bottom.
        sights: Frames in which it was seen.
        missed: Detector frames in a row without a box of the detector.
        unseen: Frames since the last of them.
    """

    identity: int
    motion: BoxMotion
    keypoints: np.ndarray
    scores: np.ndarray
    box: np.ndarray
    box_score: float
    margins: np.ndarray = field(default_factory=lambda: np.full(4, 0.1))
    sights: int = 1
    missed: int = 0
    unseen: int = 0
    seen_now: bool = True

    def predicted(self) -> np.ndarray:
        """Returns the keypoints, float64 (17, 2), moved and scaled as the box is thought to have been."""
        before, after = self.box.reshape(2, 2), self.motion.box.reshape(2, 2)
        scale = (after[1] - after[0]) / np.maximum(before[1] - before[0], 1.0)
        return after[0] + (self.keypoints - before[0]) * scale


class Tracker:
    """Gives the persons of successive frames identities."""

    def __init__(self, sure_score: float = 0.3) -> None:
        """Takes the box score from which a person may begin an identity."""
        self.sure_score = sure_score
        self.tracks: list[Track] = []
        self._count = 0
        self._frames = 0

    def predict(self) -> None:
        """Goes on to the next frame; call it once before each `update`."""
        for track in self.tracks:
            if track.unseen:
                track.motion.calm()
            track.motion.predict()

    def update(self, poses: Poses) -> Poses:
        """Joins the persons of a frame in which the detector looked with the identities so far.

        Args:
            poses: Of this frame, unsure ones and those at `boxes` without a detection (score 0) included.

        Returns:
            The persons that have an identity, with track_ids, oldest first.
        """
        self._frames += 1
        scores = poses.box_scores
        sure, unsure = scores >= self.sure_score, (scores > 0) & (scores < self.sure_score)
        looked_for = (scores == 0) & (_means(poses) >= SEEN_SCORE)
        rows, columns = list(range(len(self.tracks))), list(range(len(poses)))
        stages = ((sure, self._oks, MIN_OKS), (unsure, self._oks, MIN_OKS), (sure, self._overlap, MIN_IOU),
                  (looked_for, self._oks, MIN_OKS))  # fmt: skip
        for chosen, similarity, least in stages:
            candidates = [index for index in columns if chosen[index]]
            for row, column in pair_up(similarity(rows, poses, candidates), least):
                self._see(self.tracks[rows[row]], poses, candidates[column])
                columns.remove(candidates[column])
            rows = [row for row in rows if not self.tracks[row].seen_now]
        self._begin([index for index in columns if sure[index]], poses)
        return self._end_frame()

    def follow(self, poses: Poses) -> Poses:
        """Takes a frame in which the detector rested: `poses` are those in `boxes`, in that order."""
        self._frames += 1
        for index, (track, mean) in enumerate(zip(self._live(), _means(poses), strict=True)):
            if mean >= SEEN_SCORE:
                self._see(track, poses, index, detected=False)
        return self._end_frame()

    def boxes(self) -> np.ndarray:
        """Returns a box for each live identity, float32 (n, 4), made of its predicted keypoints."""
        return np.array([_around(track) for track in self._live()], "float32").reshape(-1, 4)

    def _live(self) -> list[Track]:
        return [track for track in self.tracks if track.missed < RECOVER_FRAMES and not track.unseen]

    def _end_frame(self) -> Poses:
        for track in self.tracks:
            track.unseen = 0 if track.seen_now else track.unseen + 1
            track.seen_now = False
        self._drop()
        return self._given_out()

    def _oks(self, rows: list[int], poses: Poses, columns: list[int]) -> np.ndarray:
        tracks = [self.tracks[row] for row in rows]
        points = np.array([track.predicted() for track in tracks]).reshape(-1, NUM_KEYPOINTS, 2)
        scores = np.array([track.scores for track in tracks]).reshape(-1, NUM_KEYPOINTS)
        areas = np.array([_area(track.motion.box) for track in tracks])
        return oks_table(points, poses.keypoints[columns].astype(float), scores, poses.scores[columns], areas)

    def _overlap(self, rows: list[int], poses: Poses, columns: list[int]) -> np.ndarray:
        boxes = np.array([self.tracks[row].box for row in rows]).reshape(-1, 4)
        return box_iou(boxes, poses.boxes[columns].astype(float))

    def _see(self, track: Track, poses: Poses, index: int, detected: bool = True) -> None:
        track.keypoints, track.scores = poses.keypoints[index].astype(float), poses.scores[index]
        track.box = poses.boxes[index].astype(float)
        track.motion.correct(track.box)
        track.sights, track.seen_now = track.sights + 1, True
        if detected and poses.box_scores[index] > 0:
            track.box_score, track.missed = float(poses.box_scores[index]), 0
            track.margins = 0.7 * track.margins + 0.3 * _margins(track)
        elif detected:
            track.missed += 1

    def _begin(self, columns: list[int], poses: Poses) -> None:
        for column in columns:
            box = poses.boxes[column].astype(float)
            self._count += 1
            track = Track(
                self._count, BoxMotion(box), poses.keypoints[column].astype(float), poses.scores[column], box,
                float(poses.box_scores[column]),
            )  # fmt: skip
            track.margins = _margins(track)
            if self._frames == 1:
                track.sights = SIGHTS_TO_BEGIN
            self.tracks.append(track)

    def _drop(self) -> None:
        live = [
            track
            for track in self.tracks
            if track.unseen <= (0 if track.sights < SIGHTS_TO_BEGIN else KEEP_FRAMES)
        ]
        seen = [track for track in live if not track.unseen]
        points = np.array([track.keypoints for track in seen]).reshape(-1, NUM_KEYPOINTS, 2)
        scores = np.array([track.scores for track in seen]).reshape(-1, NUM_KEYPOINTS)
        areas = np.array([_area(track.box) for track in seen])
        same = np.triu(oks_table(points, points, scores, scores, areas) > SAME_OKS, k=1)
        doubles = {seen[column].identity for column in np.flatnonzero(same.any(axis=0))}
        self.tracks = [track for track in live if track.identity not in doubles]

    def _given_out(self) -> Poses:
        seen = [track for track in self.tracks if not track.unseen and track.sights >= SIGHTS_TO_BEGIN]
        if not seen:
            return replace(Poses.empty(), track_ids=np.empty(0, "int64"))
        return Poses(
            [track.keypoints for track in seen],
            [track.scores for track in seen],
            [track.box for track in seen],
            [track.box_score for track in seen],
            [track.identity for track in seen],
        )


class TrackedPipeline:
    """A pipeline whose persons keep their identity, and whose detector may rest in between."""

    def __init__(self, pipeline: Any, detect_every: int = 1) -> None:
        """Wraps a `PosePipeline`; `detect_every` k asks the detector in every k-th frame only.

        A one-stage model looks at every frame whatever k says: it cannot be given boxes.
        """
        self.pipeline = pipeline
        self.detect_every = detect_every if pipeline.takes_boxes else 1
        self.tracker = Tracker(pipeline.min_score)
        self._frames = 0

    def __call__(self, image: np.ndarray) -> Poses:
        """Returns the persons of the next frame with track_ids; frames must come in their order."""
        self.tracker.predict()
        boxes = self.tracker.boxes()
        detect = self._frames % self.detect_every == 0 or not len(boxes)
        self._frames += 1
        if detect:
            return self.tracker.update(self._detected(image, boxes))
        return self.tracker.follow(self.pipeline(image, boxes=boxes))

    def _detected(self, image: np.ndarray, expected: np.ndarray) -> Poses:
        """Returns the sure persons, unsure ones near `expected` boxes, and what is in boxes with neither."""
        detector = getattr(self.pipeline, "detector", None)
        if detector is None:
            return self.pipeline(image)
        found = detector(image).above(UNSURE_SCORE, self.pipeline.max_persons)
        near = box_iou(found.boxes.astype(float), expected.astype(float)) >= MIN_IOU
        keep = np.flatnonzero((found.scores >= self.pipeline.min_score) | near.any(axis=1))
        alone = expected[~near.any(axis=0)]
        boxes = np.concatenate([found.boxes[keep], alone])
        scores = np.concatenate([found.scores[keep], np.zeros(len(alone))])
        return self.pipeline.estimate(image, Detections(boxes, scores))


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _extent(points: np.ndarray, scores: np.ndarray) -> np.ndarray:
    shown = points[scores > SEEN_SCORE] if (scores > SEEN_SCORE).sum() >= 3 else points
    return np.concatenate([shown.min(axis=0), shown.max(axis=0)])


def _margins(track: Track) -> np.ndarray:
    extent = _extent(track.keypoints, track.scores)
    sides = np.tile(np.maximum(extent[2:] - extent[:2], 1.0), 2)
    return np.clip(np.array([-1, -1, 1, 1]) * (track.box - extent) / sides, 0, 0.5)


def _around(track: Track) -> np.ndarray:
    extent = _extent(track.predicted(), track.scores)
    sides = np.tile(np.maximum(extent[2:] - extent[:2], 1.0), 2)
    return extent + np.array([-1, -1, 1, 1]) * track.margins * sides


def _means(poses: Poses) -> np.ndarray:
    return poses.scores.mean(axis=1) if len(poses) else np.empty(0)
