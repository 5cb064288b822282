"""Specs against the installed configs, and the names that users type."""

from dataclasses import FrozenInstanceError

import pytest

from pose_utils.errors import UsageError
from pose_utils.zoo.checkpoints import load_config
from pose_utils.zoo.manifest import manifest
from pose_utils.zoo.specs import PUBLISHED_NAMES, SPECS, get_spec, parse_models

WITH_CONFIG = [name for name, spec in SPECS.items() if spec.config]


@pytest.mark.parametrize("name", WITH_CONFIG)
def test_input_and_normalisation_are_those_of_the_config(name):
    spec, config = SPECS[name], load_config(SPECS[name])
    preprocessor = config.model.data_preprocessor
    assert list(spec.mean) == pytest.approx(list(preprocessor.mean))
    assert list(spec.std) == pytest.approx(list(preprocessor.std))
    assert (spec.channels == "rgb") == preprocessor.get("bgr_to_rgb", False)
    if spec.kind == "pose":
        assert tuple(config.codec["input_size"]) == spec.input_size
        assert config.codec["type"] == {"simcc": "SimCCLabel", "heatmap": "MSRAHeatmap"}[spec.codec]
        steps = {step["type"]: step for step in config.val_pipeline}
        assert steps["GetBBoxCenterScale"].get("padding", 1.25) == spec.padding
        assert not steps["TopdownAffine"].get("use_udp", False)
    else:
        steps = {step["type"]: step for step in config.test_pipeline}
        assert tuple(steps["Resize"]["scale"]) == tuple(steps["Pad"]["size"]) == spec.input_size


@pytest.mark.parametrize("name", ["rtmdet-nano", "rtmdet-m"])
def test_decoding_uses_the_released_thresholds(name):
    from pose_utils.runtime import decode

    rules = load_config(SPECS[name]).model.test_cfg
    assert rules.score_thr == decode.MIN_SCORE and rules.nms.iou_threshold == decode.NMS_IOU
    assert rules.nms_pre == decode.CANDIDATES_PER_LEVEL and rules.max_per_img == decode.MAX_PERSONS


def test_simcc_models_share_the_split_ratio_of_the_decoder():
    from pose_utils.runtime.decode import SIMCC_SPLIT_RATIO

    for spec in SPECS.values():
        if spec.codec == "simcc":
            assert load_config(spec).codec["simcc_split_ratio"] == SIMCC_SPLIT_RATIO


def test_every_weight_file_is_listed():
    names = {name for spec in SPECS.values() for name in spec.assets.values()}
    assert names <= manifest().keys()


def test_names_make_pipelines():
    detector, pose = parse_models(" rtmdet-nano + rtmpose-m ")
    assert (detector.name, pose.name) == ("rtmdet-nano", "rtmpose-m")
    assert [spec.kind for spec in parse_models("movenet-multipose")] == ["one-stage"]
    for name in PUBLISHED_NAMES:
        assert parse_models(name)


@pytest.mark.parametrize(
    "models",
    ["", "+", "rtmdet-nano", "rtmpose-m", "rtmpose-m+rtmdet-nano", "rtmdet-nano+rtmpose-m+rtmpose-t",
     "rtmdet-nano+movenet-multipose", "rtmdet-nano+rtmdet-m"],
)  # fmt: skip
def test_what_makes_no_pipeline_is_wrong_usage(models):
    with pytest.raises(UsageError):
        parse_models(models)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rtmpose-n", "rtmpose-"), ("RTMDet-nano", "rtmdet-nano"), ("movenet-mutipose", "movenet-multipose")],
)
def test_the_nearest_name_is_offered(typed, meant):
    with pytest.raises(UsageError, match=f"did you mean '{meant}"):
        get_spec(typed)


def test_a_name_like_no_other_gets_the_list():
    with pytest.raises(UsageError, match=r"there is no model 'zzz'\. Known: rtmdet-nano, "):
        get_spec("zzz")


def test_a_spec_cannot_be_changed():
    spec = SPECS["rtmpose-m"]
    with pytest.raises(FrozenInstanceError):
        spec.padding = 1.0
    with pytest.raises(TypeError):
        spec.assets["torch"] = "other.pth"
