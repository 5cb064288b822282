"""What a run over a source leaves behind, also when it is interrupted."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from pose_utils.errors import InputError
from pose_utils.runtime.inference import run_inference
from pose_utils.runtime.media import open_source
from tests.runtime.fakes import FakePipeline, standing


@pytest.fixture
def folder(tmp_path):
    """Three pictures, and a broken one between them."""
    source = tmp_path / "pictures"
    source.mkdir()
    for name, size in (("a.png", (120, 180)), ("b.jpg", (200, 160)), ("d.png", (64, 64))):
        Image.new("RGB", size, "grey").save(source / name)
    (source / "c.jpg").write_bytes(b"\xff\xd8\xff broken")
    return source


def run(source, output, pipeline=None, **options):
    summary = run_inference(
        pipeline or FakePipeline(), open_source(source), output, progress=False, **options
    )
    return summary, json.loads((output / "results.json").read_text())


def pictures(folder):
    return sorted(path.name for path in folder.glob("*.jpg"))


def test_results_hold_every_box_keypoint_and_score(folder, tmp_path):
    persons = [standing(), standing(90, 20, 100, 0.6)]
    _, results = run(folder, tmp_path / "out", FakePipeline(persons))
    assert results["frames"] == 3 and results["persons"] == 6 and not results["interrupted"]
    assert [image["file_name"] for image in results["images"]] == ["a.png", "b.jpg", "d.png"]
    assert [(image["width"], image["height"]) for image in results["images"]] == [
        (120, 180),
        (200, 160),
        (64, 64),
    ]
    assert [image["persons"] for image in results["images"]] == [2, 2, 2]
    ids = [image["id"] for image in results["images"]]
    assert sorted({person["image_id"] for person in results["annotations"]}) == sorted(ids)
    first = results["annotations"][0]
    keypoints, scores, box, score = persons[0]
    np.testing.assert_allclose(
        np.reshape(first["keypoints"], (17, 3)), np.column_stack([keypoints, scores]), rtol=1e-5
    )
    assert first["bbox"] == pytest.approx([box[0], box[1], box[2] - box[0], box[3] - box[1]])
    assert first["bbox_score"] == pytest.approx(score) and first["score"] == pytest.approx(score * 0.8)
    assert first["category_id"] == 1
    assert results["latency_ms"]["n"] == 3 and results["latency_ms"]["median"] > 0
    assert {"models", "backend", "precision", "provider_used", "weights", "source"} <= results.keys()


def test_coco_can_load_the_results(folder, tmp_path):
    from pycocotools.coco import COCO

    _, results = run(folder, tmp_path / "out")
    truth = COCO()
    truth.dataset = {"images": results["images"], "annotations": [], "categories": [{"id": 1}]}
    truth.createIndex()
    assert len(truth.loadRes(results["annotations"]).anns) == 3


def test_what_was_skipped_is_listed_with_its_reason(folder, tmp_path):
    summary, results = run(folder, tmp_path / "out")
    assert [entry["name"] for entry in results["skipped"]] == ["c.jpg"]
    assert results["skipped"][0]["reason"]
    assert (
        json.loads((tmp_path / "out" / "skipped.json").read_text()) == results["skipped"] == summary.skipped
    )


def test_nobody_found_is_a_result_too(folder, tmp_path):
    _, results = run(folder, tmp_path / "out", FakePipeline([]))
    assert results["frames"] == 3 and results["persons"] == 0 and results["annotations"] == []
    assert pictures(tmp_path / "out") == ["a.jpg", "b.jpg", "d.jpg"]


def test_annotated_pictures_have_the_size_of_their_source(folder, tmp_path):
    run(folder, tmp_path / "out")
    assert cv2.imread(str(tmp_path / "out" / "a.jpg")).shape == (180, 120, 3)


@pytest.mark.parametrize(
    ("wanted", "written"), [(0, []), (1, ["a.jpg"]), (None, ["a.jpg", "b.jpg", "d.jpg"])]
)
def test_as_many_pictures_as_wanted_are_written(folder, tmp_path, wanted, written):
    run(folder, tmp_path / "out", save_pictures=wanted)
    assert pictures(tmp_path / "out") == written


def test_names_never_overwrite_one_another_nor_leave_the_folder(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("x y.png", "x_y.png", "X_Y.jpg", "x_y.bmp", "人.png", "v1.5.png", "..hidden.png"):
        Image.new("RGB", (8, 8)).save(source / name)
    run(source, tmp_path / "out")
    written = pictures(tmp_path / "out")
    assert len({name.lower() for name in written}) == len(written) == 7
    assert "v1.5.jpg" in written and sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_no_more_frames_than_wanted_are_decoded(folder, tmp_path):
    seen = []
    summary, results = run(folder, tmp_path / "out", FakePipeline(before=seen.append), max_frames=1)
    assert len(seen) == summary.frames == results["frames"] == 1 and results["skipped"] == []
    assert run(folder, tmp_path / "none", max_frames=0)[1]["frames"] == 0


def interrupt_at(frame):
    count = iter(range(100))

    def before(image):
        if next(count) == frame:
            raise KeyboardInterrupt

    return before


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "my.clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 160))
    for index in range(8):
        writer.write(np.full((160, 96, 3), 20 * index, np.uint8))
    writer.release()
    return path


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


def test_ctrl_c_leaves_valid_files(clip, tmp_path):
    video = tmp_path / "out.mp4"
    summary, results = run(clip, tmp_path / "out", FakePipeline(before=interrupt_at(3)), video_path=video)
    assert summary.interrupted and results["interrupted"]
    assert results["frames"] == len(results["annotations"]) == 3
    assert len(frames_of(video)[0]) == 3


def test_ctrl_c_before_the_first_frame_leaves_valid_files(folder, tmp_path):
    _, results = run(folder, tmp_path / "out", FakePipeline(before=interrupt_at(0)))
    assert results["interrupted"] and results["frames"] == 0 and results["latency_ms"]["median"] is None


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_an_annotated_video_can_be_read_again(clip, tmp_path, suffix):
    video = tmp_path / "deep" / f"out.{suffix}"
    run(clip, tmp_path / "out", video_path=video)
    frames, fps = frames_of(video)
    assert len(frames) == 8 and fps == pytest.approx(10, abs=0.1)
    assert frames[0].shape == (160, 96, 3)
    assert frames[7].mean() > frames[1].mean() + 60
    assert pictures(tmp_path / "out") == [], "of a video no pictures are written unless asked for"


def test_frames_of_a_video_keep_their_number_as_pictures(clip, tmp_path):
    run(clip, tmp_path / "out", save_pictures=2)
    assert pictures(tmp_path / "out") == ["my.clip_000000.jpg", "my.clip_000001.jpg"]


def test_pictures_of_odd_and_other_sizes_make_one_video(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name, size in (("a.png", (101, 75)), ("b.png", (640, 480)), ("c.png", (1, 1))):
        Image.new("RGB", size, "white").save(source / name)
    video = tmp_path / "out.mp4"
    run(source, tmp_path / "out", FakePipeline([]), video_path=video)
    frames, _ = frames_of(video)
    assert [frame.shape for frame in frames] == [(74, 100, 3)] * 3


def test_a_video_of_an_unknown_kind_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        run(folder, tmp_path / "out", video_path=tmp_path / "out.nonsense")


def test_an_output_folder_that_is_a_file_is_refused(folder, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run(folder, tmp_path / "out")


def test_a_second_run_replaces_the_results_of_the_first(folder, tmp_path):
    run(folder, tmp_path / "out")
    _, results = run(folder / "a.png", tmp_path / "out")
    assert results["frames"] == 1
    assert not list((tmp_path / "out").glob("*.draft"))
