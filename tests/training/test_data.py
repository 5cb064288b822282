"""Pictures and crops: near copies are found, a batch follows from its step, keypoints move with pixels."""

import cv2
import numpy as np
import pytest

from pose_utils.runtime.geometry import person_affines
from training.corrupting import corrupt_some
from training.crops import NONE, Augmentation, CropSource, draw_affine
from training.labels import MIRRORED, Labels
from training.pictures import hashes, list_pictures, near_copies, split
from training.scenes import change_colours, picture

SIZE = (48, 64)


def test_a_copy_that_was_shrunk_darkened_and_recompressed_is_found_and_another_picture_is_not(drawn_pictures):
    folder = drawn_pictures[0].parent / "kept out"
    folder.mkdir()
    image = cv2.imread(str(drawn_pictures[0]))
    small = cv2.resize(image, (60, 45), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "copy.jpg"), (small * 0.8).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert near_copies(drawn_pictures, list_pictures(folder)) == [drawn_pictures[0]]
    cv2.imwrite(str(folder / "copy.jpg"), small[:, ::-1])
    assert near_copies(drawn_pictures, list_pictures(folder)) == [drawn_pictures[0]], "mirrored"
    assert near_copies(drawn_pictures, []) == []
    assert hashes(drawn_pictures).sum(axis=1).tolist() == [32, 32, 32], (
        "half of the bits lie above the median"
    )


def test_held_out_pictures_are_not_trained_on(drawn_pictures):
    kept, held_out = split(drawn_pictures, 2)
    assert held_out == drawn_pictures[::2] and kept == [drawn_pictures[1]]


@pytest.fixture
def source(drawn_pictures):
    def make(how=None, seed=5, shares=None, many=1):
        names = np.array([path.name for path in drawn_pictures[:many]])
        boxes = np.tile(np.array([[30, 20, 80, 70]], "float32"), (many, 1))
        points = np.tile(np.linspace([35, 25], [75, 65], 17, dtype="float32"), (many, 1, 1))
        ones = np.ones((many, 17), "float32")
        labels = Labels(names, boxes, points, ones, 0.9 * ones)
        return CropSource(labels, drawn_pictures[0].parent, SIZE, seed, how or Augmentation(), shares or {})

    return make


def test_a_batch_is_a_function_of_the_seed_and_the_step(source):
    first, again, other = source().batch(7, 3), source().batch(7, 3), source().batch(8, 3)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()
    assert (source(seed=6).batch(7, 3)[0] != first[0]).any()


def test_without_augmentation_the_crop_is_that_of_the_runtime(source):
    crops, keypoints, weights, sure = source(NONE).batch(0, 1)
    (affine,) = person_affines(np.array([[30, 20, 80, 70]]), SIZE)
    points = np.linspace([35, 25], [75, 65], 17) @ affine[:, :2].T + affine[:, 2]
    assert keypoints[0] == pytest.approx(points, abs=1e-3)
    assert crops.shape == (1, 64, 48, 3) and weights.min() == 1 and sure == pytest.approx(0.9)


def test_keypoints_go_where_their_pixels_go_and_change_sides_in_a_mirror(tmp_path):
    image = np.zeros((90, 120, 3), np.uint8)
    spots = {5: (40.0, 30.0), 6: (70.0, 30.0), 11: (45.0, 60.0)}
    for index, spot in spots.items():
        cv2.circle(image, (int(spot[0]), int(spot[1])), 2, (0, 0, 80 + 15 * index), -1)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    points, weights = np.zeros((1, 17, 2), "float32"), np.zeros((1, 17), "float32")
    for index, spot in spots.items():
        points[0, index], weights[0, index] = spot, 1
    labels = Labels(np.array(["a.png"]), np.array([[30, 20, 80, 70]], "float32"), points, weights, weights)
    source = CropSource(labels, tmp_path, (96, 128), 0, Augmentation(colours=0, half_body=0), {})
    crops, keypoints, weights, _ = source.batch(3, 12)
    mirrored = 0
    for crop, placed, known in zip(crops, keypoints, weights, strict=True):
        for index in np.flatnonzero(known):
            x, y = placed[index]
            if not (4 < x < 91 and 4 < y < 123):
                continue
            seen = crop[round(float(y)), round(float(x)), 2]
            # a mirrored left shoulder shows the pixels of the right one
            here, there = 80 + 15 * index, 80 + 15 * MIRRORED[index]
            assert min(abs(int(seen) - here), abs(int(seen) - there)) < 8
            mirrored += abs(int(seen) - there) < 8 and here != there
    assert mirrored > 3


def test_a_keypoint_that_left_the_crop_has_no_weight(source):
    _, keypoints, weights, _ = source(Augmentation(shift=0.9)).batch(1, 16)
    outside = ((keypoints < 0) | (keypoints >= SIZE)).any(axis=2)
    assert outside.any() and (weights[outside] == 0).all() and (weights[~outside] == 1).all()


def test_small_crops_show_the_same_at_half_the_side(source):
    large, small = source(NONE).batch(0, 1), source(NONE).batch(0, 1, shrink=2)
    assert small[0].shape == (1, 32, 24, 3)
    assert (small[1] == large[1]).all(), "keypoints stay in pixels of the full size"
    shrunk = cv2.resize(large[0][0], (24, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small[0][0]).mean() < 6


def test_a_group_is_drawn_as_often_as_its_share_says(source, drawn_pictures):
    drawn = source(shares={drawn_pictures[0].name: 3.0}, many=2)
    assert drawn.chances.tolist() == pytest.approx([0.75, 1.0])


def test_a_half_body_crop_is_smaller_than_the_person():
    points = np.linspace([40, 0], [60, 200], 17)
    box = np.array([30.0, 0, 70, 200])
    rng = np.random.default_rng(0)
    whole, _ = draw_affine(
        box, points, np.ones(17), SIZE, Augmentation(half_body=0, rotation=0, scale=1), rng
    )
    half, _ = draw_affine(box, points, np.ones(17), SIZE, Augmentation(half_body=1, rotation=0, scale=1), rng)
    assert abs(half[1, 1]) > 1.15 * abs(whole[1, 1])


def test_a_detector_picture_is_filled_and_repeatable(drawn_pictures):
    made = [
        picture(drawn_pictures, drawn_pictures[:1], 64, np.random.default_rng(seed)) for seed in (1, 1, 2)
    ]
    assert made[0].shape == (64, 64, 3)
    assert (made[0] == made[1]).all() and (made[0] != made[2]).any()
    assert all(image.std() > 5 for image in made)


def test_colours_change_by_strength(smooth_picture):
    rng = np.random.default_rng(0)
    assert (change_colours(smooth_picture, rng, 0.0) == smooth_picture).all()
    assert (change_colours(smooth_picture, rng, 1.0) != smooth_picture).mean() > 0.5


def test_about_the_asked_share_of_pictures_is_corrupted(smooth_picture):
    images = np.stack([smooth_picture[:64, :64]] * 60)
    made = corrupt_some(images, 0.5, np.random.default_rng(0))
    changed = (made != images).any(axis=(1, 2, 3)).sum()
    assert 20 <= changed <= 40
    assert (corrupt_some(images, 0.0, np.random.default_rng(0)) == images).all()
