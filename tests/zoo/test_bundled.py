"""The demo weights that the project brings: whole, small, offline, and they find somebody."""

import numpy as np
import pytest
import torch

from pose_utils.paths import ROOT
from pose_utils.runtime.media import read_image
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.similarity import box_iou
from pose_utils.zoo import assets
from pose_utils.zoo.checkpoints import load_module, read_state_dict
from pose_utils.zoo.choice import BUNDLED, choose_models
from pose_utils.zoo.manifest import manifest
from pose_utils.zoo.samples import sample_pictures
from pose_utils.zoo.specs import SPECS, parse_models

FILES = sorted((ROOT / "pose_utils/zoo/bundled").glob("*.safetensors"))
EILEEN = np.array([[80, 20, 390, 512]], "float32")
"""About the box of the astronaut in her picture, which nobody else is in."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setenv("POSE_OFFLINE", "1")


def test_every_file_is_listed_and_all_together_are_under_ten_megabytes():
    named = {name for models in BUNDLED for spec in parse_models(models) for name in spec.assets.values()}
    assert {path.name for path in FILES} == named
    assert sum(path.stat().st_size for path in FILES) < 10_000_000
    card = (ROOT / "pose_utils/zoo/bundled/README.md").read_text()
    assert all(name in card and manifest()[name].licence == "MIT" for name in named)


@pytest.mark.parametrize("name", [spec.name for models in BUNDLED for spec in parse_models(models)])
def test_every_weight_of_the_architecture_comes_from_the_file(name):
    path = assets.fetch(SPECS[name].assets["torch"])
    stored, module = read_state_dict(path), load_module(SPECS[name], path)
    own = {
        key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    own = {key: value for key, value in own.items() if not key.startswith("data_preprocessor.")}
    assert own.keys() == stored.keys()
    assert all(torch.equal(value, stored[key]) for key, value in own.items())


def test_a_study_without_a_network_runs_on_them():
    chosen = choose_models("auto", study=True)
    assert (chosen.models, chosen.trained) == (BUNDLED[0], True)
    assert "demo pair" in chosen.reason and len(chosen.trained_on) == 2


def test_they_find_the_astronaut():
    (picture,) = [path for path in sample_pictures() if path.name == "astronaut.png"]
    poses = open_pipeline(BUNDLED[0])(read_image(picture))
    assert len(poses)
    assert box_iou(poses.boxes[:1].astype(float), EILEEN.astype(float)).max() > 0.5
    x, y = poses.keypoints[0, 0]
    assert 190 < x < 260 and 80 < y < 160, "her nose"
