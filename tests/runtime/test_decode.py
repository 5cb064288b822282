"""Decoding against mmdet's head, torchvision's NMS and mmpose's codecs."""

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.codecs import MSRAHeatmap, SimCCLabel

from pose_utils.runtime import decode
from pose_utils.zoo.checkpoints import load_module
from pose_utils.zoo.specs import SPECS

SIZE = (320, 320)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def head():
    return load_module(SPECS["rtmdet-nano"], None).bbox_head


def random_heads(seed, bias):
    rng = np.random.default_rng(seed)
    grids = [(SIZE[1] // stride, SIZE[0] // stride) for stride in decode.RTMDET_STRIDES]
    # No two scores alike: which of two equal ones goes first is nobody's rule.
    values = rng.permutation(np.linspace(bias - 3, bias + 3, sum(map(np.prod, grids)))).astype("float32")
    parts = np.split(values, np.cumsum([np.prod(grid) for grid in grids])[:-1])
    logits = [part.reshape(1, 1, *grid) for part, grid in zip(parts, grids, strict=True)]
    distances = [rng.uniform(-5, 90, (1, 4, *grid)).astype("float32") for grid in grids]
    return [*logits, *distances]


def best_first(boxes, scores):
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order]


# A bias of 2 gives more than 1000 candidates on the finest level, one of -9 gives none.
@settings(max_examples=25, deadline=None)
@given(seed=seeds, bias=st.sampled_from([2.0, -2.0, -5.0, -9.0]))
def test_boxes_and_scores_are_those_of_mmdets_head(head, seed, bias):
    outputs = random_heads(seed, bias)
    ours = decode.non_maximum_suppression(*decode.rtmdet_candidates(outputs, SIZE))
    tensors = [torch.from_numpy(output) for output in outputs]
    metas = [{"img_shape": SIZE[::-1], "scale_factor": (1.0, 1.0)}]
    (theirs,) = head.predict_by_feat(tensors[:3], tensors[3:], batch_img_metas=metas, rescale=False)
    boxes, scores = best_first(theirs.bboxes.numpy(), theirs.scores.numpy())
    assert len(ours) == len(boxes)
    np.testing.assert_allclose(ours.scores, scores, atol=1e-6)
    np.testing.assert_allclose(ours.boxes, boxes, atol=1e-3)


def test_of_a_crowded_level_the_best_thousand_go_on():
    outputs = random_heads(0, 2.0)
    _, scores = decode.rtmdet_candidates(outputs, SIZE)
    expected = [np.sort(1 / (1 + np.exp(-level.ravel())))[-1000:] for level in outputs[:3]]
    np.testing.assert_allclose(np.sort(scores), np.sort(np.concatenate(expected)), rtol=1e-5)


def test_one_confident_cell_gives_the_box_around_its_corner():
    outputs = [np.full((1, 1, side, side), -20.0, "float32") for side in (40, 20, 10)]
    outputs += [np.zeros((1, 4, side, side), "float32") for side in (40, 20, 10)]
    outputs[1][0, 0, 3, 5] = 2.0
    outputs[4][0, :, 3, 5] = (10, 20, 30, 40)
    boxes, scores = decode.rtmdet_candidates(outputs, SIZE)
    # Stride 16, column 5, row 3: the prior is (80, 48), not half a cell further.
    np.testing.assert_allclose(boxes, [[70, 28, 110, 88]])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-2.0)), rtol=1e-6)


def test_no_candidate_is_an_empty_result():
    outputs = [np.full((1, 1, side, side), -20.0, "float32") for side in (40, 20, 10)]
    outputs += [np.ones((1, 4, side, side), "float32") for side in (40, 20, 10)]
    found = decode.non_maximum_suppression(*decode.rtmdet_candidates(outputs, SIZE))
    assert found.boxes.shape == (0, 4) and found.scores.shape == (0,)


@pytest.mark.parametrize(
    "broken",
    [
        lambda outputs: outputs[:5],
        lambda outputs: [np.repeat(output, 2, axis=0) for output in outputs],
        lambda outputs: [*outputs[3:], *outputs[:3]],
        lambda outputs: [np.repeat(output, 80, axis=1) for output in outputs[:3]] + outputs[3:],
    ],
    ids=["five outputs", "batch of two", "distances first", "80 classes"],
)
def test_outputs_of_another_model_are_refused(broken):
    with pytest.raises(ValueError, match=r"RTMDet has|unexpected shapes"):
        decode.rtmdet_candidates(broken(random_heads(0, -2.0)), SIZE)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, count=st.integers(0, 120), iou=st.sampled_from([0.3, 0.6, 0.9]))
def test_suppression_keeps_what_torchvision_keeps(seed, count, iou):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.5, 60, (count, 2))], axis=1).astype("float32")
    scores = rng.permutation(np.linspace(0.06, 0.99, count)).astype("float32")
    ours = decode.non_maximum_suppression(boxes, scores, iou, limit=1000)
    kept = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou).numpy()
    np.testing.assert_array_equal(ours.boxes, boxes[kept])
    np.testing.assert_array_equal(ours.scores, scores[kept])


def test_boxes_without_area_are_dropped_and_the_best_are_kept():
    boxes = np.float32([[0, 0, 10, 0], [20, 20, 10, 30], [0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]])
    found = decode.non_maximum_suppression(boxes, np.float32([0.99, 0.98, 0.5, 0.9, 0.7]), limit=2)
    np.testing.assert_array_equal(found.boxes, boxes[[3, 4]])


def test_a_file_with_nms_inside_gives_its_persons_only():
    dets = np.float32([[[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.04], [9, 10, 11, 12, 0.8]]])
    boxes, scores = decode.rtmdet_end_to_end([dets, np.array([[0, 0, 7]])])
    np.testing.assert_array_equal(boxes, [[1, 2, 3, 4]])
    np.testing.assert_array_equal(scores, np.float32([0.9]))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, persons=st.integers(1, 4), shift=st.sampled_from([0.0, -2.0, -5.0]))
def test_simcc_is_decoded_as_mmpose_decodes_it(seed, persons, shift):
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, (persons, 17, 384)).astype("float32")
    y = rng.normal(shift, 1, (persons, 17, 512)).astype("float32")
    codec = SimCCLabel(input_size=(192, 256), sigma=6.0, simcc_split_ratio=2.0)
    keypoints, scores = codec.decode(x.copy(), y.copy())
    ours, our_scores = decode.simcc([x, y])
    np.testing.assert_allclose(ours, keypoints)
    np.testing.assert_array_equal(our_scores, scores)


def test_simcc_of_nobody_is_empty():
    keypoints, scores = decode.simcc([np.empty((0, 17, 384), "float32"), np.empty((0, 17, 512), "float32")])
    assert keypoints.shape == (0, 17, 2) and scores.shape == (0, 17)


def mmpose_heatmap(maps):
    codec = MSRAHeatmap(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
    decoded = [codec.decode(each) for each in maps]
    return np.concatenate([keypoints for keypoints, _ in decoded]), np.concatenate(
        [scores for _, scores in decoded]
    )


@settings(max_examples=20, deadline=None)
@given(seed=seeds, shift=st.sampled_from([0.0, -6.0]))
def test_heatmaps_are_decoded_as_mmpose_decodes_them(seed, shift):
    maps = np.random.default_rng(seed).normal(shift, 1, (2, 17, 64, 48)).astype("float32")
    keypoints, scores = mmpose_heatmap(maps)
    ours, our_scores = decode.heatmap([maps], (192, 256))
    np.testing.assert_allclose(ours, keypoints, atol=1e-4)
    np.testing.assert_array_equal(our_scores, scores)


def test_heatmap_peaks_at_every_border_are_decoded_as_mmpose_decodes_them():
    columns, rows = (0, 1, 2, 23, 45, 46, 47), (0, 1, 2, 31, 61, 62, 63)
    peaks = [(x, y) for x in columns for y in rows]
    maps = np.random.default_rng(3).uniform(0, 0.5, (len(peaks), 17, 64, 48)).astype("float32")
    for index, (x, y) in enumerate(peaks):
        maps[index, :, y, x] = 1.0
    ours, _ = decode.heatmap([maps], (192, 256))
    np.testing.assert_allclose(ours, mmpose_heatmap(maps)[0], atol=1e-4)


def test_a_flat_heatmap_gets_no_quarter_step():
    maps = np.zeros((1, 17, 64, 48), "float32")
    maps[0, :, 10, 20] = 1.0
    ours, scores = decode.heatmap([maps], (192, 256))
    np.testing.assert_array_equal(ours, np.broadcast_to([80.0, 40.0], (1, 17, 2)))
    assert (scores == 1).all()


def test_movenet_rows_become_persons_best_first():
    rows = np.zeros((1, 6, 56), "float32")
    rows[0, 0, 55], rows[0, 4, 55] = 0.3, 0.9
    rows[0, 4, :3] = (0.25, 0.5, 0.8)
    rows[0, 4, 48:51] = (0.75, 0.125, 0.6)
    rows[0, 4, 51:55] = (0.1, 0.2, 0.7, 0.8)
    keypoints, boxes, joint_scores, scores = decode.movenet([rows], (400, 200))
    assert scores[:2] == pytest.approx([0.9, 0.3])
    np.testing.assert_allclose(keypoints[0, 0], (200, 50))
    np.testing.assert_allclose(keypoints[0, 16], (50, 150))
    np.testing.assert_allclose(boxes[0], (80, 20, 320, 140), rtol=1e-6)
    assert joint_scores[0, [0, 16]] == pytest.approx([0.8, 0.6])


@pytest.mark.parametrize(
    "call",
    [
        lambda: decode.simcc([np.zeros((1, 17, 384))]),
        lambda: decode.simcc([np.zeros((1, 17, 384)), np.zeros((2, 17, 512))]),
        lambda: decode.heatmap([np.zeros((1, 17, 64, 48))] * 2, (192, 256)),
        lambda: decode.heatmap([np.zeros((17, 64, 48))], (192, 256)),
        lambda: decode.movenet([np.zeros((1, 6, 57))], (384, 384)),
        lambda: decode.rtmdet_end_to_end([np.zeros((1, 3, 5))]),
    ],
)
def test_wrong_shapes_raise(call):
    with pytest.raises(ValueError):
        call()
