"""Losses against mmpose's own code and against values computed by hand."""

import numpy as np
import pytest
import torch

from training.detector_losses import answer_losses, box_loss, feature_loss, score_loss
from training.pose_losses import SIGMAS, gaussians, heatmap_loss, heatmap_peaks, height_loss, simcc_loss


@pytest.fixture
def keypoints():
    return np.random.default_rng(3).uniform([0, 0], [191, 255], (2, 17, 2)).astype("float32")


def test_simcc_labels_are_those_of_mmpose_s_codec(keypoints):
    from mmpose.codecs import SimCCLabel

    codec = SimCCLabel(
        input_size=(192, 256), sigma=SIGMAS, simcc_split_ratio=2.0, normalize=False, use_dark=False
    )
    for person in keypoints:
        wanted = codec.encode(person[None])
        for axis, (name, bins) in enumerate((("keypoint_x_labels", 384), ("keypoint_y_labels", 512))):
            made = gaussians(torch.from_numpy(person[None, :, axis] * 2), bins, SIGMAS[axis]).numpy()
            theirs = wanted[name]
            # mmpose cuts its Gaussians off at three sigma.
            assert np.abs(made - theirs)[theirs > 0].max() < 1e-6
            assert made[theirs == 0].max() < np.exp(-(3**2) / 2)


def test_the_simcc_loss_is_mmpose_s_but_for_its_divisors(keypoints):
    from mmpose.models.losses import KLDiscretLoss

    torch.manual_seed(0)
    places = torch.from_numpy(keypoints) * 2
    labels = (gaussians(places[..., 0], 384, SIGMAS[0]), gaussians(places[..., 1], 512, SIGMAS[1]))
    outputs = (torch.randn(2, 17, 384) * 0.1, torch.randn(2, 17, 512) * 0.1)
    weights = torch.ones(2, 17)
    weights[0, :5] = 0
    per_axis = []
    for output, label in zip(outputs, labels, strict=True):
        theirs = KLDiscretLoss(use_target_weight=True, beta=10.0, label_softmax=True)
        # theirs: mean over bins, sum over persons, divided by keypoints
        per_axis.append(
            float(theirs((output,), (label,), weights)) * 17 * output.shape[-1] / float(weights.sum())
        )
    assert float(simcc_loss(outputs, labels, weights)) == pytest.approx(np.mean(per_axis), rel=1e-4)


def test_the_height_loss_is_nothing_for_labels_times_confidence_and_grows_with_the_gap():
    labels = tuple(gaussians(torch.tensor([[100.0]]), bins, 5.0) for bins in (384, 512))
    sure, weights = torch.tensor([[0.8]]), torch.ones(1, 1)
    exact = float(height_loss(tuple(0.8 * label for label in labels), labels, sure, weights))
    flat = float(height_loss(tuple(0.2 * label for label in labels), labels, sure, weights))
    assert exact < 0.01
    # the peak of c times a Gaussian, averaged over that Gaussian, is c / sqrt 2
    assert flat - exact == pytest.approx(0.6 / 2**0.5, abs=0.01)


def test_the_heatmap_loss_is_least_where_the_map_is_the_gaussian():
    point = torch.tensor([[[20.0, 12.0]]])
    columns, rows = torch.arange(8), torch.arange(4)
    x, y = 20 / 8 - 0.5, 12 / 8 - 0.5  # cells of 8 px, their centres half a cell in
    right = -((columns[None] - x) ** 2 + (rows[:, None] - y) ** 2) / (2 * 0.8**2)
    weight = torch.ones(1, 1)
    best = float(heatmap_loss(right[None, None], point, weight, (64, 32)))
    along = [
        torch.softmax(-((steps - place) ** 2) / (2 * 0.8**2), 0) for steps, place in ((columns, x), (rows, y))
    ]
    assert best == pytest.approx(-sum(float((p * p.log()).sum()) for p in along), rel=1e-4), "its entropy"
    assert float(heatmap_loss(torch.zeros(1, 1, 4, 8), point, weight, (64, 32))) == pytest.approx(np.log(32))
    assert float(heatmap_loss(right[None, None], point, 0 * weight, (64, 32))) == 0


def test_a_peak_is_the_middle_of_its_cell():
    logits = torch.zeros(1, 1, 4, 8)
    logits[0, 0, 1, 2] = 1
    assert heatmap_peaks(logits, (64, 32)).tolist() == [[[20.0, 12.0]]]


def test_the_score_loss_is_the_quality_focal_loss_of_mmdet():
    from mmdet.models.losses.gfocal_loss import quality_focal_loss_tensor_target

    torch.manual_seed(0)
    logits, wanted = torch.randn(50), torch.rand(50)
    theirs = (
        quality_focal_loss_tensor_target(logits[:, None], wanted[:, None], reduction="sum") / wanted.sum()
    )
    assert float(score_loss(logits, wanted)) == pytest.approx(float(theirs), rel=1e-5)


def test_the_score_loss_of_one_prior_by_hand():
    # sigmoid(0) = .5 against 1: .25 * ln 2, over a sum of targets of 1
    assert float(score_loss(torch.zeros(1), torch.ones(1))) == pytest.approx(0.25 * np.log(2))


def test_the_box_loss_by_hand_and_by_torchvision():
    from torchvision.ops import generalized_box_iou_loss

    student = torch.tensor([[2.0, 2, 2, 2], [1, 1, 1, 1], [5, 5, 5, 5]])
    teacher = torch.tensor([[2.0, 2, 2, 2], [2, 2, 2, 2], [1, 1, 1, 1]])
    scores = torch.tensor([0.9, 0.6, 0.05])
    # the third does not count; the second has IoU 4 / 16 and no empty hull
    assert float(box_loss(student, teacher, scores)) == pytest.approx(0.75 * 0.6 / 1.5)
    signs = torch.tensor([-1.0, -1, 1, 1])
    theirs = generalized_box_iou_loss(student[:2] * signs, teacher[:2] * signs, reduction="none")
    assert float(box_loss(student, teacher, scores)) == pytest.approx(
        float((theirs * scores[:2]).sum() / scores[:2].sum()), rel=1e-5
    )
    assert float(box_loss(student, teacher, torch.zeros(3))) == 0


def test_the_feature_loss_is_relative_to_what_there_is_to_learn():
    teacher = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(feature_loss(teacher, teacher)) == 0
    assert float(feature_loss(torch.zeros_like(teacher), teacher)) == pytest.approx(1, abs=0.05)
    assert float(feature_loss(torch.zeros_like(teacher), 100 * teacher)) == pytest.approx(1, abs=0.05)


def test_answers_that_equal_the_teacher_s_leave_no_box_loss():
    torch.manual_seed(0)
    teacher = [torch.randn(2, 1, s, s) for s in (8, 4, 2)] + [torch.rand(2, 4, s, s) * 40 for s in (8, 4, 2)]
    same = answer_losses(teacher, teacher, (8, 16, 32))
    other = answer_losses([value * 0.5 for value in teacher], teacher, (8, 16, 32))
    assert float(same["box"]) == pytest.approx(0, abs=1e-5) and float(same["distance"]) == 0
    assert all(float(other[name]) > float(same[name]) + 1e-3 for name in same)
