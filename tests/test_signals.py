"""Signals and disks: a command ends with one line, its results where it has any, and a code for scripts."""

import errno
import json
import os
import signal

import pytest
from PIL import Image

from pose_utils import cli
from pose_utils.runtime import opening
from tests.runtime.fakes import FakePipeline


@pytest.fixture
def interruptible():
    """SIGINT as a fresh process handles it: libraries used by earlier tests may have left it deadly."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_infer_writes_what_it_has_and_ends_with_130(tmp_path, monkeypatch, sign):
    before_it = signal.getsignal(signal.SIGTERM)
    (tmp_path / "in").mkdir()
    for name in "abcd":
        Image.new("RGB", (60, 80)).save(tmp_path / "in" / f"{name}.png")
    calls = iter(range(10))

    def before(image):
        if next(calls) == 2:
            os.kill(os.getpid(), sign)

    monkeypatch.setattr(opening, "open_pipeline", lambda *arguments: FakePipeline(before=before))
    assert cli.main(["infer", "--source", str(tmp_path / "in"), "--output-dir", str(tmp_path / "out")]) == 130
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["interrupted"] and results["frames"] == 2
    assert signal.getsignal(signal.SIGTERM) == before_it


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_one_line(monkeypatch, capsys, code):
    def fail(*arguments):
        raise OSError(code, os.strerror(code), "cache/x.onnx")

    monkeypatch.setattr(opening, "open_pipeline", fail)
    assert cli.main(["evaluate", "--images", "x", "--annotations", "y"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cache/x.onnx" in said and os.strerror(code) in said


def test_other_failures_of_the_system_are_not_hidden(monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EBADF, "a mistake of the program")

    monkeypatch.setattr(opening, "open_pipeline", fail)
    with pytest.raises(OSError):
        cli.main(["evaluate", "--images", "x", "--annotations", "y"])
