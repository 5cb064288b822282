"""Signals and disks: a command ends with one line, its results where it has any, and a code for scripts."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from pose_utils import cli, paths
from pose_utils.runtime import opening
from tests.runtime.fakes import FakePipeline

DRIVER = """
import sys, time
from pathlib import Path
from pose_utils import cli
from pose_utils.runtime import opening
from tests.runtime.fakes import FakePipeline

calls = iter(range(10))

def before(image):
    if next(calls) == 2:
        Path(sys.argv[3]).touch()
        time.sleep(60)

opening.open_pipeline = lambda *arguments: FakePipeline(before=before)
sys.exit(cli.main(["infer", "--source", sys.argv[1], "--output-dir", sys.argv[2]]))
"""
"""`infer` in a process of its own, as a shell runs it; it says when it is at its third picture, and waits."""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_infer_writes_what_it_has_and_ends_with_130(tmp_path, sign):
    (tmp_path / "in").mkdir()
    for name in "abcd":
        Image.new("RGB", (60, 80)).save(tmp_path / "in" / f"{name}.png")
    out, reached = tmp_path / "out", tmp_path / "reached"
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "in"), str(out), str(reached)]
    child = subprocess.Popen(
        command, cwd=paths.ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=hear_sigint
    )
    while not reached.exists() and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(sign)
    said = child.communicate(timeout=60)[1]
    assert child.returncode == 130, said
    assert "interrupted" in said.splitlines()[-1] and "Traceback" not in said
    results = json.loads((out / "results.json").read_text())
    assert results["interrupted"] and results["frames"] == 2


def hear_sigint():
    """A child of a background job inherits SIGINT ignored; a shell's foreground command does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_a_command_leaves_the_handler_of_sigterm_as_it_was(monkeypatch, handler):
    monkeypatch.setattr(opening, "open_pipeline", lambda *arguments: FakePipeline())
    before = signal.signal(signal.SIGTERM, handler)
    try:
        assert cli.main(["assets", "list", "a-name-it-does-not-take"]) == 64
        assert signal.getsignal(signal.SIGTERM) == handler
    finally:
        signal.signal(signal.SIGTERM, before)


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
