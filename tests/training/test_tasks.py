"""The two models as they are trained: what is compared with what; a whole recipe on a tiny COCO folder."""

import json

import cv2
import numpy as np
import pytest
import torch

from pose_utils.zoo.checkpoints import load_module, raw_network
from pose_utils.zoo.export import fixed_input_size
from pose_utils.zoo.specs import get_spec
from training.__main__ import main
from training.detector import DetectorTask, compare, stages_of
from training.labels import Labels
from training.loop import CHECKPOINT
from training.pose import PoseNetwork, stretched
from training.publish import publish

CONFIG = """
task = "pose"
model = "rtmpose-t"
seed = 0
data = {"hold_out_every": 2, "shares": {}, "augmentation": {}}
phases = [
    {"name": name, "schedule": {"steps": 2, "lr": 1e-3, "warmup": 1},
     "options": {"batch_size": 2, "shrink": shrink, "held_out_crops": 2}, "validate_every": 0}
    for name, shrink in (("small", 2), ("full", 1))
]
"""


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    torch.save(load_module(get_spec("rtmdet-nano"), None, seed=3).state_dict(), file)
    return file


@pytest.fixture
def task(teacher_file, drawn_pictures):
    pictures = {"scenes": drawn_pictures[:2], "sports": drawn_pictures[2:]}
    return DetectorTask(pictures, drawn_pictures[:1], teacher_file, batch_size=2, sides=(64,))


def test_a_student_starts_from_its_seed_and_not_from_the_teacher(task):
    seeded = load_module(get_spec("rtmdet-nano"), None, seed=0).state_dict()
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, seeded[name]), name
    conv = "backbone.stem.0.conv.weight"
    assert not torch.equal(task.network.state_dict()[conv], task.teacher.state_dict()[conv])


def test_stages_are_those_of_the_whole_network(task):
    pixels = task.batch(0)
    assert pixels.shape == (2, 3, 64, 64)
    with torch.no_grad():
        outputs = raw_network(task.teacher, task.spec)(pixels)
        heads = stages_of(task.teacher, pixels)["heads"]
    assert all(torch.equal(a, b) for a, b in zip(outputs, heads, strict=True))


@pytest.mark.parametrize("forced", [True, False])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(task, forced):
    pixels = task.batch(0)
    with torch.no_grad():
        same = compare(task.teacher, pixels, stages_of(task.teacher, pixels), forced)
        other = compare(task.network.eval(), pixels, stages_of(task.teacher, pixels), forced)
    assert float(same["backbone"]) == float(same["neck"]) == 0
    assert float(same["box"]) == pytest.approx(0, abs=1e-4)
    assert float(other["backbone"]) > 0.1 and float(other["neck"]) > 0.1


def test_a_forced_part_does_not_depend_on_the_parts_before_it(task):
    pixels = task.batch(0)
    with torch.no_grad():
        wanted = stages_of(task.teacher, pixels)
    losses = compare(task.network, pixels, wanted, forced=True)
    losses["neck"].backward()
    touched = {
        name.split(".")[0] for name, value in task.network.named_parameters() if value.grad is not None
    }
    assert touched == {"neck"}


def test_the_small_crops_head_gives_the_same_on_a_map_enlarged_by_repetition():
    small, large = PoseNetwork("rtmpose-t", 0, shrink=2), PoseNetwork("rtmpose-t", 0)
    large.load_state_dict(stretched(small.state_dict(), large))
    one = torch.randn(2, 17, 4, 3, generator=torch.Generator().manual_seed(0))
    grown = one.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        wanted = small.pose.head.mlp(one.flatten(2))
        assert torch.allclose(large.pose.head.mlp(grown.flatten(2)), wanted, atol=1e-5)
        vectors, maps = large.eval()(torch.zeros(1, 3, 256, 192))
    assert [vector.shape for vector in vectors] == [(1, 17, 384), (1, 17, 512)]
    assert {logits.shape for logits in maps.values()} == {(1, 17, 32, 24)}
    again = stretched(large.state_dict(), large)
    assert torch.equal(again["pose.head.mlp.1.weight"], large.state_dict()["pose.head.mlp.1.weight"])


@pytest.fixture
def coco_folder(drawn_pictures):
    folder = drawn_pictures[0].parent
    keypoints = np.stack([np.linspace(30, 90, 17), np.linspace(20, 70, 17), np.full(17, 2)], 1)
    keypoints[4] = 0
    annotations = [
        {"id": index, "image_id": index, "category_id": 1, "bbox": [25, 15, 70, 60], "area": 4200,
         "iscrowd": 0, "num_keypoints": 16, "keypoints": keypoints.ravel().tolist()}
        for index in range(3)
    ]  # fmt: skip
    images = [
        {"id": index, "file_name": path.name, "width": 120, "height": 90}
        for index, path in enumerate(drawn_pictures)
    ]
    file = folder / "annotations.json"
    categories = [{"id": 1, "name": "person"}]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return folder, file


def test_one_command_trains_resumes_and_publishes(tmp_path_factory, coco_folder, monkeypatch):
    monkeypatch.delenv("POSE_ASSETS_DIR", raising=False)
    images, annotations = coco_folder
    work = tmp_path_factory.mktemp("work")
    config = work / "tiny.py"
    config.write_text(CONFIG)
    given = ["--folder", str(work), "--images", str(images), "--annotations", str(annotations)]
    target = work / "tiny.safetensors"
    assert main(["run", str(config), *given, "--until", "1"]) == 0
    assert main(["publish", str(config), str(target), "--folder", str(work)]) == 64, "it is not done"
    assert main(["run", str(config), *given]) == 0
    assert main(["publish", str(config), str(target), "--folder", str(work)]) == 0
    assert main(["pair", str(config), *given, "--pair-steps", "1", "--corrupt", "1"]) == 0
    pair = [
        torch.load(work / "tiny" / f"pair-{name}" / CHECKPOINT, weights_only=True)
        for name in ("plain", "corrupted")
    ]
    assert [state["step"] for state in pair] == [1, 1]
    weight = "pose.backbone.stem.0.conv.weight"
    assert not torch.equal(pair[0]["network"][weight], pair[1]["network"][weight])
    made = work / "plain.onnx"
    assert main(["publish", str(config), str(made), "--folder", str(work), "--run", "pair-plain"]) == 0
    assert fixed_input_size(made) == (192, 256)
    average = torch.load(work / "tiny" / "full" / CHECKPOINT, weights_only=True)["average"]
    loaded = load_module(get_spec("rtmpose-t"), target)
    assert torch.allclose(loaded.head.cls_x.weight, average["pose.head.cls_x.weight"], atol=1e-3)
    assert not any(name.startswith("side.") for name in loaded.state_dict())
    kept = work / "kept.safetensors"
    assert main(["keep", str(config), str(kept), "--folder", str(work)]) == 0
    elsewhere = ["--folder", str(work / "elsewhere"), *given[2:], "--begin", str(kept)]
    assert main(["run", str(config), *elsewhere, "--until", "1"]) == 0
    again = work / "elsewhere" / "tiny"
    assert [path.name for path in again.iterdir()] == ["full"], "what was done is left out"
    begun = torch.load(again / "full" / CHECKPOINT, weights_only=True)["average"]
    # One step's average is still mostly what it began with: heads that only train included.
    for name in (weight, "side.stage4.weight"):
        assert torch.nn.functional.cosine_similarity(begun[name].ravel(), average[name].ravel(), 0) > 0.9


def test_a_state_of_something_else_is_refused(tmp_path, coco_folder, capsys):
    images, annotations = coco_folder
    config = tmp_path / "tiny.py"
    config.write_text(CONFIG)
    given = ["--folder", str(tmp_path), "--images", str(images), "--annotations", str(annotations)]
    wrong = tmp_path / "wrong.safetensors"
    assert main(["keep", str(config), str(wrong), "--folder", str(tmp_path)]) == 64
    assert "no checkpoint" in capsys.readouterr().err
    wrong.write_bytes(b"no tensors")
    assert main(["run", str(config), *given, "--begin", str(wrong)]) == 64
    assert "cannot be read" in capsys.readouterr().err
    publish({"a": torch.zeros(1)}, wrong, {"model": "rtmdet-nano", "phase": "full"})
    assert main(["run", str(config), *given, "--begin", str(wrong)]) == 64
    assert "is of rtmdet-nano" in capsys.readouterr().err


def test_annotations_become_labels_and_unlabelled_joints_do_not_count(coco_folder):
    from training.material import from_coco

    images, annotations = coco_folder
    labels = from_coco(annotations, images, left_out={"picture1.png"})
    assert isinstance(labels, Labels) and labels.files.tolist() == ["picture0.png", "picture2.png"]
    assert labels.weights[0].tolist() == [1, 1, 1, 1, 0, *[1] * 12]
    assert labels.boxes[0].tolist() == [25, 15, 95, 75]


def test_pictures_of_the_test_set_are_left_out(coco_folder, tmp_path, monkeypatch):
    from training.material import find_material

    images, annotations = coco_folder
    tests = tmp_path / "assets" / "coco_val75" / "images"
    tests.mkdir(parents=True)
    cv2.imwrite(str(tests / "copy.jpg"), cv2.imread(str(images / "picture2.png")))
    monkeypatch.setenv("POSE_ASSETS_DIR", str(tmp_path / "assets"))
    pictures = tmp_path / "mine"
    pictures.mkdir()
    for path in images.glob("*.png"):
        path.rename(pictures / path.name)
    found = find_material(pictures, annotations, tmp_path / "cache")
    assert [path.name for path in found.scenes] == ["picture0.png", "picture1.png"]
    assert [path.name for path in found.left_out] == ["picture2.png"]
    assert find_material(pictures, annotations, tmp_path / "cache") == found, "remembered"


def test_without_pictures_or_config_the_command_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("POSE_ASSETS_DIR", raising=False)
    assert main(["run", str(tmp_path / "none.py")]) == 64
    assert "no config" in capsys.readouterr().err
    config = tmp_path / "tiny.py"
    config.write_text(CONFIG)
    assert main(["run", str(config), "--folder", str(tmp_path)]) == 2
    assert "POSE_ASSETS_DIR" in capsys.readouterr().err
