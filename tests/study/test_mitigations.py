"""Each remedy does what its name says, and the study pairs it with the pipeline as it is."""

import numpy as np
import pytest

from pose_utils.runtime.pipeline import Detector, PoseEstimator, PosePipeline
from pose_utils.study import mitigations, remedy_study
from pose_utils.study.intervals import resampling_weights
from pose_utils.study.mitigations import MIRROR
from pose_utils.study.records import RunFolder
from pose_utils.types import KEYPOINT_NAMES, Detections, Poses
from tests.study.known_pipeline import GRID, ByBrightness

RNG = np.random.default_rng(0)


def test_noise_is_measured_in_grey_levels(smooth_picture):
    for sigma in (10, 25):
        noisy = smooth_picture[..., :1] + RNG.normal(0, sigma, smooth_picture.shape[:2])[..., None]
        noisy = np.repeat(np.clip(noisy, 0, 255), 3, axis=2).astype(np.uint8)
        assert mitigations.noise_level(noisy) == pytest.approx(sigma, rel=0.15)
    assert mitigations.noise_level(smooth_picture) < 3


def test_denoising_leaves_a_clean_picture_alone_and_brings_a_noisy_one_nearer(smooth_picture):
    assert mitigations.denoise(smooth_picture) is smooth_picture
    noisy = np.clip(smooth_picture + RNG.normal(0, 50, smooth_picture.shape), 0, 255).astype(np.uint8)

    def error(image):
        return np.abs(image.astype(float) - smooth_picture).mean()

    assert error(mitigations.denoise(noisy)) < 0.6 * error(noisy)


def test_a_dark_picture_is_brightened_and_a_bright_one_is_not():
    dark = np.full((20, 20, 3), 40, np.uint8)
    assert mitigations.brighten(dark).mean() == pytest.approx(0.45 * 255, abs=2)
    bright = np.full((20, 20, 3), 180, np.uint8)
    assert (mitigations.brighten(bright) == bright).all()
    assert mitigations.equalise(dark).shape == dark.shape


def test_blur_lowers_sharpness_and_noise_does_not_raise_it_much():
    from cv2 import GaussianBlur

    scene = np.kron(RNG.integers(0, 255, (30, 40), np.uint8), np.ones((16, 16), np.uint8))
    scene = np.repeat(scene[..., None], 3, axis=2)
    assert mitigations.sharpness(GaussianBlur(scene, (0, 0), 4)) < 0.2 * mitigations.sharpness(scene)


class Lopsided:
    """Finds one person; its left wrist is always 4 px too far left, in whatever picture it sees."""

    takes_boxes, min_score, max_persons = True, 0.3, 100
    truth = GRID + np.array([40, 30])

    def __call__(self, image, boxes=None):
        points = self.truth.copy()
        if boxes is not None:  # the mirrored picture shows the mirrored person
            points = points[MIRROR] * (-1, 1) + (image.shape[1] - 1, 0)
        points[:, 0] -= 4
        box = [[40, 30, 120, 130]] if boxes is None else boxes
        return Poses(points[None], np.ones((1, 17)), box, [0.9])


def test_the_flip_test_cancels_a_sideways_error():
    poses = mitigations.flip_test(Lopsided(), np.zeros((200, 240, 3), np.uint8))
    assert poses.keypoints[0] == pytest.approx(Lopsided.truth, abs=1e-3)
    assert poses.boxes[0].tolist() == [40, 30, 120, 130]
    assert [KEYPOINT_NAMES[i] for i in MIRROR[[0, 5, 16]]] == ["nose", "right_shoulder", "left_ankle"]


def test_boxes_cut_by_a_tile_are_left_to_the_tile_that_holds_them():
    boxes = np.array([[0, 10, 50, 50], [20, 10, 60, 50], [50, 10, 99, 50], [20, 60, 60, 99]], float)
    inner = mitigations._at_inner_edge(boxes, (0, 0, 100, 100), (180, 180))
    assert inner.tolist() == [False, False, True, True]  # the tile's edges, not the picture's
    corner = mitigations._at_inner_edge(boxes, (80, 80, 100, 100), (180, 180))
    assert corner.tolist() == [True, False, False, False]


def test_half_the_threshold_keeps_persons_of_half_the_score():
    class Backend:
        class artifact:
            from pose_utils.zoo.specs import get_spec

            spec = get_spec("rtmdet-nano")

        output_names = ()

    class Finds(Detector):
        def __call__(self, image, clock=None):
            return Detections([[0, 0, 9, 9], [5, 5, 20, 20], [8, 8, 30, 30]], [0.9, 0.2, 0.1])

    class Poses0(PoseEstimator):
        def __call__(self, image, boxes, clock=None):
            return np.zeros((len(boxes), 17, 2)), np.ones((len(boxes), 17))

    pipeline = PosePipeline(Finds(Backend()), Poses0(Backend()), min_score=0.3)
    picture = np.zeros((40, 40, 3), np.uint8)
    assert len(mitigations.as_is(pipeline, picture)) == 1
    assert len(mitigations.half_threshold(pipeline, picture)) == 2


def test_the_adaptive_threshold_follows_the_best_score_down_and_leaves_a_sure_picture_alone():
    class Unsure(ByBrightness):
        min_score = 0.3

        def __init__(self, *scores):
            self.scores = scores

        def detector(self, image):
            return Detections([[9 * i, 0, 9 * i + 50, 60] for i in range(len(self.scores))], self.scores)

    picture = np.zeros((90, 90, 3), np.uint8)
    found = [len(mitigations.adaptive_threshold(Unsure(*scores), picture))
             for scores in ((0.9, 0.29, 0.1), (0.28, 0.15, 0.13), (0.04, 0.03), ())]  # fmt: skip
    assert found == [1, 2, 0, 0]  # above .3; above half of .28; nothing below .05; nobody


def test_a_remedy_that_needs_boxes_is_left_out_of_a_one_stage_model_with_its_reason():
    class One:
        takes_boxes, models = False, "one"

    found, left_out = mitigations.remedies_for(One())
    assert "flip test" not in found and "adaptive threshold" in found
    assert set(left_out) == {"flip test", "tiling", "larger detector input", "stronger detector"}
    assert "at once" in left_out["tiling"]


def test_the_gate_is_judged_on_what_it_skips():
    clean = remedy_study._Frames(sharp=[10.0] * 19 + [9.0], noise=[1.0] * 20)
    gate = remedy_study._Gate(clean)
    frames = remedy_study._Frames(sharp=[1.0, 1.0, 20.0, 20.0], noise=[1.0, 1.0, 1.0, 50.0])
    weights = resampling_weights(4, 10, 0)
    figures = gate.judge(frames, np.array([1.0, 0.0, 1.0, 1.0]), weights)
    values = {name: figure.value for name, figure in figures.items()}
    assert values["skipped"] == 0.75 and values["failing"] == 0.75
    assert values["gate_precision"] == pytest.approx(2 / 3) and values["gate_recall"] == pytest.approx(2 / 3)


def test_the_median_of_a_resample_counts_what_is_drawn_twice():
    weights = np.array([[1.0, 1, 1], [0, 1, 2]])
    figure = remedy_study._median(np.array([3.0, 1.0, 2.0]), weights)
    assert figure.value == 2 and figure.samples.tolist() == [2]


def test_the_study_measures_every_remedy_under_every_condition(tmp_path, pictures, monkeypatch):
    paths, truth = pictures

    def blind(pipeline, image):
        return Poses.empty()

    remedies = {mitigations.AS_IT_IS: lambda pipeline, image: pipeline.estimate(
        image, pipeline.detector(image).above(pipeline.min_score)), "blindfold": blind}  # fmt: skip
    monkeypatch.setattr(remedy_study, "remedies_for", lambda pipeline: (remedies, {"magic": "not here"}))
    run = RunFolder.create({}, tmp_path / "run")
    table = remedy_study.study_remedies(ByBrightness(), paths, ["low_light_severe"], truth=truth, seed=0,
                                        run=run, bootstrap=20, progress=False)  # fmt: skip
    assert run.info()["remedies_left_out"] == {"magic": "not here"}
    figures = table.set_index(["remedy", "condition", "metric"])["value"]
    assert figures["as it is", "clean", "keypoint_ap"] == pytest.approx(1)
    assert figures["as it is", "clean", "gain"] == 0
    assert figures["blindfold", "low_light_severe", "gain"] == pytest.approx(-1)
    assert figures["blindfold", "clean", "extra_persons"] == 0
    assert figures["frame gate", "clean", "failing"] == 0
    alone = remedy_study.study_remedies(ByBrightness(), paths, [], truth=None, seed=0, run=run, bootstrap=20,
                                        progress=False)  # fmt: skip
    figures = alone.set_index(["remedy", "condition", "metric"])["value"]
    assert figures["as it is", "clean", "consistency"] == pytest.approx(1)
