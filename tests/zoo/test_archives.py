import io
import stat
import zipfile

import pytest

from pose_utils.zoo.archives import BadArchive, extract_member
from pose_utils.zoo.assets import fetch


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_a_member_is_found_in_a_dated_folder(tmp_path):
    archive = zipped(
        tmp_path / "a.zip", [("20230831/model/end2end.onnx", b"onnx"), ("20230831/end2end.json", b"")]
    )
    extract_member(archive, "end2end.onnx", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"onnx"


def test_a_member_that_points_outside_writes_only_the_target(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = zipped(inner / "a.zip", [("../../evil.bin", b"evil"), ("/etc/evil.bin", b"evil")])
    extract_member(archive, "../../evil.bin", inner / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "inner", "out"]


def test_a_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("model.onnx")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = zipped(tmp_path / "a.zip", [(info, "/etc/passwd")])
    with pytest.raises(BadArchive, match="is a link"):
        extract_member(archive, "model.onnx", tmp_path / "out")


def test_a_member_larger_than_expected_is_not_unpacked(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("model.onnx", bytes(50_000_000))])
    with pytest.raises(BadArchive, match="too large"):
        extract_member(archive, "model.onnx", tmp_path / "out", size=1000)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("members", "said"),
    [([("x/a", b""), ("y/a", b"")], "2 members"), ([("b", b"")], "0 members"), ([("xa", b"")], "0 members")],
)
def test_no_member_or_several_are_refused(tmp_path, members, said):
    with pytest.raises(BadArchive, match=said):
        extract_member(zipped(tmp_path / "a.zip", members), "a", tmp_path / "out")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>please log in</html>")
    with pytest.raises(BadArchive, match="cannot be unpacked"):
        extract_member(tmp_path / "a.zip", "a", tmp_path / "out")


def test_a_damaged_member_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("a", bytes(range(256)) * 100)])
    damaged = bytearray(archive.read_bytes())
    damaged[60] ^= 255
    archive.write_bytes(damaged)
    with pytest.raises(BadArchive):
        extract_member(archive, "a", tmp_path / "out")


def test_a_member_of_a_downloaded_archive_becomes_the_asset(server, make_asset, own_cache):
    packed = io.BytesIO()
    zipped(packed, [("20230831/end2end.onnx", b"\x08onnx")])
    make_asset(
        "m.onnx", content=b"\x08onnx", sources=(server.gives("/a.zip", packed.getvalue()) + "!end2end.onnx",)
    )
    assert fetch("m.onnx").read_bytes() == b"\x08onnx"
    assert sorted(path.name for path in (own_cache / "assets").rglob("*") if path.is_file()) == [
        "m.onnx",
        "m.onnx.lock",
    ]
