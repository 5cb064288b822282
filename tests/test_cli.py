"""The commands as a user meets them: what they print, what they write, how they end."""

import json
from types import SimpleNamespace

import onnx
import pytest
from onnx import helper
from PIL import Image

from pose_utils import cli
from pose_utils.errors import AssetError, InputError, Unavailable
from tests.runtime.fakes import FakePipeline, standing
from tests.study.scenes import coco_of

JOINTS = [[*point, 2] for point in standing()[0]]


@pytest.fixture
def pipeline(monkeypatch):
    """The pipeline that every command opens; `opened` holds what it was asked for."""
    fake = FakePipeline()
    fake.opened = []

    def open_pipeline(*arguments):
        fake.opened.append(arguments)
        return fake

    monkeypatch.setattr("pose_utils.runtime.opening.open_pipeline", open_pipeline)
    return fake


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in" / "a.png"
    path.parent.mkdir()
    Image.new("RGB", (160, 200), "grey").save(path)
    return path


def infer(source, tmp_path, *more):
    return cli.main(["infer", "--source", str(source), "--output-dir", str(tmp_path / "out"), *more])


def results(tmp_path):
    return json.loads((tmp_path / "out" / "results.json").read_text())


def usage_code(arguments):
    """Exit code of wrong usage, whether the parser or a command finds it."""
    try:
        return cli.main(arguments)
    except SystemExit as ended:
        return ended.code


def test_infer_writes_pictures_results_and_what_was_skipped(pipeline, picture, tmp_path, capsys):
    (picture.parent / "b.jpg").write_text("no picture")
    assert infer(picture.parent, tmp_path) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.jpg",
        "results.json",
        "skipped.json",
    ]
    assert [entry["name"] for entry in results(tmp_path)["skipped"]] == ["b.jpg"]
    printed = capsys.readouterr()
    assert "1 persons in 1 frames, 1 skipped" in printed.out
    assert "skipped 'b.jpg': " in printed.err


def test_infer_ends_with_2_where_nothing_could_be_done(pipeline, tmp_path, capsys):
    (tmp_path / "b.jpg").write_text("no picture")
    assert infer(tmp_path / "b.jpg", tmp_path) == 2
    assert results(tmp_path)["frames"] == 0 and results(tmp_path)["skipped"]
    assert infer(tmp_path / "absent.jpg", tmp_path) == 2
    assert "does not exist" in capsys.readouterr().err


def test_options_reach_the_pipeline(pipeline, picture, tmp_path):
    options = ["--models", "rtmdet-nano+rtmpose-t", "--backend", "torch", "--precision", "bf16"]
    more = ["--device", "cpu", "--threads", "1", "--min-score", ".25"]
    assert infer(picture, tmp_path, *options, *more) == 0
    assert pipeline.opened == [("rtmdet-nano+rtmpose-t", "torch", "bf16", "cpu", 1, 0.25, False)]


def test_numbers_of_frames_and_pictures_are_limits(pipeline, picture, tmp_path):
    for name in "bcd":
        Image.new("RGB", (20, 20)).save(picture.parent / f"{name}.png")
    assert infer(picture.parent, tmp_path, "--max-frames", "3", "--save-vis-count", "1") == 0
    assert results(tmp_path)["frames"] == 3
    assert [path.name for path in (tmp_path / "out").glob("*.jpg")] == ["a.jpg"]


def test_a_video_is_written_where_it_was_asked_for(pipeline, picture, tmp_path):
    assert infer(picture, tmp_path, "--save-video", str(tmp_path / "v.mp4")) == 0
    assert (tmp_path / "v.mp4").stat().st_size > 0


def test_ctrl_c_ends_with_130_and_keeps_what_was_done(pipeline, picture, tmp_path):
    def interrupt(image):
        raise KeyboardInterrupt

    pipeline.before = interrupt
    assert infer(picture, tmp_path) == 130
    assert results(tmp_path)["interrupted"]


def test_ctrl_c_while_a_model_loads_is_no_traceback(picture, tmp_path, monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pose_utils.runtime.opening.open_pipeline", interrupt)
    assert infer(picture, tmp_path) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("error", [AssetError, Unavailable, InputError])
def test_what_cannot_be_had_is_one_line_and_2(picture, tmp_path, monkeypatch, capsys, error):
    def fail(*arguments):
        raise error("the reason")

    monkeypatch.setattr("pose_utils.runtime.opening.open_pipeline", fail)
    assert infer(picture, tmp_path) == 2
    assert capsys.readouterr().err == "pose_utils: the reason\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["infre"],
        ["infer"],
        ["infer", "--source", "x", "--nonsense"],
        ["infer", "--source", "x", "--precision", "fp8"],
        ["infer", "--source", "x", "--max-frames", "0"],
        ["infer", "--source", "x", "--max-frames", "two"],
        ["infer", "--source", "x", "--min-score", "1.5"],
        ["infer", "--source", "x", "--min-score", "nan"],
        ["infer", "--source", "x", "--threads", "-1"],
        ["infer", "--source", "x", "--save-vis-count", "-1"],
        ["evaluate", "--images", "x", "--annotations", "y", "--boxes", "some"],
        ["bench", "--persons", "1,,4"],
        ["bench", "--configs", "torch-fp64-cpu"],
        ["export", "--models", "rtmdet-nano"],
        ["export", "--models", "rtmdet-nano+rtmpose-q"],
        ["report", "--profile", "huge"],
        ["assets", "remove"],
        ["assets", "list", "rtmpose-m.pth"],
        ["assets", "fetch", "no-such-thing"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_64(arguments, capsys):
    assert usage_code(arguments) == 64
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "rtmdet-nan+rtmpose-t"], "did you mean 'rtmdet-nano'"),
        (["--models", "rtmdet-nano"], "no pipeline"),
        (["--models", "person.onnx:yolo+pose.onnx:simcc"], "name the codec after the file"),
        (["--models", "movenet-multipose", "--backend", "openvino"], "litert"),
    ],
)
def test_wrong_model_names_end_with_64_and_a_hint(picture, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setenv("POSE_OFFLINE", "1")
    assert infer(picture, tmp_path, *options) == 64
    assert message in capsys.readouterr().err


def test_a_file_that_does_not_say_what_it_is_wants_its_codec_named(picture, tmp_path, capsys):
    node = helper.make_node("Identity", ["input"], ["out"])
    ends = [helper.make_tensor_value_info(name, 1, [1, 3, 8, 4]) for name in ("input", "out")]
    onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])), tmp_path / "mute.onnx")
    assert infer(picture, tmp_path, "--models", f"{tmp_path}/mute.onnx+pose.onnx:simcc") == 64
    assert "mute.onnx does not say what it is: name the codec after the file" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said_to_be_missing(picture, tmp_path, capsys):
    assert infer(picture, tmp_path, "--models", "person.onnx+pose.onnx:simcc") == 2
    assert "person.onnx is no file" in capsys.readouterr().err


def test_a_model_file_that_is_not_there_ends_with_2(picture, tmp_path, capsys):
    assert infer(picture, tmp_path, "--models", f"{tmp_path}/no.onnx:rtmdet+rtmpose-t") == 2
    assert "is no file" in capsys.readouterr().err


def test_every_command_has_help(capsys):
    for command in ("infer", "evaluate", "export", "bench", "robustness", "report", "assets"):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        assert command in capsys.readouterr().out


@pytest.fixture
def truth(picture, tmp_path):
    """One annotated person in one picture."""
    content = coco_of([[{"keypoints": JOINTS, "area": 120 * 60 / 2}]])
    content["images"][0] |= {"file_name": "a.png", "width": 160, "height": 200}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("boxes", ["detected", "truth"])
def test_evaluate_ends_with_one_line_of_json(pipeline, picture, truth, capsys, boxes):
    arguments = [
        "evaluate",
        "--images",
        str(picture.parent),
        "--annotations",
        str(truth),
        "--boxes",
        boxes,
        "--json",
    ]
    assert cli.main(arguments) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["keypoint_ap"] == pytest.approx(1) and found["keypoint_ar"] == pytest.approx(1)
    assert (found["images"], found["persons"]) == (1, 1)
    assert (found["models"], found["backend"]) == ("fake+fake", "fake")
    assert "person_ap" in found
    assert pipeline.opened[0][-1] is True, "AP wants the low threshold"


def test_evaluate_without_json_is_for_people(pipeline, picture, truth, capsys):
    assert cli.main(["evaluate", "--images", str(picture.parent), "--annotations", str(truth)]) == 0
    assert "keypoint_ap" in capsys.readouterr().out


def test_evaluate_refuses_annotations_that_are_none(pipeline, picture, tmp_path, capsys):
    (tmp_path / "t.json").write_text("[]")
    arguments = ["evaluate", "--images", str(picture.parent), "--annotations", str(tmp_path / "t.json")]
    assert cli.main(arguments) == 2
    assert "t.json" in capsys.readouterr().err


def test_export_writes_files_that_onnx_runtime_opens(tmp_path, capsys):
    import onnxruntime

    arguments = [
        "export",
        "--models",
        "rtmdet-nano+rtmpose-t",
        "--weights",
        "random",
        "--output",
        str(tmp_path),
    ]
    assert cli.main(arguments) == 0
    assert "random weights" in capsys.readouterr().out
    for name in ("rtmdet-nano-fp32.onnx", "rtmpose-t-fp32.onnx"):
        assert onnxruntime.InferenceSession(
            str(tmp_path / name), providers=["CPUExecutionProvider"]
        ).get_inputs()


def test_export_of_a_model_without_pytorch_weights_is_2(tmp_path, capsys):
    assert cli.main(["export", "--models", "movenet-multipose", "--output", str(tmp_path)]) == 2
    assert "not to be had as onnx" in capsys.readouterr().err


def test_a_report_runs_on_pictures_of_the_users_own(monkeypatch, tmp_path, picture, capsys):
    seen = []

    def run_notebooks(*arguments):
        seen.append(arguments[-1])
        return SimpleNamespace(outcomes=(), exit_code=0)

    monkeypatch.setattr("pose_utils.report.notebooks.run_notebooks", run_notebooks)
    monkeypatch.setattr("pose_utils.report.page.build_page", lambda run_dir: run_dir)
    monkeypatch.chdir(picture.parent)
    report = ["report", "--run-dir", str(tmp_path / "run")]
    assert cli.main([*report, "--images", "."]) == 0
    assert cli.main(report) == 0
    assert seen == [{"images": str(picture.parent.resolve())}, {}]
    assert cli.main([*report, "--images", str(tmp_path / "nowhere")]) == 2
    assert cli.main([*report, "--annotations", "some.json"]) == 64
    assert len(seen) == 2 and "without images" in capsys.readouterr().err


def test_a_table_that_cannot_be_written_is_no_traceback(monkeypatch, tmp_path, capsys):
    import pandas as pd

    table = pd.DataFrame({"config": ["a"], "status": ["ok"]})
    run = SimpleNamespace(path=tmp_path)
    monkeypatch.setattr("pose_utils.study.sessions.bench", lambda *arguments: (run, table))
    monkeypatch.setattr("pose_utils.report.reading_benchmark.bench_sentences", lambda run: [])
    assert cli.main(["bench", "--json", str(tmp_path / "deep" / "t.json")]) == 0
    assert json.loads((tmp_path / "deep" / "t.json").read_text()) == [{"config": "a", "status": "ok"}]
    (tmp_path / "file").write_text("")
    assert cli.main(["bench", "--json", str(tmp_path / "file" / "t.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err
