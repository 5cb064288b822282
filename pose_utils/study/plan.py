"""How much each profile does: one place for every number that trades time for certainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pose_utils.errors import not_allowed
from pose_utils.zoo.choice import BUNDLED
from pose_utils.zoo.engines import TARGETS


@dataclass(frozen=True)
class Plan:
    """What one profile runs.

    Attributes:
        rtm_models: The RTM pair that export, parity, engines and latency use where the run's own
            models have no PyTorch architecture.
        clip_frames: Frames of the clip in the contact sheet.
        parity_pictures: Pictures that every back end is compared on.
        proof_pictures: Pictures that every file and precision is proven on; 0 for none.
        engine_targets: GPUs that engines are built for.
        runs, warmup, blocks: Of the benchmark, for each configuration and number of persons.
        persons: Numbers of persons that are timed.
        other_models: Further pairs that are timed beside the run's own.
        compiled: Whether torch.compile is timed, which takes minutes.
        int8: Whether INT8 is compared and timed: its layers are searched for a minute a model the first time.
        ap_pictures: Annotated pictures that the AP of every timed artefact is measured on.
        cold_start: Whether every configuration is opened in a process of its own as well.
        pictures: Pictures of the robustness study at most; None for all.
        conditions: As `study.conditions.expand` takes them.
        remedy_pictures: Pictures that the remedies are tried on at most.
        remedy_conditions: Conditions that they are tried under.
        video_frames: Frames of the clip that remedies with memory are tried on.
        precision_pictures: Pictures on which precisions are compared under bad conditions.
        precision_conditions: Those conditions.
        precisions: (back end, precision) that are compared; INT8 files take minutes to make the first time.
        bootstrap: Resamples of every interval.
    """

    rtm_models: str
    clip_frames: int
    parity_pictures: int
    proof_pictures: int
    engine_targets: tuple[str, ...]
    runs: int
    warmup: int
    blocks: int
    persons: tuple[int, ...]
    other_models: tuple[str, ...]
    compiled: bool
    int8: bool
    ap_pictures: int
    cold_start: bool
    pictures: int | None
    conditions: tuple[str, ...]
    remedy_pictures: int
    remedy_conditions: tuple[str, ...]
    video_frames: int
    precision_pictures: int
    precision_conditions: tuple[str, ...]
    precisions: tuple[tuple[str, str], ...]
    bootstrap: int


PRECISIONS = (
    ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"), ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
)  # fmt: skip
LEFT_OUT = "left out of this profile: finding the layers that a lower precision spoils takes minutes"
"""Why a row of INT8 is skipped where a plan has none."""

DARK_AND_NOISY = ("low_light_moderate", "low_light_severe", "noise_moderate", "noise_heavy")

PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        "smoke": Plan(
            rtm_models=BUNDLED[0],
            clip_frames=4,
            parity_pictures=1,
            proof_pictures=0,
            engine_targets=("SM86",),
            runs=4,
            warmup=1,
            blocks=2,
            persons=(1, 2),
            other_models=(),
            compiled=False,
            int8=False,
            ap_pictures=3,
            cold_start=False,
            pictures=3,
            conditions=("clean", "low_light_severe", "noise_heavy"),
            remedy_pictures=2,
            remedy_conditions=("noise_heavy",),
            video_frames=10,
            precision_pictures=2,
            precision_conditions=("low_light_severe",),
            precisions=(("onnxruntime", "fp32"),),
            bootstrap=100,
        ),
        "quick": Plan(
            rtm_models="rtmdet-m+rtmpose-m",
            clip_frames=12,
            parity_pictures=2,
            proof_pictures=8,
            engine_targets=tuple(TARGETS),
            runs=6,
            warmup=2,
            blocks=6,  # three are too few for an interval: times of 8 and 28 ms could not be told apart
            persons=(1, 4),
            other_models=("rtmdet-nano+rtmpose-m",),
            compiled=False,
            int8=True,
            ap_pictures=16,
            cold_start=False,
            pictures=40,
            conditions=("published",),
            remedy_pictures=12,
            remedy_conditions=("motion_blur_heavy", "low_light_severe", "noise_moderate"),
            video_frames=50,
            precision_pictures=16,
            precision_conditions=DARK_AND_NOISY,
            precisions=PRECISIONS,
            bootstrap=1000,
        ),
        "full": Plan(
            rtm_models="rtmdet-m+rtmpose-m",
            clip_frames=24,
            parity_pictures=75,
            proof_pictures=500,
            engine_targets=tuple(TARGETS),
            runs=200,
            warmup=10,
            blocks=20,
            persons=(1, 2, 4, 8, 16),
            other_models=(
                "rtmdet-nano+rtmpose-m",
                "rtmdet-nano+rtmpose-t",
                "rtmdet-m+rtmpose-t",
                "rtmdet-m+rtmpose-s",
                "rtmdet-m+rtmpose-l",
            ),
            compiled=True,
            int8=True,
            ap_pictures=500,
            cold_start=True,
            pictures=None,
            conditions=("published",),
            remedy_pictures=300,
            remedy_conditions=("published",),
            video_frames=100,
            precision_pictures=500,
            precision_conditions=DARK_AND_NOISY,
            precisions=PRECISIONS,
            bootstrap=1000,
        ),
    }
)
"""smoke for the test suite, quick for `make report`, full for the published protocol."""


def get_plan(profile: str) -> Plan:
    """Returns the plan of `profile`; raises UsageError naming the nearest one otherwise."""
    if profile in PLANS:
        return PLANS[profile]
    raise not_allowed("profile", profile, PLANS)
