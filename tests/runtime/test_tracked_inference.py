"""infer with identities, and infer on a full disk."""

import json

import cv2
import numpy as np
import pytest

from pose_utils import cli
from pose_utils.errors import InputError
from pose_utils.runtime import opening
from pose_utils.runtime.inference import Tracking, run_inference
from pose_utils.runtime.media import open_source
from tests.runtime.fakes import FakePipeline
from tests.runtime.walkers import SyntheticPipeline, Walkers


@pytest.fixture
def scene():
    return Walkers(frames=60, people=3, missed=0.2)


@pytest.fixture
def clip(tmp_path, scene):
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (640, 360))
    for image in scene.images():
        writer.write(image)
    writer.release()
    return path


class OneByOne(SyntheticPipeline):
    """Takes every call of its detector or, between them, of itself as the next frame."""

    at = -1

    def frame(self, image):
        return self.at


def watched(scene):
    """A pipeline that knows which frame it sees from how often frames were asked for."""
    pipeline = OneByOne(scene)
    inner_detector, inner_call = pipeline.detector, pipeline.__call__

    class Watched:
        models, backend, precision, provider_used = "synthetic", "fake", "fp32", "nowhere"
        weights, takes_boxes, min_score, max_persons = "trained", True, 0.3, 100
        detections = 0

        def detector(self, image):
            pipeline.at += 1
            self.detections += 1
            return inner_detector(image)

        def estimate(self, image, found):
            return pipeline.estimate(image, found)

        def __call__(self, image, boxes=None):
            pipeline.at += 1
            return inner_call(image, boxes)

    return Watched()


def test_every_frame_comes_out_once_in_order_with_lasting_identities(clip, scene, tmp_path):
    out = tmp_path / "out"
    video = tmp_path / "drawn.avi"
    summary = run_inference(
        watched(scene),
        open_source(clip),
        out,
        progress=False,
        tracking=Tracking(smooth=True),
        video_path=video,
    )
    results = json.loads((out / "results.json").read_text())
    assert [image["file_name"] for image in results["images"]] == [f"walk#{index:06d}" for index in range(60)]
    assert {entry["track_id"] for entry in results["annotations"]} == {1, 2, 3}
    per_frame = [[e["track_id"] for e in results["annotations"] if e["image_id"] == i] for i in range(60)]
    assert all(len(set(ids)) == len(ids) for ids in per_frame)
    assert sum(len(ids) == 3 for ids in per_frame) > 54, "gaps of the detector are closed"
    assert summary.persons == len(results["annotations"])
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == 60


def test_interpolated_persons_say_so(clip, tmp_path):
    class Blinking(FakePipeline):
        takes_boxes, count = False, 0

        def __call__(self, image, boxes=None):
            self.count += 1
            return super().__call__(image) if self.count not in (20, 21) else type(self.poses).empty()

    run_inference(Blinking(), open_source(clip), tmp_path / "out", progress=False, tracking=Tracking())
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [e["image_id"] for e in results["annotations"] if e.get("interpolated")] == [19, 20]
    assert [e["image_id"] for e in results["annotations"]] == list(range(60))


def test_the_options_reach_it_and_the_detector_rests(clip, scene, tmp_path, monkeypatch, capsys):
    pipeline = watched(scene)
    monkeypatch.setattr(opening, "open_pipeline", lambda *arguments: pipeline)
    arguments = ["infer", "--source", str(clip), "--output-dir", str(tmp_path / "out"), "--detect-every", "5"]
    assert cli.main([*arguments, "--smooth"]) == 0
    assert 12 <= pipeline.detections <= 20
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["tracking"] == {"detect_every": 5, "smooth": True} and results["frames"] == 60


@pytest.mark.parametrize("step", [5, 30])
def test_ctrl_c_keeps_what_was_held_back(clip, tmp_path, step):
    calls = iter(range(100))

    def before(image):
        if next(calls) == step:
            raise KeyboardInterrupt

    pipeline = FakePipeline(before=before)
    pipeline.takes_boxes = False
    summary = run_inference(
        pipeline, open_source(clip), tmp_path / "out", progress=False, tracking=Tracking()
    )
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert summary.interrupted and results["frames"] == len(results["images"]) == step


def test_a_full_disk_ends_with_a_message_and_the_old_results(clip, tmp_path):
    out = tmp_path / "out"
    run_inference(FakePipeline(), open_source(clip), out, max_frames=2, progress=False)
    old = (out / "results.json").read_text()
    (out / ".annotations.draft").symlink_to("/dev/full")
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        run_inference(FakePipeline(), open_source(clip), out, progress=False)
    assert (out / "results.json").read_text() == old
    assert sorted(path.name for path in out.iterdir()) == ["results.json", "skipped.json"]


def test_a_hidden_file_of_the_user_survives(clip, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".mine.draft").write_text("kept")
    run_inference(FakePipeline(), open_source(clip), out, max_frames=2, progress=False)
    assert (out / ".mine.draft").read_text() == "kept"
    assert np.isfinite(json.loads((out / "results.json").read_text())["latency_ms"]["median"])
