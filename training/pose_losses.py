"""What a pose model learns from keypoints: SimCC vectors, and heatmaps on the way to them."""

from __future__ import annotations

import torch
from torch import Tensor

SIGMAS = (4.9, 5.66)
"""Of the SimCC labels in bins along x and y (mmpose rtmpose-t, SimCCLabel)."""
BETA = 10.0
"""Temperature of predictions and labels (mmpose rtmpose-t, KLDiscretLoss)."""


def gaussians(positions: Tensor, bins: int, sigma: float) -> Tensor:
    """Returns Gaussian labels with peak 1, not normalised (mmpose SimCCLabel, normalize=False).

    Args:
        positions: (n, k) in bins; rounded to whole bins as mmpose does.
        bins: Length of the vectors.
        sigma: In bins.

    Returns:
        float32 (n, k, bins).
    """
    steps = torch.arange(bins, dtype=torch.float32, device=positions.device)
    return torch.exp(-((steps - positions.round()[..., None]) ** 2) / (2 * sigma**2))


def simcc_loss(outputs: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor], weights: Tensor) -> Tensor:
    """KL divergence as mmpose's KLDiscretLoss has it (beta 10, label_softmax), per unit of weight and axis.

    mmpose divides by the number of bins and of keypoints, and sums over the batch; here one keypoint counts
    for the same in every batch.

    Args:
        outputs: x and y vectors (n, k, bins).
        labels: `gaussians` of the same shapes.
        weights: (n, k), 0..1.
    """
    total = outputs[0].new_zeros((), dtype=torch.float32)
    for vector, label in zip(outputs, labels, strict=True):
        wanted = (label * BETA).softmax(-1)
        log = (vector.float() * BETA).log_softmax(-1)
        divergence = (wanted * (wanted.clamp(min=1e-12).log() - log)).sum(-1)
        total = total + (divergence * weights).sum() / weights.sum().clamp(min=1.0)
    return total / len(outputs)


def height_loss(
    outputs: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor], sure: Tensor, weights: Tensor
) -> Tensor:
    """Pulls the vectors' heights towards the confidence, which the KL divergence leaves open.

    The score of a keypoint is the smaller of both maxima, so that without this term it would mean nothing
    but what training happened to lead to.

    Args:
        outputs: x and y vectors (n, k, bins).
        labels: `gaussians` of the same shapes.
        sure: (n, k), wanted height of the peak, 0..1.
        weights: (n, k); keypoints with 0 are wanted flat at their `sure`.
    """
    total = outputs[0].new_zeros((), dtype=torch.float32)
    for vector, label in zip(outputs, labels, strict=True):
        peak = (vector.float() * label).sum(-1) / label.sum(-1).clamp(min=1e-6)
        wanted = sure * (label * label).sum(-1) / label.sum(-1).clamp(min=1e-6)
        total = total + ((peak - wanted).abs() * weights).sum() / weights.sum().clamp(min=1.0)
        # Far from the peak the vector stays near 0, so that heights of joints can be compared.
        total = total + (vector.float() * (1 - label)).square().mean()
    return total / len(outputs)


def heatmap_loss(
    logits: Tensor, keypoints: Tensor, weights: Tensor, size: tuple[int, int], sigma: float = 0.8
) -> Tensor:
    """Cross entropy between a softmax over all cells and a Gaussian about the keypoint.

    Args:
        logits: (n, 17, h, w).
        keypoints: (n, 17, 2) in pixels of `size`.
        weights: (n, 17), 0..1.
        size: (width, height) that the map covers.
        sigma: In cells.
    """
    height, width = logits.shape[-2:]
    # The centre of cell i lies at (i + .5) cells.
    x = keypoints[..., 0] * (width / size[0]) - 0.5
    y = keypoints[..., 1] * (height / size[1]) - 0.5
    columns = torch.arange(width, device=logits.device)
    rows = torch.arange(height, device=logits.device)
    along_x = torch.exp(-((columns - x[..., None]) ** 2) / (2 * sigma**2))
    along_y = torch.exp(-((rows - y[..., None]) ** 2) / (2 * sigma**2))
    along_x = along_x / along_x.sum(-1, keepdim=True).clamp(min=1e-6)
    along_y = along_y / along_y.sum(-1, keepdim=True).clamp(min=1e-6)
    log = logits.float().flatten(2).log_softmax(-1).unflatten(2, (height, width))
    entropy = -torch.einsum("nkhw,nkh,nkw->nk", log, along_y, along_x)
    return (entropy * weights).sum() / weights.sum().clamp(min=1.0)


def heatmap_peaks(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns the middle of each map's highest cell, (n, k, 2) in pixels of `size`."""
    height, width = logits.shape[-2:]
    best = logits.flatten(2).argmax(-1)
    cells = torch.stack([best % width, torch.div(best, width, rounding_mode="floor")], -1)
    return (cells + 0.5) * torch.tensor([size[0] / width, size[1] / height], device=logits.device)
