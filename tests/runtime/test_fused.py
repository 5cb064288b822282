"""The fused file against the pipeline it replaces, and against boxes that follow from where the light is."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_utils.errors import InputError, UsageError
from pose_utils.paths import ROOT
from pose_utils.runtime import geometry
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.fused import BACKENDS, FusedPipeline
from pose_utils.runtime.pipeline import Detector, PoseEstimator, PosePipeline
from pose_utils.zoo import fused_sampling
from pose_utils.zoo.fused import OUTPUTS, cached_fused, fuse, fused_metadata
from pose_utils.zoo.graph_writer import GraphWriter
from pose_utils.zoo.specs import get_spec
from tests.runtime.toy_networks import REACH, SIDE, frame_with, toy_detector, toy_heatmap, toy_simcc

ONE, MANY = [(12, 9)], [(3, 4), (11, 4), (19, 4), (27, 4), (35, 4), (3, 14), (11, 14), (20, 15)]
SIZES = {"landscape": (213, 320), "portrait": (480, 301), "tiny": (13, 20), "square": (320, 320)}


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    return {"detector": toy_detector(folder), "simcc": toy_simcc(folder), "heatmap": toy_heatmap(folder)}


@pytest.fixture(scope="module")
def fused_paths(toys):
    """codec -> fused file."""
    detector = toys["detector"]
    return {
        codec: cached_fused(detector, toys[codec], "fp32", (detector.path, toys[codec].path))
        for codec in ("simcc", "heatmap")
    }


@pytest.fixture(scope="module")
def two_stage(toys):
    detector = Detector(open_backend("onnxruntime", toys["detector"]))
    return {
        codec: PosePipeline(detector, PoseEstimator(open_backend("onnxruntime", toys[codec])))
        for codec in ("simcc", "heatmap")
    }


@pytest.fixture(scope="module", params=BACKENDS)
def opened(request, fused_paths):
    return {codec: FusedPipeline(path, request.param, threads=1) for codec, path in fused_paths.items()}


def fitting(cells, height, width):
    """Those cells that lie inside the picture's part of the letterbox."""
    scale = SIDE / max(height, width)
    return [(c, r) for c, r in cells if 8 * c + 8 < width * scale and 8 * r + 8 < height * scale]


def assert_same_people(found, expected):
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
    np.testing.assert_allclose(found.box_scores, expected.box_scores, atol=1e-4)
    assert np.abs(found.keypoints - expected.keypoints).max(initial=0) < 0.5
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("codec", ["simcc", "heatmap"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cells", [[], ONE, MANY], ids=["nobody", "one", "many"])
def test_it_finds_what_the_pipeline_finds(opened, two_stage, codec, size, cells):
    frame = frame_with(fitting(cells, *SIZES[size]), *SIZES[size])
    assert_same_people(opened[codec](frame), two_stage[codec](frame))


def test_it_takes_a_4k_frame(opened, two_stage):
    frame = frame_with(MANY, 2160, 3840)
    expected = two_stage["simcc"](frame)
    assert len(expected) == len(MANY)
    assert_same_people(opened["simcc"](frame), expected)


def test_boxes_are_where_the_light_is(opened):
    found = opened["simcc"](frame_with(MANY, 280, 640))
    corners = [np.array([8 * c - REACH, 8 * r - REACH, 8 * c + REACH, 8 * r + REACH]) for c, r in MANY]
    expected = np.clip(corners, 0, SIDE) * 2
    key = lambda box: (round(box[1]), round(box[0]))  # noqa: E731
    np.testing.assert_allclose(sorted(found.boxes, key=key), sorted(expected, key=key), atol=0.01)


def test_nobody_is_an_empty_result_of_the_right_shape(fused_paths):
    session = onnxruntime.InferenceSession(fused_paths["simcc"], providers=["CPUExecutionProvider"])
    shapes = [value.shape for value in session.run(None, {"frame": frame_with([], 90, 160)[None]})]
    assert shapes == [(0, 4), (0,), (0, 17, 2), (0, 17)]


def test_the_best_box_comes_first(opened):
    frame = frame_with(MANY, 213, 320)
    frame[4 * 8 : 4 * 8 + 8, 3 * 8 : 3 * 8 + 8] = 235  # one person a little darker
    scores = opened["simcc"](frame).box_scores
    assert len(scores) == len(MANY) and (np.diff(scores) <= 0).all() and scores[-1] < scores[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_thresholds_can_be_set_on_every_runtime(fused_paths, backend):
    frame = frame_with(MANY, 213, 320)
    frame[4 * 8 - 1 : 4 * 8 + 9, 3 * 8 - 1 : 3 * 8 + 9] = 225  # still a person, of a lower score
    everybody = FusedPipeline(fused_paths["simcc"], backend)(frame)
    assert everybody.box_scores[-1] < 0.999 < everybody.box_scores[-2]
    surer = FusedPipeline(fused_paths["simcc"], backend, min_score=0.999)(frame)
    assert len(surer) == len(everybody) - 1
    assert len(FusedPipeline(fused_paths["simcc"], backend, max_persons=2)(frame)) == 2
    assert len(FusedPipeline(fused_paths["simcc"], backend, iou=0.9)(frame)) == len(everybody)


def test_thresholds_are_inputs_with_defaults_on_onnx_runtime(fused_paths):
    session = onnxruntime.InferenceSession(fused_paths["simcc"], providers=["CPUExecutionProvider"])
    frame = frame_with(MANY, 213, 320)[None]
    limited = session.run(["boxes"], {"frame": frame, "max_persons": np.array(3, "int64")})[0]
    assert len(limited) == 3 < len(session.run(["boxes"], {"frame": frame})[0])


def test_the_frame_is_the_one_input_that_must_be_given(fused_paths):
    model = onnx.load(fused_paths["simcc"])
    defaults = {tensor.name for tensor in model.graph.initializer}
    assert [each.name for each in model.graph.input if each.name not in defaults] == ["frame"]
    assert [each.name for each in model.graph.output] == list(OUTPUTS)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}


def test_a_batch_of_frames_is_refused_and_the_input_named(fused_paths):
    frames = np.stack([frame_with([], 60, 80)] * 2)
    session = onnxruntime.InferenceSession(fused_paths["simcc"], providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match=r"frame.*Got: 2 Expected: 1|Got invalid dimensions for input: frame"):
        session.run(None, {"frame": frames})
    with pytest.raises(ValueError, match=r"uint8 \(h, w, 3\)"):
        FusedPipeline(fused_paths["simcc"])(frames)


def test_the_file_says_what_it_is(fused_paths, toys):
    about = fused_metadata(fused_paths["heatmap"])
    assert about["models"] == "toy-detector+toy-heatmap" and about["precision"] == "fp32"
    assert about["detector"]["weights_digest"] == toys["detector"].digest
    assert about["pose"]["input_size"] == [192, 256] and about["pose"]["codec"] == "heatmap"
    assert about["defaults"] == {"score_threshold": 0.3, "iou_threshold": 0.6, "max_persons": 100}
    assert json.loads(json.dumps(about)) == about


def test_a_file_that_is_not_fused_is_refused(toys):
    with pytest.raises(InputError, match="no fused file"):
        FusedPipeline(toys["simcc"].path)


def test_a_runtime_that_cannot_run_it_is_refused(fused_paths):
    with pytest.raises(UsageError, match="onnxruntime and openvino"):
        FusedPipeline(fused_paths["simcc"], "litert")


def test_two_detectors_cannot_be_fused(toys):
    with pytest.raises(UsageError, match="a detector and a pose model"):
        fuse(toys["detector"], toys["detector"])


def test_operators_of_a_vendor_are_refused(toys, tmp_path):
    model = onnx.load(toys["simcc"].path)
    model.graph.node[0].domain = "com.microsoft"
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match=r"com\.microsoft"):
        fuse(toys["detector"], toys["simcc"], files=(toys["detector"].path, tmp_path / "foreign.onnx"))


def test_boxes_with_suppression_behind_them_can_be_fused(toys, tmp_path):
    """A released detector file gives `dets` and `labels`; label 0 is the person."""
    nodes = [
        onnx.helper.make_node("ReduceMean", ["input"], ["grey"], axes=[1, 2, 3], keepdims=0),
        onnx.helper.make_node("Mul", ["grey", "nothing"], ["zero"]),
        onnx.helper.make_node("Add", ["zero", "rows"], ["dets"]),
        onnx.helper.make_node("Identity", ["kinds"], ["labels"]),
    ]
    rows = np.float32([[[10, 20, 50, 90, 0.9], [100, 20, 150, 90, 0.8], [0, 0, 9, 9, 0.1]]])
    values = {"nothing": np.float32(0), "rows": rows, "kinds": np.array([[0, 1, 0]])}
    constants = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in values.items()]
    given = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 320, 320])
    told = [
        onnx.helper.make_tensor_value_info("dets", onnx.TensorProto.FLOAT, [1, 3, 5]),
        onnx.helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, [1, 3]),
    ]
    graph = onnx.helper.make_graph(nodes, "released", [given], told, constants)
    path = tmp_path / "released.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_operatorsetid("", 13)]), path)
    session = onnxruntime.InferenceSession(
        fuse(toys["detector"], toys["simcc"], files=(path, toys["simcc"].path)).SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    boxes = session.run(["boxes"], {"frame": np.zeros((1, 160, 160, 3), "uint8")})[0]
    np.testing.assert_allclose(boxes, [[5, 10, 25, 45]], atol=1e-4)


def test_the_script_that_needs_nothing_of_ours_runs(fused_paths, tmp_path):
    import cv2

    script = ROOT / "examples" / "fused_onnx.py"
    assert "import pose_utils" not in script.read_text()
    cv2.imwrite(str(tmp_path / "people.png"), frame_with(MANY, 213, 320))
    done = subprocess.run(
        [sys.executable, script, fused_paths["simcc"], tmp_path / "people.png"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("person") == len(MANY) and done.stderr == ""


@pytest.fixture(scope="module")
def sampler():
    """A session that gives the two networks' inputs, for frames and boxes of one's own."""
    graph = GraphWriter(17)
    frame = graph.take_input("frame", "uint8", [1, "h", "w", 3])
    boxes = graph.take_input("boxes", "float32", ["n", 4])
    picture, size = fused_sampling.float_frame(graph, frame)
    pixels, scale = fused_sampling.letterbox(graph, picture, size, get_spec("rtmdet-nano"))
    crops, _, _ = fused_sampling.person_crops(graph, picture, size, boxes, get_spec("rtmpose-t"))
    graph.give(pixels, "letterbox", [1, 3, 320, 320])
    graph.give(scale, "scale", [2])
    graph.give(crops, "crops", ["n", 3, 256, 192])
    content = graph.model("sampling", {}).SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def grey_levels(planes, spec):
    mean, std = (np.float32(values).reshape(3, 1, 1) for values in (spec.mean, spec.std))
    return planes * std + mean


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 900), width=st.integers(1, 900), seed=st.integers(0, 9))
def test_the_letterbox_is_opencvs_to_the_last_bit(sampler, height, width, seed):
    spec = get_spec("rtmdet-nano")
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    canvas, placement = geometry.letterbox(frame, spec.input_size)
    given_boxes = np.float32([[0, 0, 1, 1]])
    found, scale = sampler.run(["letterbox", "scale"], {"frame": frame[None], "boxes": given_boxes})
    np.testing.assert_allclose(scale, placement.scale, rtol=1e-6)
    differences = np.abs(
        grey_levels(found, spec) - grey_levels(geometry.to_network_input(canvas[None], spec), spec)
    )
    assert (differences > 0.5).mean() < 1e-4 and differences.max() < 1.5


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_person_crops_are_opencvs_but_for_single_grey_levels(sampler, seed):
    """Boxes inside, across the edge and wholly outside; noise shows a shift of a thousandth of a pixel."""
    spec, rng = get_spec("rtmpose-t"), np.random.default_rng(seed)
    height, width = rng.integers(20, 700, 2)
    frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    corners = rng.uniform(-0.3, 1.3, (5, 2, 2)) * [width, height]
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype("float32")
    boxes[0] = [3, 5, 3, 5]  # without extent
    affines = geometry.person_affines(boxes, spec.input_size, spec.padding)
    expected = geometry.to_network_input(geometry.crop_persons(frame, affines, spec.input_size), spec)
    (found,) = sampler.run(["crops"], {"frame": frame[None], "boxes": boxes})
    differences = np.abs(grey_levels(found, spec) - grey_levels(expected, spec))
    assert differences.max() < 1.5 and (differences > 0.5).mean() < 5e-4
