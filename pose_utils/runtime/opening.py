"""From what a user typed to an open pipeline: names, "auto", or ONNX files of their own."""

from __future__ import annotations

import sys

from pose_utils.errors import Unavailable, UsageError
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.pipeline import Detector, PoseEstimator, PosePipeline
from pose_utils.zoo.artifacts import Artifact, from_file
from pose_utils.zoo.choice import choose_models
from pose_utils.zoo.specs import get_spec, parse_models

CPU_ORDER = ("openvino", "onnxruntime", "torch")
"""Which back end a CPU gets when none was named; the first that opens runs."""

_TEMPLATES = {
    "rtmdet": "rtmdet-m",
    "rtmdet-end2end": "rtmdet-m",
    "simcc": "rtmpose-m",
    "heatmap": "hrnet-w48",
}
"""Codec of a user's own file -> the model whose normalisation and padding it shares."""


def open_pipeline(
    models: str = "auto",
    backend: str | None = None,
    precision: str = "fp32",
    device: str = "cpu",
    threads: int | None = None,
    min_score: float | None = None,
    for_ap: bool = False,
) -> PosePipeline:
    """Opens the pipeline behind `models`, saying on stderr what "auto" stands for.

    Args:
        models: "auto", "rtm", "movenet", "detector+pose", a published name, or files with their codec,
            such as "person.onnx:rtmdet+pose.onnx:simcc"; files that this project wrote need none; names and
            files mix.
        backend: None for the best that opens here.
        precision: fp32, bf16, fp16 or int8, where the back end has it.
        device: cpu or cuda.
        threads: CPU threads; None for all cores this process may use.
        min_score: Least box score of a person; None for the model's own value.
        for_ap: The model's own value is then the lower one that AP wants.

    Raises:
        UsageError, Unavailable, AssetError, InputError: What was asked for cannot be had.
    """
    if ".onnx" in models:
        stages = _own_files(models)
    else:
        choice = choose_models(models)
        if choice.models != models or not choice.trained:
            print(choice.reason, file=sys.stderr)
        stages = parse_models(choice.models)
    specs = [stage.spec if isinstance(stage, Artifact) else stage for stage in stages]
    if min_score is None and for_ap:
        min_score = specs[0].ap_score
    if len(stages) == 1:
        if backend not in (None, "litert"):
            raise UsageError(f"{specs[0].name} runs on the back end litert only, not on {backend!r}")
        return PosePipeline.from_models(
            specs[0].name, "litert", precision, device, threads, min_score=min_score
        )
    problems = []
    for name in [backend] if backend else _order(device):
        try:
            detector, pose = (
                open_backend(name, stage, precision, device, threads, weights="trained") for stage in stages
            )
            return PosePipeline(Detector(detector), PoseEstimator(pose), min_score)
        except Unavailable as error:
            problems.append(str(error))
    raise Unavailable("\n".join(problems))


def side_by_side(pipeline: PosePipeline, count: int) -> list[PosePipeline]:
    """Opens a pipeline `count` times more, on one CPU thread each, to be used by as many threads at once.

    Args:
        pipeline: What to copy; one on a GPU or in PyTorch, or that is no PosePipeline, is returned alone.
        count: Copies.

    Raises:
        Unavailable: As when `pipeline` itself was opened.
    """
    if not isinstance(pipeline, PosePipeline):
        return [pipeline]
    stages = [used.side_by_side(count) for used in pipeline.backends]
    if any(stage[0] is used for stage, used in zip(stages, pipeline.backends, strict=True)):
        return [pipeline]
    copies = []
    for *detector, pose in zip(*stages, strict=True):
        finder = Detector(*detector) if detector else None
        copies.append(
            PosePipeline(finder, type(pipeline.pose)(pose), pipeline.min_score, pipeline.max_persons)
        )
    return copies


def _order(device: str) -> tuple[str, ...]:
    return CPU_ORDER if device == "cpu" else ("onnxruntime", "torch")


def _own_files(models: str) -> list:
    stages = []
    for part in models.split("+"):
        path, _, codec = part.strip().rpartition(":")
        if ".onnx" not in part:
            stages.append(get_spec(part.strip()))
        elif codec.endswith(".onnx"):
            stages.append(from_file(part.strip()))
        elif codec not in _TEMPLATES or not path.endswith(".onnx"):
            raise UsageError(f"{part!r}: name the codec after the file; allowed: {', '.join(_TEMPLATES)}")
        else:
            stages.append(from_file(path, codec, get_spec(_TEMPLATES[codec])))
    kinds = [stage.spec.kind if isinstance(stage, Artifact) else stage.kind for stage in stages]
    if kinds != ["detector", "pose"]:
        raise UsageError(
            f"{models!r} is no pipeline: give DETECTOR+POSE, such as person.onnx:rtmdet+pose.onnx:simcc"
        )
    return stages
