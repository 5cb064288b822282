"""A synthetic clip with known truth: people who walk, stand, cross and vanish behind a pillar."""

import numpy as np

from pose_utils.types import Detections, Poses
from tests.runtime.fakes import standing

WIDTH, HEIGHT, FPS = 640, 360, 25
PILLAR = (300, 340)


class Walkers:
    """`frames` frames; person 0 stands, others walk to and fro at various speeds."""

    def __init__(self, frames=250, people=4, seed=0, noise=0.006, missed=0.1):
        self.rng = np.random.default_rng(seed)
        self.frames, self.noise, self.missed = frames, noise, missed
        start = np.linspace(60, 520, people)
        speed = np.array([0.0, 3.0, -2.2, 1.6, -3.4, 2.7])[:people]
        self.truth, self.everyone = [], []
        for frame in range(frames):
            persons = {}
            for who in range(people):
                span = WIDTH - 80
                x = (start[who] + speed[who] * frame) % (2 * span)
                x = x if x < span else 2 * span - x
                keypoints, _, box, _ = standing(x, 60 + 24 * who, 140 + 10 * who)
                sway = np.sin(frame / 5 + who) * 4 * (who > 0)
                keypoints = keypoints + np.where(np.arange(17)[:, None] > 8, [[sway, 0]], [[0, 0]])
                persons[who] = (keypoints, np.array(box))
            self.everyone.append(persons)
            hidden = [
                who
                for who, (_, box) in persons.items()
                if who == 3 and PILLAR[0] < box[[0, 2]].mean() < PILLAR[1]
            ]
            self.truth.append({who: box for who, (_, box) in persons.items() if who not in hidden})

    def images(self):
        for frame in range(self.frames):
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            image[0, 0] = np.array([frame % 256, frame // 256, 0])
            yield image


class SyntheticPipeline:
    """Finds the walkers, with noise, misses, unsure boxes and boxes of nobody; counts its detections."""

    models, backend, precision, provider_used, weights = "synthetic", "fake", "fp32", "nowhere", "trained"
    takes_boxes, min_score, max_persons = True, 0.3, 100

    def __init__(self, scene):
        self.scene, self.rng, self.detections = scene, np.random.default_rng(1), 0

    def frame(self, image):
        return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])

    def detector(self, image):
        self.detections += 1
        boxes, scores = [], []
        for box in self.scene.truth[self.frame(image)].values():
            fate = self.rng.random()
            if fate < self.scene.missed:
                continue
            boxes.append(box + self.rng.normal(0, 2, 4))
            scores.append(0.2 if fate < 2 * self.scene.missed else 0.8)
        if self.rng.random() < 0.05:
            corner = self.rng.uniform(0, 300, 2)
            boxes.append(np.concatenate([corner, corner + np.array([40, 90])]))
            scores.append(0.35)
        order = np.argsort(scores)[::-1]
        return Detections(np.array(boxes).reshape(-1, 4)[order], np.array(scores)[order])

    def estimate(self, image, found):
        people = self.scene.everyone[self.frame(image)]
        visible = self.scene.truth[self.frame(image)]
        keypoints, scores = [], []
        for box in found.boxes:
            near = min(visible, key=lambda who: np.abs(people[who][1] - box).sum(), default=None)
            hit = near is not None and np.abs(people[near][1] - box).max() < 0.5 * (box[3] - box[1])
            points = people[near][0] if hit else np.tile(box[:2], (17, 1))
            height = box[3] - box[1]
            keypoints.append(points + self.rng.normal(0, self.scene.noise * height, (17, 2)))
            scores.append(np.full(17, 0.8 if hit else 0.1))
        return Poses(keypoints, scores, found.boxes, found.scores)

    def __call__(self, image, boxes=None):
        if boxes is not None:
            return self.estimate(image, Detections(boxes, np.ones(len(boxes))))
        return self.estimate(image, self.detector(image).above(self.min_score, self.max_persons))
