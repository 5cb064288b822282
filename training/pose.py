"""RTMPose learns keypoints: SimCC at the end, heatmaps at every stage on the way, small crops first.

From SimCC alone the network stands still for tens of thousands of crops, for its vectors say little about
where in the picture something was seen. Heatmap heads on stages 2 to 4 say it in every cell, and are thrown
away afterwards. Crops of half the side cost a quarter; all weights but one matrix do not depend on the size,
and that one is stretched (`stretched`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pose_utils.runtime.geometry import to_network_input
from pose_utils.zoo.checkpoints import load_module
from pose_utils.zoo.specs import SIMCC_SPLIT_RATIO, get_spec
from training.crops import CropSource
from training.pose_losses import SIGMAS, gaussians, heatmap_loss, heatmap_peaks, height_loss, simcc_loss
from training.publish import completed

SHUFFLES = {"stage2": 1, "stage3": 2, "stage4": 4}
"""Stages with a heatmap head, and how many heatmap cells a side each of their cells is split into."""


class PoseNetwork(nn.Module):
    """An mmpose RTMPose and the heatmap heads that only training needs."""

    def __init__(self, model: str, seed: int, shrink: int = 1) -> None:
        """Builds the seeded network.

        Args:
            model: A name of `pose_utils.zoo.specs`.
            seed: Decides the first weights.
            shrink: Divisor of the input's sides; the head's first matrix fits that size.
        """
        super().__init__()
        self.pose = load_module(get_spec(model), None, seed).requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            head = self.pose.head
            if shrink > 1:
                rows, columns = (side // shrink for side in reversed(head.in_featuremap_size))
                norm, linear = head.mlp
                width = linear.out_features
                head.mlp = nn.Sequential(
                    type(norm)(rows * columns), nn.Linear(rows * columns, width, bias=False)
                )
            stages = dict(
                zip(self.pose.backbone.layers, self._stages(torch.zeros(1, 3, 64, 64)), strict=True)
            )
            channels = {name: stages[name].shape[1] for name in SHUFFLES}
            self.side = nn.ModuleDict(
                {name: nn.Conv2d(channels[name], 17 * times**2, 1) for name, times in SHUFFLES.items()}
            )

    def _stages(self, features: Tensor) -> list[Tensor]:
        made = []
        for name in self.pose.backbone.layers:
            features = getattr(self.pose.backbone, name)(features)
            made.append(features)
        return made

    def forward(self, pixels: Tensor) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor]]:
        """Returns SimCC vectors and heatmap logits by stage."""
        stages = dict(zip(self.pose.backbone.layers, self._stages(pixels), strict=True))
        maps = {
            name: nn.functional.pixel_shuffle(self.side[name](stages[name]), times)
            for name, times in SHUFFLES.items()
        }
        features = stages[self.pose.backbone.layers[-1]]
        return self.pose.head((features.contiguous(),)), maps


class PoseTask:
    """Trains a `PoseNetwork`; see `training.loop.Task`."""

    def __init__(
        self,
        source: CropSource,
        held_out: CropSource,
        model: str = "rtmpose-t",
        batch_size: int = 16,
        shrink: int = 1,
        losses: Mapping[str, float] | None = None,
        start: Mapping[str, Tensor] | None = None,
        seed: int = 0,
        device: str = "cpu",
        corrupt: float = 0.0,
        held_out_crops: int = 128,
    ) -> None:
        """Builds the network.

        Args:
            source: Crops to learn from.
            held_out: Crops that are only looked at.
            model: Architecture, a name of `pose_utils.zoo.specs`.
            batch_size: Crops a step.
            shrink: Divisor of the crops' sides.
            losses: Factors by name: simcc, height, heatmap.
            start: Weights of an earlier phase of this training, perhaps at another `shrink`.
            seed: Decides the first weights.
            device: cpu or cuda.
            corrupt: Share of crops that get a corruption.
            held_out_crops: How many crops `validate` looks at.
        """
        self.spec = get_spec(model)
        self.source, self.held_out = source, held_out
        self.batch_size, self.shrink, self.corrupt = batch_size, shrink, corrupt
        self.factors = {"simcc": 1.0, "height": 1.0, "heatmap": 1.0} | dict(losses or {})
        self.held_out_crops = held_out_crops
        self.device = torch.device(device)
        network = PoseNetwork(model, seed, shrink)
        if start is not None:
            network.load_state_dict(stretched(completed(start, network), network))
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.bins = [int(side * SIMCC_SPLIT_RATIO) for side in self.spec.input_size]

    def _tensors(self, parts: Sequence[np.ndarray]) -> list[Tensor]:
        pixels = torch.from_numpy(to_network_input(parts[0], self.spec))
        rest = [torch.from_numpy(part).to(self.device) for part in parts[1:]]
        return [pixels.to(self.device, memory_format=torch.channels_last), *rest]

    def _labels(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        x, y = (
            gaussians(keypoints[..., axis] * SIMCC_SPLIT_RATIO, self.bins[axis], SIGMAS[axis])
            for axis in (0, 1)
        )
        return x, y

    def losses(self, step: int, progress: float) -> dict[str, Tensor]:
        """Returns `simcc`, `height` and one `heatmap` a stage, each times its factor."""
        batch = self.source.batch(step, self.batch_size, self.shrink, self.corrupt)
        pixels, keypoints, weights, sure = self._tensors(batch)
        vectors, maps = self.network(pixels)
        labels = self._labels(keypoints)
        size = self.spec.input_size
        found = {
            "simcc": self.factors["simcc"] * simcc_loss(vectors, labels, weights),
            "height": self.factors["height"] * height_loss(vectors, labels, sure, (weights > 0).float()),
        }
        for name, logits in maps.items():
            found[f"heatmap {name}"] = self.factors["heatmap"] * heatmap_loss(
                logits, keypoints, weights, size
            )
        return found

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns the share of held-out keypoints within a tenth of the crop's width of their label.

        By SimCC, and by the heatmaps of stage 4.
        """
        right: dict[str, list[float]] = {"held-out pck": [], "held-out pck of heatmaps": []}
        counted = 0.0
        for index in range(0, self.held_out_crops, 32):
            batch = self.held_out.batch(index, min(32, self.held_out_crops - index), self.shrink)
            pixels, keypoints, weights, _ = self._tensors(batch)
            vectors, maps = network(pixels)
            found = torch.stack([vector.argmax(-1) for vector in vectors], -1) / SIMCC_SPLIT_RATIO
            peaks = heatmap_peaks(maps["stage4"], self.spec.input_size)
            known = (weights > 0.5).float()
            counted += float(known.sum())
            for name, points in zip(right, (found, peaks), strict=True):
                near = (points - keypoints).norm(dim=-1) < 0.1 * self.spec.input_size[0]
                right[name].append(float((near * known).sum()))
        return {name: sum(values) / max(counted, 1.0) for name, values in right.items()}


def stretched(state: Mapping[str, Tensor], network: PoseNetwork) -> dict[str, Tensor]:
    """Returns weights learnt on small crops as a start for large ones.

    The head's first matrix has a column for each cell of the last feature map. Where the map grows by a whole
    factor, every new cell takes the column of the old cell it lies in, divided by the number of new cells
    that share it: a map enlarged by repetition then gives what the small one gave.

    Args:
        state: Of a `PoseNetwork` at one size.
        network: At the other.
    """
    own = network.state_dict()
    made = {name: value.clone() for name, value in state.items()}
    matrix = "pose.head.mlp.1.weight"
    before, after = made[matrix].shape[1], own[matrix].shape[1]
    if before != after:
        columns, rows = network.pose.head.in_featuremap_size
        times = round((after / before) ** 0.5)
        small = made[matrix].unflatten(1, (rows // times, columns // times))
        large = small.repeat_interleave(times, 1).repeat_interleave(times, 2)
        made[matrix] = large.flatten(1) / times**2  # The norm before it has the same value for both maps.
    return made
