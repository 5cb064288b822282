"""Properties that every corruption must have, and what each published one does."""

import hashlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pose_utils.errors import UsageError
from pose_utils.study import conditions, corruptions

EVERY = [(name, severity) for name, severity in conditions.expand(["all"])]
BOX = [[4.0, 4.0, 50.0, 44.0]]


@pytest.fixture(scope="module")
def textured():
    """640 x 480 with detail at every scale and no period, as a photograph has."""
    rng = np.random.default_rng(0)
    image = np.full((480, 640, 3), 120.0)
    for cells in (3, 6, 12, 24, 48, 96, 240):
        grid = rng.normal(0, 22, (cells, cells * 4 // 3, 3))
        image += cv2.resize(grid, (640, 480), interpolation=cv2.INTER_LINEAR)
    return np.clip(image, 0, 255).astype(np.uint8)


def apply(name, image, severity, seed=0, image_name="a.jpg"):
    return conditions.apply(name, image, image_name=image_name, seed=seed, severity=severity, boxes=BOX)


pictures = arrays.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3)))


@settings(max_examples=60, deadline=None)
@given(pictures, st.sampled_from(EVERY), st.integers(0, 9))
def test_shape_and_type_are_kept_and_the_picture_left_alone(image, condition, seed):
    before = image.copy()
    out = apply(condition[0], image, condition[1], seed)
    assert out.shape == image.shape and out.dtype == np.uint8
    assert (image == before).all() and not np.shares_memory(out, image)


@settings(max_examples=40, deadline=None)
@given(pictures, st.sampled_from(EVERY), st.integers(0, 2**40))
def test_a_picture_can_be_made_again(image, condition, seed):
    assert (
        apply(*condition[:1], image, condition[1], seed) == apply(condition[0], image, condition[1], seed)
    ).all()


@settings(max_examples=20, deadline=None)
@given(pictures)
def test_clean_is_the_picture_itself(image):
    assert (apply("clean", image, 0) == image).all()


@pytest.mark.parametrize(
    "name", ["noise", "patch_occlusion", "motion_blur", "rain", "fog", "person_occlusion"]
)
def test_another_seed_name_or_severity_draws_anew(textured, name):
    assert (
        len({apply(name, textured, 2, seed, file).tobytes() for seed in (0, 1) for file in ("a", "b")}) == 4
    )
    seeds = {conditions.seed_for(0, "a", name, severity) for severity in conditions.SEVERITIES}
    assert len(seeds) == 5


def test_the_seed_is_the_same_on_every_machine():
    text = "7\x1fa.jpg\x1fnoise\x1f3"
    wanted = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
    assert conditions.seed_for(7, "a.jpg", "noise", 3) == wanted


@pytest.mark.parametrize("name", conditions.FAMILIES)
def test_severity_moves_the_picture_further_away(textured, name):
    def distance(severity):
        outs = [
            conditions.apply(
                name, textured, image_name=f"{i}.jpg", seed=i, severity=severity, boxes=[[50, 50, 600, 450]]
            )
            for i in range(6)
        ]
        return np.mean([np.abs(out.astype(float) - textured).mean() for out in outs])

    steps = [distance(severity) for severity in conditions.SEVERITIES]
    assert steps[0] > 0 and (np.diff(steps) > 0).all(), steps


@settings(max_examples=100, deadline=None)
@given(st.floats(1, 60), st.floats(0, np.pi))
def test_motion_does_not_move_the_picture(length, angle):
    kernel = corruptions.line_kernel(length, angle).astype(float)
    side = len(kernel)
    assert side % 2 == 1 and kernel.sum() == pytest.approx(1, abs=1e-5)
    y, x = np.mgrid[:side, :side] - side // 2
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-4)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-4)
    spread = np.sqrt((kernel * (x**2 + y**2)).sum())  # that of an even line is length / sqrt(12)
    assert spread == pytest.approx(length / np.sqrt(12), abs=0.6)


@pytest.mark.parametrize(
    "name,severity",
    [("motion_blur_light", 0), ("motion_blur_heavy", 0), ("defocus", 5), ("rotation_blur", 5)],
)
def test_an_impulse_keeps_its_centroid(name, severity):
    for trial in range(5):
        image = np.zeros((321, 321, 3), np.uint8)
        image[158:163, 158:163] = 255
        out = conditions.apply(name, image, image_name=f"{trial}.png", seed=0, severity=severity)[
            ..., 0
        ].astype(float)
        y, x = np.mgrid[:321, :321] - 160
        assert (out * x).sum() / out.sum() == pytest.approx(0, abs=0.05)
        assert (out * y).sum() / out.sum() == pytest.approx(0, abs=0.05)


def test_blur_grows_with_the_picture(textured):
    lengths = []
    for side in (320, 640, 1280):
        image = np.zeros((side, side, 3), np.uint8)
        image[side // 2, side // 2] = 255
        out = conditions.apply("motion_blur_heavy", image, image_name="a", seed=3)[..., 0]
        rows, columns = np.nonzero(out > 0)
        lengths.append(np.hypot(np.ptp(rows), np.ptp(columns)) + 1)
    assert lengths == pytest.approx([15, 30, 60], abs=2.5)


def test_published_strengths_by_hand():
    grey = np.full((200, 200, 3), 100, np.uint8)
    assert (apply("low_light_moderate", grey, 0) == round(255 * (100 / 255) ** 2)).all()
    assert (apply("low_light_severe", grey, 0) == round(255 * (100 / 255) ** 4)).all()
    assert (apply("overexposure", grey, 0) == 250).all()
    assert (apply("overexposure", grey + 10, 0) == 255).all()
    mid = np.full((300, 300, 3), 128, np.uint8)
    noisy = apply("noise", mid, 1).astype(float)  # sigma 20: clipping is 6 sigma away
    assert noisy.std() == pytest.approx(20, rel=0.02) and noisy.mean() == pytest.approx(128, abs=0.2)
    assert conditions.CONDITIONS["noise_moderate"].strength(0) == 50
    covered = np.mean([(apply("occlusion", grey, 0, seed) == 0).all(-1).mean() for seed in range(40)])
    assert covered == pytest.approx(1 - 0.99**30, abs=0.03)


def test_person_occlusion_covers_its_share_inside_the_box_only(textured):
    box = np.array([100, 50, 400, 450])
    for severity, share in enumerate((0.1, 0.2, 0.3, 0.45, 0.6), start=1):
        out = conditions.apply(
            "person_occlusion", textured, image_name="a", seed=1, severity=severity, boxes=[box]
        )
        changed = (out != textured).any(axis=-1)
        rows, columns = np.nonzero(changed)
        assert columns.min() >= 100 and columns.max() < 400 and rows.min() >= 50 and rows.max() < 450
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert area / (300 * 400) == pytest.approx(share, abs=0.015)


def test_names_are_expanded_and_wrong_ones_refused():
    assert conditions.expand(["published"]) == [(name, 0) for name in conditions.PUBLISHED]
    assert conditions.expand(["defocus:3", "clean", "defocus:3"]) == [("defocus", 3), ("clean", 0)]
    assert conditions.expand(["jpeg"]) == [("jpeg", severity) for severity in range(1, 6)]
    with pytest.raises(UsageError, match="did you mean noise_heavy"):
        conditions.expand(["noise_hevy"])
    for wrong in ("defocus:6", "clean:1", "defocus:x", "defocus:0"):
        with pytest.raises(UsageError, match="severity from 1 to 5"):
            conditions.expand([wrong])
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UsageError, match="give their boxes"):
        conditions.apply("person_occlusion", image, image_name="a", seed=0, severity=1)
    with pytest.raises(UsageError, match="has severity"):
        conditions.apply("noise", image, image_name="a", seed=0)
    with pytest.raises(ValueError, match="uint8"):
        conditions.apply("noise_heavy", image.astype(float), image_name="a", seed=0)
