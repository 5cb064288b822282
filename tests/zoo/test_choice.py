import pytest

from pose_utils.errors import AssetError, UsageError
from pose_utils.zoo import assets, choice
from pose_utils.zoo.choice import BEST_RTM, choose_models
from pose_utils.zoo.manifest import WrongFile


@pytest.fixture
def world(monkeypatch):
    """Decides which assets can be had; records what was asked for."""

    class World:
        here, online, wrong, asked = set(), set(), set(), []

    def fetch(name):
        World.asked.append(name)
        if name in World.wrong:
            raise WrongFile(f"/own/{name} (3 bytes) is not {name}: its sha256 begins with 012345678901.")
        if name not in World.here | World.online:
            raise AssetError(f"{name} cannot be had.\n  https://x\n    its name is not resolved")
        World.here.add(name)

    World.here, World.online, World.wrong, World.asked = set(), set(), set(), []
    monkeypatch.setattr(assets, "fetch", fetch)
    monkeypatch.setattr(assets, "available", lambda name: name in World.here)
    return World


def test_auto_takes_the_published_pair_where_it_can_be_fetched(world):
    world.online = {"rtmdet-m.pth", "rtmpose-m.pth"}
    chosen = choose_models("auto")
    assert (chosen.models, chosen.trained) == (BEST_RTM, True)
    assert chosen.trained_on == ("COCO + Objects365, persons", "AIC+COCO")
    assert world.asked == ["rtmdet-m.pth", "rtmpose-m.pth"]


def test_auto_takes_onnx_weights_where_pytorch_ones_are_missing_and_says_what_they_saw(world):
    world.online = {"rtmdet-m.onnx", "rtmpose-m.onnx"}
    chosen = choose_models("auto")
    assert (chosen.models, chosen.trained_on[1]) == (BEST_RTM, "Body7")


def test_weights_that_are_here_go_before_a_download(world):
    world.here, world.online = {"rtmdet-m.onnx", "rtmpose-m.onnx"}, {"rtmdet-m.pth", "rtmpose-m.pth"}
    choose_models("auto")
    assert world.asked == ["rtmdet-m.onnx", "rtmpose-m.onnx"]


def test_auto_takes_the_small_pair_of_the_users_folder_before_movenet(world):
    world.here = {"rtmdet-nano.pth", "rtmdet-nano.onnx", "pp-tinypose.onnx", "movenet-multipose.tflite"}
    chosen = choose_models("auto")
    assert (chosen.models, chosen.trained) == ("rtmdet-nano+pp-tinypose", True)
    assert BEST_RTM in chosen.reason and "none of their hosts gave them" in chosen.reason


def test_auto_ends_with_movenet_and_says_why_in_one_sentence(world):
    world.online = {"movenet-multipose.tflite"}
    chosen = choose_models("auto")
    assert (chosen.models, chosen.trained) == ("movenet-multipose", True)
    assert chosen.reason.count("\n") == 0 and chosen.reason.count(". ") == 0 and chosen.reason.endswith(".")
    assert BEST_RTM in chosen.reason and "movenet-multipose" in chosen.reason
    assert [spec.kind for spec in chosen.specs] == ["one-stage"]


def test_a_study_takes_the_projects_own_pair_before_movenet_and_the_rest_after(world):
    world.here = {"rtmdet-nano-demo.safetensors", "rtmpose-t-demo.safetensors", "movenet-multipose.tflite"}
    assert choose_models("auto").models == "movenet-multipose"
    studied = choose_models("auto", study=True)
    assert (studied.models, studied.trained) == (choice.BUNDLED[0], True)
    assert "demo pair of the same architecture" in studied.reason and len(studied.trained_on) == 2
    world.here -= {"movenet-multipose.tflite"}
    assert choose_models("auto").models == choice.BUNDLED[0]


def test_auto_without_anything_is_an_error_that_lists_everything(world):
    with pytest.raises(AssetError, match=r"(?s)no trained weights.*rtmdet-m\.pth.*movenet-multipose\.tflite"):
        choose_models("auto")


def test_rtm_keeps_the_pair_and_admits_random_weights(world):
    chosen = choose_models("rtm")
    assert (chosen.models, chosen.trained, chosen.trained_on) == (BEST_RTM, False, ())
    assert "random weights" in chosen.reason


def test_a_model_without_an_architecture_has_no_stand_in(world):
    world.here = {"rtmdet-nano.pth"}
    chosen = choose_models("rtmdet-nano+pp-tinypose")
    assert not chosen.trained
    assert "pp-tinypose cannot be had" in chosen.reason and "nothing stands in" in chosen.reason


def test_a_wrong_file_is_named_instead_of_a_silent_host(world):
    world.wrong = {"rtmdet-m.pth", "rtmdet-m.onnx"}
    world.online = {"movenet-multipose.tflite"}
    assert "/own/rtmdet-m.pth (3 bytes) is not rtmdet-m.pth" in choose_models("auto").reason


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("movenet", "movenet-multipose"),
        ("lightweight", "rtmdet-m+rtmpose-m"),
        ("accurate", "rtmdet-m+hrnet-w48"),
        ("rtmdet-nano+rtmpose-t", "rtmdet-nano+rtmpose-t"),
    ],
)
def test_every_other_name_is_kept(world, given, meant):
    assert choose_models(given).models == meant


def test_an_unknown_name_is_wrong_usage(world):
    with pytest.raises(UsageError):
        choose_models("rtmdet-nano")


def test_offline_is_given_as_the_reason(world, monkeypatch):
    monkeypatch.setenv("POSE_OFFLINE", "1")
    assert "POSE_OFFLINE" in choose_models("rtm").reason


def test_everything_that_auto_tries_is_a_pipeline():
    assert set(choice.STUDIED) == set(choice.PREFERRED)
    for models in choice.PREFERRED:
        assert choice.parse_models(models)
