"""What a detector learns from its teacher's answers: features, soft scores and boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the mean squared difference, relative to the teacher's variance.

    Args:
        student: (n, c, h, w).
        teacher: The same shape.
    """
    return functional.mse_loss(student.float(), teacher) / (teacher.var() + 1e-6)


def score_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Quality focal loss with soft targets, per unit of the targets' sum (mmdet QualityFocalLoss, beta 2).

    Args:
        logits: Student's scores before the sigmoid, any shape.
        wanted: Teacher's scores 0..1, same shape.
    """
    gap = (wanted - logits.sigmoid()).abs().square()
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (gap * loss).sum() / wanted.sum().clamp(min=1.0)


def box_loss(student: Tensor, teacher: Tensor, scores: Tensor, least: float = 0.1) -> Tensor:
    """Generalised IoU loss between boxes on the same prior, weighted by the teacher's score.

    Args:
        student: (n, 4) distances left, top, right, bottom from the prior.
        teacher: The same.
        scores: (n,) teacher's scores; priors at or below `least` do not count.
        least: See `scores`.
    """
    keep = scores > least
    if not keep.any():
        return student.sum() * 0.0
    student, teacher, weight = student[keep], teacher[keep], scores[keep]

    def area(sides: Tensor) -> Tensor:
        return (sides[:, 0] + sides[:, 2]).clamp(min=0) * (sides[:, 1] + sides[:, 3]).clamp(min=0)

    inner, outer = torch.minimum(student, teacher), torch.maximum(student, teacher)
    # Both boxes hold nearly always the prior; where they do not, the sides of the inner one may cross.
    common, hull = area(inner), area(outer).clamp(min=1e-6)
    union = (area(student) + area(teacher) - common).clamp(min=1e-6)
    giou = common / union - (hull - union) / hull
    return ((1 - giou) * weight).sum() / weight.sum()


def answer_losses(
    student: Sequence[Tensor], teacher: Sequence[Tensor], strides: Sequence[int]
) -> dict[str, Tensor]:
    """Compares raw heads of all levels.

    Args:
        student: Logits (n, 1, h, w) of every level, then distances (n, 4, h, w) in pixels.
        teacher: The same.
        strides: Of the levels, in pixels.

    Returns:
        `score`, `box` and `distance` (smooth L1 in strides, which pulls where boxes do not overlap yet).
    """
    levels = len(strides)
    flat = [
        torch.cat([level.flatten(1) for level in part[:levels]], 1).flatten() for part in (student, teacher)
    ]
    wanted = flat[1].sigmoid()
    boxes = [
        torch.cat(
            [
                (level / stride).permute(0, 2, 3, 1).reshape(len(level), -1, 4)
                for level, stride in zip(part[levels:], strides, strict=True)
            ],
            1,
        ).reshape(-1, 4)
        for part in (student, teacher)
    ]
    weight = wanted * (wanted > 0.1)
    off = functional.smooth_l1_loss(boxes[0], boxes[1], reduction="none").mean(1)
    return {
        "score": score_loss(flat[0], wanted),
        "box": box_loss(boxes[0], boxes[1], wanted),
        "distance": 0.25 * (off * weight).sum() / weight.sum().clamp(min=1.0),
    }
