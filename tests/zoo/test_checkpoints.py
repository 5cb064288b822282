"""Checkpoints are loaded without running code from them, and only where they fit."""

import io
import pickle
import zipfile

import pytest
import torch

from pose_utils.errors import AssetError, Unavailable
from pose_utils.zoo.checkpoints import (
    config_path,
    load_config,
    load_module,
    output_names,
    raw_network,
    read_state_dict,
)
from pose_utils.zoo.specs import SPECS

TENSORS = {"layer.weight": torch.arange(6.0).reshape(2, 3)}


@pytest.fixture(scope="module")
def tiny():
    return load_module(SPECS["rtmpose-t"], None)


class Payload:
    """Unpickles to a call that leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


@pytest.mark.parametrize("where", ["state_dict", "meta"])
@pytest.mark.parametrize("old_format", [False, True])
def test_a_file_that_holds_code_is_refused_and_the_code_does_not_run(tmp_path, where, old_format):
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    content = {"state_dict": dict(TENSORS), "meta": {}}
    content[where]["payload"] = Payload(trace)
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(AssetError, match=r"evil\.pth is no checkpoint that can be loaded safely"):
        read_state_dict(path)
    assert not trace.exists()
    # The payload is a real one: an unsafe reader would have run it.
    torch.load(path, weights_only=False)
    assert trace.exists()


def test_a_plain_pickle_with_code_is_refused(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(AssetError):
        read_state_dict(path)
    assert not trace.exists()


def test_openmmlabs_metadata_is_no_hindrance(tmp_path):
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    buffer = HistoryBuffer()
    buffer.update(0.5)
    content = {"meta": {"epoch": 3, "CLASSES": ("person",)}, "message_hub": {"log_scalars": {"loss": buffer}},
               "state_dict": TENSORS, "numbers": np.float64(3), "array": np.arange(3)}  # fmt: skip
    torch.save(content, tmp_path / "a.pth")
    state = read_state_dict(tmp_path / "a.pth")
    assert torch.equal(state["layer.weight"], TENSORS["layer.weight"])
    # The same as NumPy 1 wrote it, when the released files were made.
    with zipfile.ZipFile(tmp_path / "a.pth") as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert list(read_state_dict(tmp_path / "old.pth")) == ["layer.weight"]


class Lookup:
    """Unpickles to an attribute of a class that a checkpoint may hold."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        from mmengine.logging.history_buffer import HistoryBuffer

        return getattr, (HistoryBuffer, self.name)


def test_getattr_reaches_nothing_but_the_statistics(tmp_path):
    torch.save({"state_dict": TENSORS, "meta": Lookup("mean")}, tmp_path / "a.pth")
    assert read_state_dict(tmp_path / "a.pth")
    torch.save({"state_dict": TENSORS, "meta": Lookup("__init__")}, tmp_path / "a.pth")
    with pytest.raises(AssetError, match="loaded safely"):
        read_state_dict(tmp_path / "a.pth")


def test_a_bare_state_dict_is_read(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pth")
    assert list(read_state_dict(tmp_path / "a.pth")) == ["layer.weight"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("old_format", [False, True])
def test_a_truncated_file_is_refused(tmp_path, tiny, share, old_format):
    buffer = io.BytesIO()
    torch.save(
        {"state_dict": tiny.backbone.stem.state_dict()}, buffer, _use_new_zipfile_serialization=not old_format
    )
    content = buffer.getvalue()
    (tmp_path / "cut.pth").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(AssetError, match=r"cut\.pth"):
        read_state_dict(tmp_path / "cut.pth")


def an_empty_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("<html>log in</html>"),
        lambda path: path.write_bytes(bytes(range(256))),
        an_empty_zip,
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({}, path),
        lambda path: torch.save({"state_dict": {}}, path),
        lambda path: torch.save({"state_dict": [1, 2]}, path),
        lambda path: torch.save({"state_dict": {"a": 1}}, path),
        lambda path: path.mkdir(),
        lambda path: None,
    ],
    ids=["page", "bytes", "zip", "list", "empty", "no tensors", "list inside", "numbers", "folder", "absent"],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, write):
    write(tmp_path / "a.pth")
    with pytest.raises(AssetError, match=r"a\.pth"):
        read_state_dict(tmp_path / "a.pth")


def test_weights_come_back_as_they_were_saved(tmp_path, tiny):
    state = {
        name: value + 1 if value.is_floating_point() else value for name, value in tiny.state_dict().items()
    }
    torch.save({"state_dict": state, "meta": {}}, tmp_path / "a.pth")
    loaded = load_module(SPECS["rtmpose-t"], tmp_path / "a.pth").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_weights_of_another_model_are_refused(tmp_path, tiny):
    torch.save({"state_dict": tiny.state_dict()}, tmp_path / "a.pth")
    for name in ("rtmpose-s", "rtmdet-nano"):
        with pytest.raises(AssetError, match=f"does not fit {name}"):
            load_module(SPECS[name], tmp_path / "a.pth")


def test_a_missing_tensor_is_named(tmp_path, tiny):
    state = dict(tiny.state_dict())
    del state["head.final_layer.weight"]
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    with pytest.raises(AssetError, match=r"1 tensors missing, such as head\.final_layer\.weight"):
        load_module(SPECS["rtmpose-t"], tmp_path / "a.pth")


def test_the_seed_decides_random_weights_and_nothing_else_is_disturbed(tiny):
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    again = load_module(SPECS["rtmpose-t"], None)
    assert torch.equal(before, torch.rand(3)), "the caller's random numbers go on as if nothing had happened"
    other = load_module(SPECS["rtmpose-t"], None, seed=1)
    same = [torch.equal(a, b) for a, b in zip(tiny.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not all(torch.equal(a, b) for a, b in zip(tiny.parameters(), other.parameters(), strict=True))


def test_modules_come_in_evaluation_mode_with_their_config(tiny):
    assert not tiny.training and not any(part.training for part in tiny.modules())
    assert tiny.cfg.model.head.type == "RTMCCHead"
    assert len(tiny.dataset_meta["flip_indices"]) == 17


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.config])
def test_no_config_downloads_anything(name):
    config = load_config(SPECS[name])
    text = str(config.model)
    assert "http" not in text and "Pretrained" not in text and not config.model.get("pretrained")
    assert config_path(SPECS[name]).is_file()


def test_a_model_without_a_module_says_so():
    with pytest.raises(Unavailable, match="pp-tinypose has no PyTorch module"):
        load_module(SPECS["pp-tinypose"], None)


def test_raw_outputs_have_the_shapes_that_decoding_expects(tiny):
    with torch.no_grad():
        x, y = raw_network(tiny, SPECS["rtmpose-t"])(torch.zeros(2, 3, 256, 192))
        heads = raw_network(load_module(SPECS["rtmdet-nano"], None), SPECS["rtmdet-nano"])(
            torch.zeros(1, 3, 320, 320)
        )
    assert x.shape == (2, 17, 384) and y.shape == (2, 17, 512)
    sides = (40, 20, 10)
    assert [tuple(head.shape) for head in heads] == [(1, c, side, side) for c in (1, 4) for side in sides]
    assert len(output_names(SPECS["rtmdet-nano"])) == 6


def test_random_detectors_start_with_low_scores_as_the_head_itself_does():
    network = raw_network(load_module(SPECS["rtmdet-nano"], None), SPECS["rtmdet-nano"])
    with torch.no_grad():
        scores = torch.cat([head.flatten().sigmoid() for head in network(torch.randn(1, 3, 320, 320))[:3]])
    assert scores.max() < 0.05


@pytest.mark.parametrize("name", ["rtmdet-nano", "rtmpose-t"])
def test_what_random_networks_say_depends_on_the_picture(name):
    spec = SPECS[name]
    network = raw_network(load_module(spec, None), spec)
    with torch.no_grad():
        first, second = (network(torch.randn(1, 3, *spec.input_size[::-1]) + shift) for shift in (0.0, 1.0))
    for one, other in zip(first, second, strict=True):
        assert one.std() > 1e-3 and (one - other).abs().max() > 1e-2 * one.abs().max()


def test_safetensors_load_widened_and_give_the_module_of_their_weights(tmp_path, tiny):
    from safetensors.torch import save_file

    state = {name: value.half() for name, value in tiny.state_dict().items() if "num_batches" not in name}
    save_file(state, tmp_path / "tiny.safetensors")
    assert {value.dtype for value in read_state_dict(tmp_path / "tiny.safetensors").values()} == {
        torch.float32
    }
    loaded = load_module(SPECS["rtmpose-t"], tmp_path / "tiny.safetensors", seed=9)
    assert torch.equal(loaded.head.cls_x.weight, tiny.head.cls_x.weight.half().float())


def test_damaged_safetensors_are_refused(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"\x10" + bytes(40))
    with pytest.raises(AssetError, match="loaded safely"):
        read_state_dict(tmp_path / "bad.safetensors")
