"""What each model is: config, weights, input, normalisation and codec travel together.

The published figures behind every entry are in `assets.toml`, where the weights are listed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from pose_utils.errors import UsageError

Kind = Literal["detector", "pose", "one-stage"]
Codec = Literal["rtmdet", "rtmdet-end2end", "simcc", "heatmap", "movenet"]
Format = Literal["torch", "onnx", "tflite"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

RTMDET_STRIDES = (8, 16, 32)
RTMDET_PAD = 114
NMS_IOU = 0.6
MAX_PERSONS = 100
SIMCC_SPLIT_RATIO = 2.0
"""RTMDet's test_cfg (mmpose demo/mmdetection_cfg) and RTMPose's codec, as released: what decodes in NumPy
(`runtime.decode`) and in the fused file (`zoo.fused_decoding`) both go by."""


@dataclass(frozen=True)
class ModelSpec:
    """One model and everything that its weights expect of the code around them.

    Attributes:
        name: The name on the command line and in every record.
        kind: Whether it finds boxes, keypoints in a crop, or both at once.
        codec: How its outputs become boxes or keypoints, see `pose_utils.runtime.decode`.
        config: "mmdet:PATH" or "mmpose:PATH", a config inside the installed package, or None where there
            is no PyTorch module.
        assets: Names in `assets.toml` by file format.
        input_size: (width, height) in pixels.
        mean, std: Per channel in the order of `channels`, for values 0..255.
        channels: Channel order of the network's input.
        padding: Growth of a person's box before it is cropped (mmpose GetBBoxCenterScale).
        person_score: Persons above it are kept, unless the caller says otherwise.
        ap_score: The lower bound used where AP is measured, which wants the whole ranking.
    """

    name: str
    kind: Kind
    codec: Codec
    input_size: tuple[int, int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    channels: Literal["bgr", "rgb"] = "rgb"
    config: str | None = None
    assets: Mapping[Format, str] = field(default_factory=dict)
    padding: float = 1.25
    person_score: float = 0.3
    ap_score: float = 0.3

    def __post_init__(self) -> None:
        object.__setattr__(self, "assets", MappingProxyType(dict(self.assets)))


def _rtmdet(size: str, side: int, config: str) -> ModelSpec:
    return ModelSpec(
        name=f"rtmdet-{size}",
        kind="detector",
        codec="rtmdet",
        input_size=(side, side),
        mean=IMAGENET_MEAN[::-1],
        std=IMAGENET_STD[::-1],
        channels="bgr",
        config=f"mmpose:demo/mmdetection_cfg/{config}",
        assets={"torch": f"rtmdet-{size}.pth", "onnx": f"rtmdet-{size}.onnx"},
    )


def _rtmpose(name: str, config: str, size: tuple[int, int] = (192, 256), onnx: bool = True) -> ModelSpec:
    assets: dict[Format, str] = {"torch": f"{name}.pth"}
    if onnx:
        assets["onnx"] = f"{name}.onnx"
    return ModelSpec(
        name=name,
        kind="pose",
        codec="simcc",
        input_size=size,
        config=f"mmpose:configs/body_2d_keypoint/rtmpose/coco/{config}.py",
        assets=assets,
    )


def _demo(like: ModelSpec, **rules: float) -> ModelSpec:
    """The same network with the small weights that the project trained and brings (`zoo/bundled/`)."""
    name = f"{like.name}-demo"
    return replace(like, name=name, assets={"torch": f"{name}.safetensors"}, **rules)


_NANO = _rtmdet("nano", 320, "rtmdet_nano_320-8xb32_coco-person.py")
_TINY = _rtmpose("rtmpose-t", "rtmpose-t_8xb256-420e_aic-coco-256x192")
_ALL = (
    _NANO,
    _rtmdet("m", 640, "rtmdet_m_640-8xb32_coco-person.py"),
    _TINY,
    _rtmpose("rtmpose-s", "rtmpose-s_8xb256-420e_aic-coco-256x192"),
    _rtmpose("rtmpose-m", "rtmpose-m_8xb256-420e_aic-coco-256x192"),
    _rtmpose("rtmpose-m-coco", "rtmpose-m_8xb256-420e_coco-256x192", onnx=False),
    _rtmpose("rtmpose-l", "rtmpose-l_8xb256-420e_aic-coco-256x192"),
    _rtmpose("rtmpose-m-384x288", "rtmpose-m_8xb256-420e_aic-coco-384x288", (288, 384)),
    ModelSpec(
        name="hrnet-w48",
        kind="pose",
        codec="heatmap",
        input_size=(192, 256),
        config="mmpose:configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-256x192.py",
        assets={"torch": "hrnet-w48.pth"},
    ),
    ModelSpec(
        name="pp-tinypose",
        kind="pose",
        codec="heatmap",
        input_size=(192, 256),
        # PaddleDetection divides by 255 first: .485, .456, .406 over .229, .224, .225.
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        assets={"onnx": "pp-tinypose.onnx"},
    ),
    ModelSpec(
        name="movenet-multipose",
        kind="one-stage",
        codec="movenet",
        input_size=(384, 384),
        # The network takes uint8 RGB and normalises inside.
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        person_score=0.2,
        ap_score=0.05,
        assets={"tflite": "movenet-multipose.tflite"},
    ),
    _demo(_NANO, ap_score=0.1),  # Unsure of nearly everybody: half of the ranking lies below .3.
    _demo(_TINY),
)

SPECS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in _ALL})
"""Every model by name."""

PUBLISHED_NAMES: Mapping[str, str] = MappingProxyType(
    {"lightweight": "rtmdet-m+rtmpose-m", "accurate": "rtmdet-m+hrnet-w48", "movenet": "movenet-multipose"}
)
"""Names that the superseded work used, and short forms, with what they stand for."""


def get_spec(name: str) -> ModelSpec:
    """Returns the model called `name`; raises UsageError naming the nearest one otherwise."""
    try:
        return SPECS[name]
    except KeyError:
        near = difflib.get_close_matches(name, SPECS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UsageError(f"there is no model {name!r}{hint} Known: {', '.join(SPECS)}.") from None


def parse_models(models: str) -> tuple[ModelSpec, ...]:
    """Returns the specs behind "detector+pose", a one-stage name, or a published name.

    Args:
        models: such as "rtmdet-nano+rtmpose-m", "movenet-multipose" or "lightweight".

    Returns:
        (detector, pose), or (one_stage,).

    Raises:
        UsageError: An unknown name, or names that do not make a pipeline.
    """
    names = PUBLISHED_NAMES.get(models, models).split("+")
    specs = tuple(get_spec(name.strip()) for name in names)
    if [spec.kind for spec in specs] not in (["detector", "pose"], ["one-stage"]):
        raise UsageError(
            f"{models!r} is no pipeline: give DETECTOR+POSE, "
            "such as rtmdet-nano+rtmpose-m, or movenet-multipose"
        )
    return specs
