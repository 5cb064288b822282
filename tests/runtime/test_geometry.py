"""Preprocessing against mmdet's and mmpose's own transforms, and its inverses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.transforms import Pad, Resize
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine
from mmpose.structures import PoseDataSample

from pose_utils.runtime import geometry
from pose_utils.zoo.checkpoints import load_config
from pose_utils.zoo.specs import SPECS

CROP = (192, 256)
sides = st.integers(1, 900)


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def mmdet_input(image, side):
    results = Resize(scale=(side, side), keep_ratio=True)({"img": image, "img_shape": image.shape[:2]})
    return Pad(size=(side, side), pad_val={"img": (114, 114, 114)})(results)


def mmpose_crop(image, box, points):
    results = {"img": image, "bbox": np.float32([box]), "keypoints": np.float32(points)[None]}
    results = GetBBoxCenterScale()(results)
    results["bbox_rotation"] = np.float32([0])
    return TopdownAffine(input_size=CROP, use_udp=False)(results)


@settings(max_examples=60, deadline=None)
@given(width=sides, height=sides, side=st.sampled_from([320, 640]))
def test_the_detector_gets_the_pixels_that_mmdet_would_give_it(width, height, side):
    # mmdet makes a side of no pixel out of a thread-like picture and fails there.
    if min(width, height) * side / max(width, height) < 0.5:
        return
    image = noise(width, height)
    canvas, placement = geometry.letterbox(image, (side, side))
    theirs = mmdet_input(image, side)
    np.testing.assert_array_equal(canvas, theirs["img"])
    assert placement.scale == pytest.approx(theirs["scale_factor"], abs=1e-12)
    assert placement.offset == (0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_a_picture_like_a_thread_still_fills_the_input(shape):
    canvas, placement = geometry.letterbox(np.full((*shape, 3), 7, np.uint8), (320, 320))
    assert canvas.shape == (320, 320, 3)
    assert (canvas[0, 0] == 7).all()
    assert np.isfinite(placement.to_image(np.float32([[0, 0, 320, 320]]))).all()


def test_a_centred_letterbox_pads_both_sides():
    canvas, placement = geometry.letterbox(np.full((50, 100, 3), 9, np.uint8), (384, 384), 0, centred=True)
    assert placement.offset == (0, 96)
    assert (canvas[96:288] == 9).all()
    assert not canvas[:96].any() and not canvas[288:].any()


@given(
    width=sides, height=sides, centred=st.booleans(),
    points=st.lists(st.tuples(st.floats(-50, 950), st.floats(-50, 950)), min_size=1, max_size=5),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_letterbox_and_its_way_back_cancel_out(width, height, centred, points):
    _, placement = geometry.letterbox(np.zeros((height, width, 3), np.uint8), (320, 320), centred=centred)
    points = np.array(points)
    inside = points * placement.scale + placement.offset
    # One input pixel can be many image pixels: the tolerance is a thousandth of an input pixel.
    np.testing.assert_allclose(placement.to_image(inside), points, atol=1e-3 / min(placement.scale))


def test_boxes_map_back_by_the_ratio_of_each_axis():
    _, placement = geometry.letterbox(np.zeros((333, 500, 3), np.uint8), (320, 320))
    assert placement.scale == (320 / 500, 213 / 333)
    mapped = placement.to_image(np.float32([[32, 21.3, 320, 213]]))
    np.testing.assert_allclose(mapped, [[50, 33.3, 500, 333]], rtol=1e-6)


boxes = st.tuples(
    st.floats(-40, 300), st.floats(-40, 220), st.floats(2, 400), st.floats(2, 400)
).map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(box=boxes)
def test_a_person_is_cut_out_as_mmpose_cuts_it(smooth_picture, box):
    points = [(box[0], box[1]), (box[2], box[3]), (0, 0), (319, 239)]
    theirs = mmpose_crop(smooth_picture, box, points)
    affines = geometry.person_affines(np.array([box]), CROP)
    ours = np.array(points) @ affines[0, :, :2].T + affines[0, :, 2]
    # mmpose solves for its matrix in single precision.
    np.testing.assert_allclose(ours, theirs["transformed_keypoints"][0], rtol=1e-4, atol=0.05)
    crop = geometry.crop_persons(smooth_picture, affines, CROP)[0]
    differences = np.abs(crop.astype(int) - theirs["img"].astype(int))
    # At the edge of the picture a difference of a thousandth of a pixel decides what is outside.
    assert np.mean(differences > 4) < 0.01
    assert differences.mean() < 0.5


@given(
    box=boxes,
    points=st.lists(st.tuples(st.floats(-100, 300), st.floats(-100, 300)), min_size=17, max_size=17),
)
@settings(max_examples=50, deadline=None)
def test_crop_and_its_way_back_cancel_out(box, points):
    affines = geometry.person_affines(np.array([box]), CROP)
    in_image = geometry.crop_to_image(np.array([points]), affines)[0]
    again = in_image @ affines[0, :, :2].T + affines[0, :, 2]
    np.testing.assert_allclose(again, points, atol=0.05)


def test_every_person_has_its_own_crop(smooth_picture):
    boxes = np.float32([[10, 10, 60, 120], [100, 50, 300, 200], [0, 0, 320, 240]])
    affines = geometry.person_affines(boxes, CROP)
    crops = geometry.crop_persons(smooth_picture, affines, CROP)
    for index, box in enumerate(boxes):
        alone = geometry.crop_persons(smooth_picture, geometry.person_affines(box[None], CROP), CROP)
        np.testing.assert_array_equal(crops[index], alone[0])


@pytest.mark.parametrize("box", [(5, 5, 5, 5), (9, 9, 4, 4), (-1e4, -1e4, -9e3, -9e3), (0, 0, 1e5, 1e5)])
def test_a_degenerate_box_gives_a_defined_crop(smooth_picture, box):
    affines = geometry.person_affines(np.float32([box]), CROP)
    assert np.isfinite(affines).all() and affines[0, 0, 0] > 0
    assert geometry.crop_persons(smooth_picture, affines, CROP).shape == (1, 256, 192, 3)


def test_outside_the_picture_a_crop_is_black(smooth_picture):
    affines = geometry.person_affines(np.float32([[5000, 5000, 5100, 5100]]), CROP)
    assert not geometry.crop_persons(smooth_picture, affines, CROP).any()


@pytest.mark.parametrize("name", ["rtmdet-nano", "rtmdet-m", "rtmpose-t", "rtmpose-m", "hrnet-w48"])
def test_the_network_gets_the_numbers_of_the_released_preprocessor(name):
    spec = SPECS[name]
    pixels = noise(96, 64)
    config = load_config(spec).model.data_preprocessor
    config.pop("batch_augments", None)
    package = "mmdet" if spec.kind == "detector" else "mmpose"
    preprocessor = __import__(f"{package}.registry", fromlist=["MODELS"]).MODELS.build(config)
    plane = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    samples = [PoseDataSample()] if package == "mmpose" else None
    theirs = preprocessor({"inputs": [plane], "data_samples": samples}, False)["inputs"].numpy()
    np.testing.assert_allclose(geometry.to_network_input(pixels[None], spec), theirs, atol=2e-6)


def test_pp_tinypose_is_normalised_as_paddle_does_it():
    pixels = noise(8, 8)
    rgb = pixels[..., ::-1].transpose(2, 0, 1) / 255
    expected = (rgb - np.reshape([0.485, 0.456, 0.406], (3, 1, 1))) / np.reshape(
        [0.229, 0.224, 0.225], (3, 1, 1)
    )
    ours = geometry.to_network_input(pixels[None], SPECS["pp-tinypose"])
    np.testing.assert_allclose(ours[0], expected, atol=1e-5)
    assert ours.flags.c_contiguous and ours.dtype == np.float32


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ValueError, match="image"):
        geometry.letterbox(image, (320, 320))
