import hashlib
import os
import subprocess
import sys
import threading

import pytest

from pose_utils.errors import UsageError
from pose_utils.zoo import assets, inventory
from pose_utils.zoo.assets import AssetError, available, fetch, locate, verify
from pose_utils.zoo.manifest import LocalFile, WrongFile


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    (folder / "models").mkdir(parents=True)
    monkeypatch.setenv("POSE_ASSETS_DIR", str(folder))
    return folder


def test_the_users_folder_goes_before_cache_and_network(server, make_asset, own_folder):
    make_asset(content=b"right", sources=(server.gives("/f", b"right"),))
    fetch("thing.bin")
    (own_folder / "models" / "thing.bin").write_bytes(b"right")
    assert fetch("thing.bin") == own_folder / "models" / "thing.bin"


def test_the_published_file_name_is_found_too(make_asset, own_folder):
    make_asset("m.bin", content=b"right", sources=("https://host/weights-0a1b2c3d.bin",))
    (own_folder / "weights-0a1b2c3d.bin").write_bytes(b"right")
    assert locate("m.bin") == own_folder / "weights-0a1b2c3d.bin"


def test_a_re_export_is_verified_by_its_own_digest(make_asset, own_folder):
    (own_folder / "models" / "other.bin").write_bytes(b"folded weights")
    make_asset("m.bin", sha256=("0" * 64,), local=(LocalFile("models/other.bin", "1" * 64, "folded"),))
    with pytest.raises(WrongFile):
        locate("m.bin")
    digest = hashlib.sha256(b"folded weights").hexdigest()
    make_asset("m.bin", sha256=("0" * 64,), local=(LocalFile("models/other.bin", digest, "folded"),))
    assert verify("m.bin") == "sha256 of a re-export (folded)"


def test_a_wrong_file_in_the_users_folder_is_an_error_and_not_passed_over(server, make_asset, own_folder):
    make_asset(content=b"right", sources=(server.gives("/f", b"right"),))
    (own_folder / "thing.bin").write_bytes(b"wrong")
    with pytest.raises(WrongFile, match="POSE_ASSETS_TRUST"):
        fetch("thing.bin")
    assert not available("thing.bin")
    assert server.requests == []


def test_a_damaged_file_in_the_cache_is_named(server, make_asset):
    make_asset(content=b"right", sources=(server.gives("/f", b"right"),))
    fetch("thing.bin").write_bytes(b"wrong")
    with pytest.raises(WrongFile, match="Delete it to fetch it again"):
        fetch("thing.bin")


def test_an_unverified_file_that_changes_later_is_noticed(server, make_asset):
    make_asset(unverified_reason="none is known", sources=(server.gives("/f", b"first"),))
    path = fetch("thing.bin")
    assert verify("thing.bin") == "not verified: none is known"
    path.write_bytes(b"other")
    with pytest.raises(WrongFile, match="has changed since it was fetched"):
        locate("thing.bin")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_offline_asks_nobody_and_says_where_to_put_the_file(server, make_asset, monkeypatch, how):
    make_asset(content=b"right", sources=(server.gives("/f", b"right"),))
    if how == "variable":
        monkeypatch.setenv("POSE_OFFLINE", "1")
    with pytest.raises(AssetError, match=r"no network is used.*\n.*put it as thing\.bin into") as caught:
        fetch("thing.bin", offline=True if how == "argument" else None)
    assert server.url("/f") in str(caught.value)
    assert server.requests == []


def test_looking_for_a_file_never_asks_the_network(server, make_asset):
    make_asset(content=b"right", sources=(server.gives("/f", b"right"),))
    assert locate("thing.bin") is None
    assert not available("thing.bin")
    with pytest.raises(AssetError, match="not on this machine"):
        verify("thing.bin")
    assert server.requests == []


def test_importing_the_room_asks_nobody_and_writes_nothing(tmp_path):
    code = """
import sys
watched, seen = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen"}, []
sys.addaudithook(lambda event, args: seen.append(event) if event in watched else None)
from pose_utils.zoo import assets, choice, coco, inventory, samples
sys.exit(", ".join(seen) or 0)
"""
    environment = os.environ | {"POSE_CACHE_DIR": str(tmp_path / "empty")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=assets.paths.ROOT)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "empty").exists()


def test_two_processes_fetch_a_file_once(server, make_asset, own_cache):
    content, held = bytes(300_000), threading.Event()

    def slow(handler):
        held.wait(0.5)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    server.answers["/f"] = slow
    entry = make_asset(content=content, sources=(server.url("/f"),))
    code = (
        "import sys\nfrom types import MappingProxyType\nfrom pose_utils.zoo import assets, manifest\n"
        "entry = manifest.Asset('thing.bin', '', (sys.argv[1],), '', '', sha256=(sys.argv[2],))\n"
        "manifest.manifest = lambda: MappingProxyType({'thing.bin': entry})\n"
        "print(assets.fetch('thing.bin'))\n"
    )
    command = [sys.executable, "-c", code, server.url("/f"), entry.sha256[0]]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=assets.paths.ROOT) for _ in range(2)
    ]
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.strip() == str(own_cache / "assets" / "thing.bin")
    assert len(server.requests) == 1


def test_the_table_tells_present_missing_and_wrong(server, make_asset, own_folder):
    make_asset("a.bin", content=b"right", sources=(server.gives("/a", b"right"),))
    make_asset("b.bin", content=b"b", size=2_500_000)
    make_asset("c.bin", content=b"c")
    (own_folder / "c.bin").write_bytes(b"wrong")
    fetch("a.bin")
    rows = inventory.list_assets().set_index("name")
    assert rows["status"].to_dict() == {"a.bin": "cache", "b.bin": "missing", "c.bin": "wrong"}
    assert rows.loc["a.bin", "verified"] == "sha256"
    assert rows.loc["b.bin", "megabytes"] == 2.5
    assert "POSE_ASSETS_TRUST" in rows.loc["c.bin", "verified"]
    assert list(inventory.verify_assets()["name"]) == ["a.bin", "c.bin"]


def test_fetching_several_goes_on_after_a_failure_and_reports_it(server, make_asset, answer_status):
    server.answers["/a"] = answer_status(404)
    make_asset("a.bin", content=b"a", sources=(server.url("/a"),))
    make_asset("b.bin", content=b"b", sources=(server.gives("/b", b"b"),))
    rows = inventory.fetch_assets(["a.bin", "b.bin"]).set_index("name")
    assert rows["status"].to_dict() == {"a.bin": "missing", "b.bin": "cache"}
    assert "HTTP 404" in rows.loc["a.bin", "problem"] and rows.loc["b.bin", "problem"] == ""


def test_an_unknown_name_among_several_fetches_nothing(server, make_asset):
    make_asset("b.bin", content=b"b", sources=(server.gives("/b", b"b"),))
    with pytest.raises(UsageError):
        inventory.fetch_assets(["b.bin", "c.bin"])
    assert server.requests == []
