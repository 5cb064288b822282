"""One picture through the pipeline, every stage kept: what notebook 01 shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime import geometry
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.pipeline import OneStage, PosePipeline
from pose_utils.types import KEYPOINT_NAMES, Poses, StageTimes
from pose_utils.zoo.specs import ModelSpec, get_spec


@dataclass(frozen=True, eq=False)
class Walkthrough:
    """What each stage made of one picture.

    Attributes:
        image: uint8 (h, w, 3) BGR.
        canvas: The detector's input before normalisation, uint8 BGR.
        crops: uint8 (n, height, width, 3) BGR, the pose estimator's inputs.
        poses: The persons.
        times: Milliseconds of each stage, of the second call.
        joint: Name of the keypoint whose SimCC vectors are shown.
        simcc_x, simcc_y: Its vectors for the first person, float32 (bins,).
        simcc_model: What made them, with its weights.
    """

    image: np.ndarray
    canvas: np.ndarray
    crops: np.ndarray
    poses: Poses
    times: StageTimes
    joint: str
    simcc_x: np.ndarray
    simcc_y: np.ndarray
    simcc_model: str


def walk_through(
    pipeline: PosePipeline, image: np.ndarray, simcc: str, joint: str = "left_elbow"
) -> Walkthrough:
    """Runs `pipeline` on one picture and keeps what every stage made.

    Where the pipeline's pose model is no SimCC model, the vectors come from `simcc` on the same crop, with
    random weights where no trained ones can be had; `simcc_model` says so.

    Args:
        pipeline: Finds the persons.
        image: uint8 (h, w, 3) BGR with at least one person.
        simcc: Name of a SimCC model, such as "rtmpose-m".
        joint: One of KEYPOINT_NAMES.

    Raises:
        Unavailable: Nobody was found in the picture.
    """
    pipeline(image)  # The first call pays for memory and caches.
    poses, times = pipeline.timed(image)
    if not len(poses):
        raise Unavailable("nobody was found in this picture, so there is no crop to show")
    first = pipeline.backends[0].artifact.spec
    one_stage = isinstance(pipeline.pose, OneStage)
    canvas, _ = geometry.letterbox(
        image, first.input_size, pad=0 if one_stage else geometry.RTMDET_PAD, centred=one_stage
    )
    own = pipeline.pose.spec
    spec = own if own.codec == "simcc" else get_spec(simcc)
    affines = geometry.person_affines(poses.boxes, spec.input_size, spec.padding)
    crops = geometry.crop_persons(image, affines, spec.input_size)
    vectors, weights = _simcc_vectors(spec, crops[:1])
    index = KEYPOINT_NAMES.index(joint)
    return Walkthrough(
        image, canvas, crops, poses, times, joint, vectors[0][0, index], vectors[1][0, index],
        f"{spec.name}, {weights} weights",
    )  # fmt: skip


def stage_table(stages: Walkthrough) -> pd.DataFrame:
    """Returns one row for each stage that ran: stage and milliseconds, the total last."""
    rows = [(name, value) for name, value in asdict(stages.times).items() if value > 0]
    return pd.DataFrame([*rows, ("total", stages.times.total)], columns=["stage", "milliseconds"])


def _simcc_vectors(spec: ModelSpec, crops: np.ndarray) -> tuple[list[np.ndarray], str]:
    problems = []
    for name in ("onnxruntime", "torch"):
        try:
            backend = open_backend(name, spec)
            return backend.run(geometry.to_network_input(crops, spec)), backend.artifact.weights
        except (Unavailable, AssetError) as error:
            problems.append(str(error))
    raise Unavailable("\n".join(problems))
