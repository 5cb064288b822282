import hashlib
import re
from urllib.parse import urlsplit

import pytest

from pose_utils.errors import UsageError
from pose_utils.zoo.manifest import Asset, WrongFile, check_file, get_asset, manifest
from pose_utils.zoo.samples import CLIP, PICTURES
from pose_utils.zoo.specs import SPECS

ALL = list(manifest().values())


@pytest.fixture
def written(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def asset(name="thing.bin", **fields):
    return Asset(**({"name": name, "description": "", "sources": (), "licence": "none", "url": ""} | fields))


def test_every_weight_of_every_model_and_every_sample_is_listed():
    wanted = {name for spec in SPECS.values() for name in spec.assets.values()} | {*PICTURES, CLIP}
    wanted |= {"coco-val2017-images", "coco-val2017-annotations"}
    assert set(manifest()) == wanted


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.name)
def test_every_entry_has_licence_page_and_a_digest_or_a_stated_reason(entry):
    assert entry.licence and entry.description and entry.url.startswith("https://")
    assert entry.sha256 or entry.sha256_prefix or entry.md5 or entry.unverified_reason
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in entry.sha256)
    assert all(re.fullmatch("[0-9a-f]{8}", value) for value in entry.sha256_prefix)
    assert entry.sources or entry.local
    assert bool(entry.published) == bool(entry.published_source)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.name)
def test_sources_are_safe_to_use(entry):
    for source in entry.sources:
        scheme = urlsplit(source).scheme
        assert scheme in ("https", "http", "pypi", "package")
        if scheme == "http" or entry.unverified_reason:
            assert scheme == "https" or entry.sha256 or entry.md5
        if scheme == "pypi":
            assert re.match(r"pypi:[\w.-]+==[\w.]+#sha256=[0-9a-f]{64}!", source)


@pytest.mark.parametrize("entry", [each for each in ALL if each.sha256_prefix], ids=lambda entry: entry.name)
def test_first_digits_are_those_in_the_published_file_name(entry):
    named = {found for source in entry.sources for found in re.findall(r"-([0-9a-f]{8})[_.]", source)}
    assert named & set(entry.sha256_prefix)


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(UsageError, match=r"did you mean 'rtmpose-m\.pth'"):
        get_asset("rtmpose_m.pth")


def test_a_file_is_verified_by_the_strongest_digest_that_fits(written):
    content = b"some weights"
    sha256, md5 = hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()
    path = written(content)
    assert check_file(asset(sha256=("0" * 64, sha256)), path) == "sha256"
    assert check_file(asset(sha256_prefix=(sha256[:8],)), path) == "first 8 digits of sha256"
    assert check_file(asset(sha256=("0" * 64,), md5=md5), path) == "md5"
    assert check_file(asset(unverified_reason="none is known"), path) == "not verified: none is known"


def test_one_changed_byte_is_refused_even_after_the_file_was_right(written):
    path = written(b"some weights")
    entry = asset(sha256=(hashlib.sha256(b"some weights").hexdigest(),))
    check_file(entry, path)
    path.write_bytes(b"some weightz")
    with pytest.raises(WrongFile, match=r"is not thing\.bin"):
        check_file(entry, path)


@pytest.mark.parametrize("name", ["m.pth", "m.onnx"])
def test_a_login_page_is_never_taken_for_a_model(written, name):
    path = written(b"<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(WrongFile, match="begins with"):
        check_file(asset(name, unverified_reason="none is known"), path)


def test_a_users_own_file_needs_to_be_trusted_by_name(written, monkeypatch):
    path, entry = written(b"\x08mine", "m.onnx"), asset("m.onnx", sha256=("0" * 64,))
    with pytest.raises(WrongFile, match="POSE_ASSETS_TRUST=1"):
        check_file(entry, path, own_file=True)
    monkeypatch.setenv("POSE_ASSETS_TRUST", "1")
    assert check_file(entry, path, own_file=True) == "not verified: POSE_ASSETS_TRUST=1"
    with pytest.raises(WrongFile):
        check_file(entry, path)  # Trust is for the user's folder, not for what was downloaded.
