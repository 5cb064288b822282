"""RTMDet learns from RTMDet: a student of the same architecture, seeded, follows a trained teacher.

At first each stage is given the teacher's features and learns to go on as the teacher does, all stages at
once; later the student stands on its own features. Weights of the teacher are never read into the student.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pose_utils.runtime.geometry import to_network_input
from pose_utils.zoo.checkpoints import load_module
from pose_utils.zoo.specs import RTMDET_STRIDES, get_spec
from training import scenes
from training.detector_losses import answer_losses, feature_loss
from training.publish import completed


class DetectorTask:
    """Distils `teacher` into `network`; see `training.loop.Task`."""

    def __init__(
        self,
        pictures: dict[str, Sequence[Path]],
        held_out: Sequence[Path],
        teacher: Path,
        model: str = "rtmdet-nano",
        batch_size: int = 8,
        forced: bool = False,
        sides: Sequence[int] = (192, 256, 320),
        start: Mapping[str, Tensor] | None = None,
        seed: int = 0,
        device: str = "cpu",
        corrupt: float = 0.0,
    ) -> None:
        """Builds student and teacher.

        Args:
            pictures: "scenes" and "sports", the training pictures.
            held_out: Scenes that are only looked at in `validate`.
            teacher: Its checkpoint.
            model: Architecture of both, a name of `pose_utils.zoo.specs`.
            batch_size: Pictures a step.
            forced: Give every part the teacher's features instead of the student's own.
            sides: Sides of the square pictures in pixels, one drawn for each step.
            start: Weights of an earlier phase of this training.
            seed: Decides the first weights and every batch.
            device: cpu or cuda.
            corrupt: Share of pictures that get a corruption, see `training.corrupting`.
        """
        spec = get_spec(model)
        self.spec, self.seed, self.batch_size = spec, seed, batch_size
        self.sides = tuple(sides)
        self.pictures, self.held_out, self.forced, self.corrupt = pictures, held_out, forced, corrupt
        self.device = torch.device(device)
        layout = {"device": self.device, "memory_format": torch.channels_last}
        self.teacher = load_module(spec, teacher).to(**layout).requires_grad_(False)
        self.network = load_module(spec, None, seed).requires_grad_(True)
        if start is not None:
            self.network.load_state_dict(completed(start, self.network))
        self.network.to(**layout)

    def batch(self, step: int) -> Tensor:
        """Returns the pictures of a step as network input (n, 3, side, side)."""
        rng = np.random.default_rng([self.seed, step])
        side = int(rng.choice(self.sides))
        pool = self.pictures
        images = np.stack(
            [scenes.picture(pool["scenes"], pool["sports"], side, rng) for _ in range(self.batch_size)]
        )
        if self.corrupt:
            from training.corrupting import corrupt_some

            images = corrupt_some(images, self.corrupt, rng)
        return self._input(images)

    def _input(self, images: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(to_network_input(images, self.spec))
        return pixels.to(self.device, memory_format=torch.channels_last)

    def losses(self, step: int, progress: float) -> dict[str, Tensor]:
        """Returns `backbone`, `neck`, `score`, `box` and `distance`."""
        pixels = self.batch(step)
        with torch.no_grad():
            wanted = stages_of(self.teacher, pixels)
        return compare(self.network, pixels, wanted, self.forced)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the losses of the student on its own on the held-out scenes, letterboxed."""
        from pose_utils.runtime.geometry import letterbox

        canvases = np.stack([letterbox(scenes.read(path), self.spec.input_size)[0] for path in self.held_out])
        parts: list[dict[str, Tensor]] = []
        for start in range(0, len(canvases), 8):
            pixels = self._input(canvases[start : start + 8])
            parts.append(compare(network, pixels, stages_of(self.teacher, pixels), forced=False))
        return {
            f"held-out {name}": float(np.mean([float(part[name]) for part in parts])) for name in parts[0]
        }


def stages_of(network: nn.Module, pixels: Tensor) -> dict[str, list[Tensor]]:
    """Returns what every part of an mmdet detector made of `pixels`: stages, neck levels, raw heads."""
    stages, features = [], pixels
    for name in network.backbone.layers:
        features = getattr(network.backbone, name)(features)
        stages.append(features)
    neck = network.neck(tuple(stages[index] for index in network.backbone.out_indices))
    logits, distances = network.bbox_head(neck)
    return {"stages": stages, "neck": list(neck), "heads": [*logits, *distances]}


def compare(
    network: nn.Module, pixels: Tensor, wanted: dict[str, list[Tensor]], forced: bool
) -> dict[str, Tensor]:
    """Runs the student and compares it with the teacher's `wanted`, part by part.

    Args:
        network: The student.
        pixels: Network input (n, 3, h, w).
        wanted: `stages_of` the teacher on the same pixels.
        forced: Give each part the teacher's features instead of the student's own.
    """
    taught = wanted["stages"]
    made, features = [], pixels
    for index, name in enumerate(network.backbone.layers):
        made.append(getattr(network.backbone, name)(features))
        features = taught[index] if forced else made[-1]
    into_neck = taught if forced else made
    neck = network.neck(tuple(into_neck[index] for index in network.backbone.out_indices))
    logits, distances = network.bbox_head(tuple(wanted["neck"]) if forced else neck)
    losses = {
        "backbone": torch.stack([feature_loss(*pair) for pair in zip(made, taught, strict=True)]).mean(),
        "neck": torch.stack([feature_loss(*pair) for pair in zip(neck, wanted["neck"], strict=True)]).mean(),
    }
    return losses | answer_losses([*logits, *distances], wanted["heads"], RTMDET_STRIDES)
