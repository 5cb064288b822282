"""The stages joined: nobody, given boxes, batches, thresholds, times."""

from dataclasses import asdict

import numpy as np
import pytest

from pose_utils.errors import Unavailable, UsageError
from pose_utils.runtime.pipeline import Detector, OneStage, PoseEstimator, PosePipeline, StageClock
from pose_utils.types import StageTimes
from tests.runtime.fakes import FakeBackend, rtmdet_outputs, simcc_outputs

TWO = [(40, 40, 120, 200, 0.9), (200, 60, 260, 220, 0.5)]
IMAGE = np.full((320, 320, 3), 90, np.uint8)


def two_stages(persons=TWO, **options):
    detector = FakeBackend("rtmdet-nano", lambda inputs: rtmdet_outputs(persons))
    pose = FakeBackend("rtmpose-t", simcc_outputs)
    return PosePipeline(Detector(detector), PoseEstimator(pose), **options), pose


@pytest.fixture(scope="module")
def random_pipeline():
    return PosePipeline.from_models("rtmdet-nano+rtmpose-t", "torch", weights="random")


def test_nobody_found_is_an_empty_result_and_no_pose_is_run():
    pipeline, pose = two_stages(persons=[])
    poses, times = pipeline.timed(IMAGE)
    assert len(poses) == 0 and poses.keypoints.shape == (0, 17, 2) and poses.to_coco(1) == []
    assert pose.shapes == []
    assert times.pose == times.crop == times.keypoints == 0 and times.detect >= 0


def test_nobody_is_found_in_a_blank_picture_by_a_real_network(random_pipeline):
    assert len(random_pipeline(np.full((200, 300, 3), 128, np.uint8))) == 0


def test_every_person_ends_in_the_middle_of_its_box():
    pipeline, pose = two_stages()
    # A picture twice the size of the input: boxes double on their way back.
    poses = pipeline(np.full((640, 640, 3), 90, np.uint8))
    np.testing.assert_allclose(poses.boxes, 2 * np.float32([row[:4] for row in TWO]), atol=1e-3)
    np.testing.assert_allclose(poses.box_scores, [0.9, 0.5], atol=1e-5)
    np.testing.assert_allclose(poses.keypoints[:, 0], [[160, 240], [460, 280]], atol=0.01)
    assert pose.shapes == [(2, 3, 256, 192)], "all persons of a frame go in one batch"


def test_the_threshold_and_the_limit_keep_the_best():
    assert len(two_stages(min_score=0.6)[0](IMAGE)) == 1
    assert len(two_stages([*TWO, (40, 240, 90, 300, 0.2)])[0](IMAGE)) == 2
    best = two_stages(max_persons=1)[0](IMAGE)
    assert best.box_scores == pytest.approx([0.9])


def test_candidates_too_low_for_a_pose_are_still_handed_over():
    poses, found = two_stages([*TWO, (40, 240, 90, 300, 0.2)])[0].detect_and_pose(IMAGE)
    assert len(poses) == 2 and found.scores == pytest.approx([0.9, 0.5, 0.2], abs=1e-5)


def test_given_boxes_are_used_as_they_are():
    pipeline, _ = two_stages()
    boxes = np.float32([[0, 0, 50, 100], [10, 10, 30, 30], [5, 5, 5, 5]])
    poses = pipeline(IMAGE, boxes=boxes)
    np.testing.assert_array_equal(poses.boxes, boxes)
    assert (poses.box_scores == 1).all()
    np.testing.assert_allclose(poses.keypoints[:, 3], [[25, 50], [20, 20], [5, 5]], atol=1e-3)
    assert len(pipeline(IMAGE, boxes=np.empty((0, 4)))) == 0
    assert len(pipeline(IMAGE, boxes=[])) == 0


def test_boxes_without_a_number_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        two_stages()[0](IMAGE, boxes=[[0, 0, np.nan, 3]])


def test_a_batch_equals_one_at_a_time(random_pipeline, smooth_picture):
    boxes = np.float32([[10, 10, 90, 200], [100, 20, 220, 230], [200, 0, 320, 240], [-30, 50, 60, 300]])
    together = random_pipeline(smooth_picture, boxes=boxes)
    assert len(np.unique(together.keypoints.round(1), axis=0)) == 4, "different crops, different poses"
    for index, box in enumerate(boxes):
        alone = random_pipeline(smooth_picture, boxes=box[None])
        np.testing.assert_allclose(alone.scores[0], together.scores[index], atol=1e-4)
        assert np.mean(np.abs(alone.keypoints[0] - together.keypoints[index]) < 0.01) > 0.97


def test_timed_gives_the_same_and_every_stage_its_time(random_pipeline, smooth_picture):
    pipeline, _ = two_stages()
    poses, times = pipeline.timed(IMAGE)
    np.testing.assert_array_equal(poses.keypoints, pipeline(IMAGE).keypoints)
    stages = asdict(times)
    assert stages.pop("decode") == 0
    assert all(ms > 0 for ms in stages.values()), stages
    assert times.total == pytest.approx(sum(stages.values()))
    _, given = pipeline.timed(IMAGE, boxes=[[0, 0, 9, 9]])
    assert given.detect == given.letterbox == given.nms == 0 < given.pose


def test_the_sum_of_the_stages_is_all_of_the_time(monkeypatch):
    seconds = iter(range(1, 100))
    monkeypatch.setattr("pose_utils.runtime.pipeline.time.perf_counter", lambda: float(next(seconds)))
    pipeline, clock = two_stages()[0], StageClock(_last=0.0)
    pipeline.estimate(IMAGE, pipeline.detector(IMAGE, clock), clock)
    # The clock is read once after each of the six stages: nothing falls between them, nothing counts twice.
    assert clock.times() == StageTimes(letterbox=1e3, detect=1e3, nms=1e3, crop=1e3, pose=1e3, keypoints=1e3)


def movenet(rows):
    answer = np.zeros((1, 6, 56), "float32")
    answer[0, : len(rows)] = np.reshape(rows, (-1, 56))
    return PosePipeline(None, OneStage(FakeBackend("movenet-multipose", lambda inputs: [answer])))


def test_a_one_stage_model_maps_back_through_its_centred_letterbox():
    row = np.zeros(56, "float32")
    row[:51] = np.tile([0.5, 0.25, 0.6], 17)
    row[51:] = (0.25, 0.0, 0.75, 0.5, 0.8)
    # 200x100 in 384x384: scale 1.92, 96 rows of padding above.
    poses = movenet([row])(np.zeros((100, 200, 3), np.uint8))
    np.testing.assert_allclose(poses.keypoints[0, 0], (50, 50), atol=1e-4)
    np.testing.assert_allclose(poses.boxes[0], (0, 0, 100, 100), atol=1e-4)
    assert len(movenet([])(IMAGE)) == 0


def test_a_one_stage_model_refuses_boxes():
    pipeline = movenet([])
    assert not pipeline.takes_boxes
    with pytest.raises(Unavailable, match="cannot be given boxes"):
        pipeline(IMAGE, boxes=[[0, 0, 5, 5]])


def test_without_a_detector_boxes_must_be_given():
    pipeline = PosePipeline(None, PoseEstimator(FakeBackend("rtmpose-t", simcc_outputs)))
    assert len(pipeline(IMAGE, boxes=[[0, 0, 9, 9]])) == 1
    with pytest.raises(Unavailable, match="give boxes"):
        pipeline(IMAGE)


def test_a_file_with_nms_inside_is_recognised_by_its_outputs():
    dets = np.float32([[[32, 32, 64, 96, 0.9], [0, 0, 9, 9, 0.8]]])
    backend = FakeBackend("rtmdet-nano", lambda inputs: [dets, np.array([[0, 1]])], ("dets", "labels"))
    found = Detector(backend)(np.zeros((640, 640, 3), np.uint8))
    np.testing.assert_allclose(found.boxes, [[64, 64, 128, 192]])


def test_names_of_the_parts_are_told(random_pipeline):
    assert random_pipeline.models == "rtmdet-nano+rtmpose-t"
    assert (random_pipeline.backend, random_pipeline.precision) == ("torch", "fp32")
    assert random_pipeline.weights == "random"
    assert random_pipeline.provider_used.startswith("CPU")


def test_the_picture_is_checked_before_anything_runs():
    with pytest.raises(ValueError, match="uint8"):
        two_stages()[0](IMAGE.astype("float32"))


def test_models_that_make_no_pipeline_are_refused():
    with pytest.raises(UsageError, match="no pipeline"):
        PosePipeline.from_models("rtmpose-t+rtmdet-nano", weights="random")
