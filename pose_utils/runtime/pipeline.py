"""A frame in, people out: detector and pose estimator in two stages, or MoveNet in one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from pose_utils.errors import Unavailable
from pose_utils.runtime import decode, geometry
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import Backend
from pose_utils.types import Detections, Poses, StageTimes, check_image
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.specs import ModelSpec, parse_models


@dataclass
class StageClock:
    """Adds up milliseconds by stage; `lap` closes the stage that ran since the last call."""

    milliseconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Books the time since the previous lap under `stage`, a field of StageTimes."""
        now = time.perf_counter()
        self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now

    def times(self) -> StageTimes:
        """Returns what was booked so far."""
        return StageTimes(**self.milliseconds)


class Detector:
    """RTMDet on one back end, from raw heads or from a file with NMS inside."""

    def __init__(self, backend: Backend) -> None:
        """Takes a back end that was opened with a detector."""
        self.backend = backend
        self.spec: ModelSpec = backend.artifact.spec
        self._end_to_end = "dets" in backend.output_names

    def __call__(self, image: np.ndarray, clock: StageClock | None = None) -> Detections:
        """Finds persons.

        Args:
            image: uint8 (h, w, 3) BGR.
            clock: Books letterbox, detect and nms.

        Returns:
            Boxes in image pixels with scores above .05, best first, at most 100 (RTMDet's test_cfg).
        """
        clock = clock or StageClock()
        canvas, placement = geometry.letterbox(image, self.spec.input_size)
        inputs = geometry.to_network_input(canvas[None], self.spec)
        clock.lap("letterbox")
        outputs = self.backend.run(inputs)
        clock.lap("detect")
        if self._end_to_end:
            found = Detections(*decode.rtmdet_end_to_end(outputs))
        else:
            found = decode.non_maximum_suppression(*decode.rtmdet_candidates(outputs, self.spec.input_size))
        boxes = Detections(placement.to_image(found.boxes), found.scores)
        clock.lap("nms")
        return boxes


class PoseEstimator:
    """A top-down pose model on one back end; all persons of a frame in one batch."""

    def __init__(self, backend: Backend) -> None:
        """Takes a back end that was opened with a SimCC or heatmap model."""
        self.backend = backend
        self.spec: ModelSpec = backend.artifact.spec

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, clock: StageClock | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the keypoints of every box.

        Args:
            image: uint8 (h, w, 3) BGR.
            boxes: float (n, 4) xyxy in image pixels; n may be 0.
            clock: Books crop, pose and keypoints.

        Returns:
            keypoints float32 (n, 17, 2) in image pixels and scores float32 (n, 17).
        """
        clock = clock or StageClock()
        if not len(boxes):
            return np.empty((0, 17, 2), "float32"), np.empty((0, 17), "float32")
        affines = geometry.person_affines(boxes, self.spec.input_size, self.spec.padding)
        crops = geometry.crop_persons(image, affines, self.spec.input_size)
        inputs = geometry.to_network_input(crops, self.spec)
        clock.lap("crop")
        outputs = self.backend.run(inputs)
        clock.lap("pose")
        if self.spec.codec == "simcc":
            keypoints, scores = decode.simcc(outputs)
        else:
            keypoints, scores = decode.heatmap(outputs, self.spec.input_size)
        keypoints = geometry.crop_to_image(keypoints, affines)
        clock.lap("keypoints")
        return keypoints, scores


class OneStage:
    """MoveNet MultiPose: at most six persons, boxes and keypoints from one network."""

    def __init__(self, backend: Backend) -> None:
        """Takes a back end that was opened with a one-stage model."""
        self.backend = backend
        self.spec: ModelSpec = backend.artifact.spec

    def __call__(self, image: np.ndarray, min_score: float, clock: StageClock | None = None) -> Poses:
        """Returns the persons above `min_score`; the network's time is booked under detect."""
        clock = clock or StageClock()
        canvas, placement = geometry.letterbox(image, self.spec.input_size, pad=0, centred=True)
        inputs = np.ascontiguousarray(canvas[None, ..., ::-1])
        clock.lap("letterbox")
        outputs = self.backend.run(inputs)
        clock.lap("detect")
        keypoints, boxes, joint_scores, scores = decode.movenet(outputs, self.spec.input_size)
        keep = scores > min_score
        poses = Poses(
            placement.to_image(keypoints[keep]),
            joint_scores[keep],
            placement.to_image(boxes[keep]),
            scores[keep],
        )
        clock.lap("keypoints")
        return poses


class PosePipeline:
    """What a user calls: `PosePipeline.from_models("rtmdet-nano+rtmpose-m")(image) -> Poses`."""

    def __init__(
        self,
        detector: Detector | None,
        pose: PoseEstimator | OneStage,
        min_score: float | None = None,
        max_persons: int = decode.MAX_PERSONS,
    ) -> None:
        """Joins the stages.

        Args:
            detector: None for a one-stage model, or where boxes are always given.
            pose: The pose estimator, or a one-stage model.
            min_score: Persons below this box score are dropped; None for the model's own value.
            max_persons: At most so many persons a frame, best box first.
        """
        self.detector = detector
        self.pose = pose
        first = (detector or pose).spec
        self.min_score = first.person_score if min_score is None else min_score
        self.max_persons = max_persons

    @classmethod
    def from_models(
        cls,
        models: str = "rtmdet-nano+rtmpose-m",
        backend: str = "onnxruntime",
        precision: str = "fp32",
        device: str = "cpu",
        threads: int | None = None,
        weights: str = "trained",
        min_score: float | None = None,
    ) -> PosePipeline:
        """Opens the models behind a name.

        Args:
            models: "detector+pose", "movenet-multipose" or a published name.
            backend: One of `runtime.backends.BACKENDS`; a one-stage model always runs on litert.
            precision: fp32, bf16, fp16 or int8, where the back end has it.
            device: cpu or cuda.
            threads: CPU threads, None for all cores this process may use.
            weights: trained, random (seeded stand-ins) or auto.
            min_score: Persons below this box score are dropped; None for the model's own value.

        Raises:
            Unavailable, AssetError, UsageError: See `runtime.backends.open_backend`.
        """
        specs = parse_models(models)
        if len(specs) == 1:
            return cls(
                None,
                OneStage(open_backend("litert", specs[0], precision, device, threads, weights)),
                min_score,
            )
        detector, pose = (open_backend(backend, spec, precision, device, threads, weights) for spec in specs)
        return cls(Detector(detector), PoseEstimator(pose), min_score)

    @property
    def takes_boxes(self) -> bool:
        """Whether `boxes` may be given: not for a one-stage model."""
        return isinstance(self.pose, PoseEstimator)

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The back ends, detector first."""
        return tuple(stage.backend for stage in (self.detector, self.pose) if stage is not None)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files that run, detector first."""
        return tuple(backend.artifact for backend in self.backends)

    @property
    def models(self) -> str:
        """Name in records, such as "rtmdet-nano+rtmpose-m"."""
        return "+".join(artifact.spec.name for artifact in self.artifacts)

    @property
    def backend(self) -> str:
        """Name of the back end that runs every stage."""
        return self.backends[-1].name

    @property
    def precision(self) -> str:
        """Precision of every stage."""
        return self.backends[-1].precision

    @property
    def weights(self) -> str:
        """Is "random" where any stage runs stand-in weights, else "trained"."""
        return "random" if any(artifact.weights == "random" for artifact in self.artifacts) else "trained"

    @property
    def provider_used(self) -> str:
        """What the sessions report to run on."""
        return "; ".join(dict.fromkeys(backend.provider_used for backend in self.backends))

    def __call__(self, image: np.ndarray, boxes: np.ndarray | None = None) -> Poses:
        """Finds the persons of one image.

        Args:
            image: uint8 (h, w, 3) BGR.
            boxes: float (n, 4) xyxy in image pixels to use instead of the detector; they get score 1.

        Returns:
            The persons; empty where nobody was found, never the whole image as one person.

        Raises:
            Unavailable: Boxes were given to a one-stage model.
        """
        return self._run(image, boxes, StageClock())

    def timed(self, image: np.ndarray, boxes: np.ndarray | None = None) -> tuple[Poses, StageTimes]:
        """Does the same and returns the milliseconds of each stage as well."""
        clock = StageClock()
        poses = self._run(image, boxes, clock)
        return poses, clock.times()

    def estimate(self, image: np.ndarray, found: Detections, clock: StageClock | None = None) -> Poses:
        """Runs the second stage alone on detections; see `__call__` for what may be raised."""
        if not isinstance(self.pose, PoseEstimator):
            raise Unavailable(f"{self.models} finds boxes and keypoints at once and cannot be given boxes")
        return Poses(*self.pose(image, found.boxes, clock), found.boxes, found.scores)

    def detect_and_pose(self, image: np.ndarray) -> tuple[Poses, Detections]:
        """Returns the persons, and every box of the detector, those too low for a pose included.

        Box AP wants the whole ranking, keypoint AP the persons. A one-stage model's boxes are its persons'.
        """
        if isinstance(self.pose, OneStage):
            poses = self(image)
            return poses, Detections(poses.boxes, poses.box_scores)
        if self.detector is None:
            raise Unavailable(f"{self.models} has no detector: give boxes")
        found = self.detector(check_image(image))
        return self.estimate(image, found.above(self.min_score, self.max_persons)), found

    def _run(self, image: np.ndarray, boxes: np.ndarray | None, clock: StageClock) -> Poses:
        check_image(image)
        if boxes is not None:
            boxes = np.asarray(boxes, dtype="float32").reshape(-1, 4)
            return self.estimate(image, Detections(boxes, np.ones(len(boxes))), clock)
        if isinstance(self.pose, OneStage):
            return self.pose(image, self.min_score, clock)
        if self.detector is None:
            raise Unavailable(f"{self.models} has no detector: give boxes")
        return self.estimate(
            image, self.detector(image, clock).above(self.min_score, self.max_persons), clock
        )
