"""Which configurations the benchmark asks for: the published eight, and what machines of today add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pose_utils.errors import UsageError
from pose_utils.zoo.specs import parse_models

FULL, POSE_ONLY, ONE_STAGE = "detect+pose", "pose", "one-stage"
FUSED, VIDEO = "fused", "video"
"""One file from frame to people, and the pipeline on video, whose detector rests between every k-th frame."""

DETECT_EVERY = 5
"""k of the video rows, as in the published pipelines of RTMPose."""


@dataclass(frozen=True)
class Config:
    """One row of the benchmark.

    Attributes:
        models: "detector+pose", or a one-stage model.
        backend, precision, device: As in `runtime.backends.open_backend`.
        pipeline: "detect+pose", "pose" (the pose stage alone), "one-stage", "fused" or "video".
        weights: trained, random or auto.
        other_models: Whether these are not the models that the table is about; the name then says them.
    """

    models: str
    backend: str
    precision: str = "fp32"
    device: str = "cpu"
    pipeline: str = FULL
    weights: str = "auto"
    other_models: bool = False

    @property
    def name(self) -> str:
        """Name of the row, such as "openvino-bf16-cpu" or "torch-fp32-cuda-pose"."""
        base = f"{self.backend}-{self.precision}-{self.device}"
        if self.other_models or self.pipeline == ONE_STAGE:
            # A row of the pose stage alone runs no detector, so its name holds none.
            ran = self.models.split("+")[-1] if self.pipeline == POSE_ONLY else self.models
            base = f"{ran}-{base}"
        ends = {POSE_ONLY: "-pose", FUSED: "-fused", VIDEO: f"-every{DETECT_EVERY}"}
        return base + ends.get(self.pipeline, "")


_PLACES = (
    ("torch", "fp32", "cpu"),
    ("torch", "bf16", "cpu"),
    ("onnxruntime", "fp32", "cpu"),
    ("onnxruntime", "int8", "cpu"),
    ("openvino", "fp32", "cpu"),
    ("openvino", "bf16", "cpu"),
    ("openvino", "int8", "cpu"),
    ("torch", "fp32", "cuda"),
    ("onnxruntime", "fp32", "cuda"),
    ("onnxruntime", "fp16", "cuda"),
    ("onnxruntime-tensorrt", "fp16", "cuda"),
    ("tensorrt", "fp16", "cuda"),
)

_COMPILED = (("torch-compile", "fp32", "cpu"), ("torch-compile", "fp32", "cuda"))
"""torch.compile takes minutes for each batch size: timed where it was asked for."""

_POSE_ONLY = (
    ("torch", "fp32", "cpu"),
    ("onnxruntime", "fp32", "cpu"),
    ("openvino", "fp32", "cpu"),
    ("openvino", "bf16", "cpu"),
    ("torch", "fp32", "cuda"),
    ("onnxruntime", "fp32", "cuda"),
    ("tensorrt", "fp16", "cuda"),
)

_FUSED = (("onnxruntime", "fp32", "cpu"), ("openvino", "fp32", "cpu"))

_QUICKEST = (("openvino", "fp32", "cpu"), ("openvino", "bf16", "cpu"))
"""Where other models and video are timed: what a CPU runs them fastest on, in full and in half precision."""

POSE_SIZES = ("rtmpose-t", "rtmpose-s", "rtmpose-l")
"""Pose models whose stage alone is timed beside that of the table's models."""


def standard_configs(
    models: str,
    weights: str = "auto",
    others: Sequence[str] = (),
    compiled: bool = False,
    sizes: Sequence[str] = (),
) -> list[Config]:
    """Returns the eight published configurations and those that a machine of today adds.

    All are listed on every machine; those that cannot run here end as `skipped` with the reason.

    Args:
        models: "detector+pose" that the table is about.
        weights: trained, random or auto.
        others: Further pairs, timed on fewer back ends, so that the table shows what another detector or
            pose model buys.
        compiled: With torch.compile, which takes minutes.
        sizes: Other pose models, whose stage alone is timed.
    """
    places = (*_PLACES, *_COMPILED) if compiled else _PLACES
    full = [Config(models, *place, weights=weights) for place in places]
    pose = [Config(models, *place, pipeline=POSE_ONLY, weights=weights) for place in _POSE_ONLY]
    fused = [Config(models, *place, pipeline=FUSED, weights=weights) for place in _FUSED]
    video = [Config(models, *place, pipeline=VIDEO, weights=weights) for place in _QUICKEST]
    further = [
        Config(pair, *place, weights=weights, other_models=True)
        for pair in dict.fromkeys(others)
        if pair != models
        for place in _QUICKEST
    ]
    detector, *own = (spec.name for spec in parse_models(models))
    alone = [
        Config(f"{detector}+{size}", *_QUICKEST[0], pipeline=POSE_ONLY, weights=weights, other_models=True)
        for size in sizes
        if own and size not in own
    ]
    one_stage = Config("movenet-multipose", "litert", pipeline=ONE_STAGE, weights="trained")
    return [*full, *fused, *video, *pose, *alone, *further, one_stage]


def select_configs(configs: Sequence[Config], names: Sequence[str]) -> list[Config]:
    """Returns the configurations called `names`, in that order; all where no name is given.

    Raises:
        UsageError: There is no such name.
    """
    known = {config.name: config for config in configs}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"there is no configuration {unknown[0]!r}; known: {', '.join(known)}")
    return [known[name] for name in names] if names else list(configs)
