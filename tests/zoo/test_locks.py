"""Files in the cache: one maker at a time, and nobody waits without saying for whom."""

import subprocess
import sys

import pytest
from filelock import FileLock, Timeout

from pose_utils.zoo import locks
from pose_utils.zoo.locks import making

HOLD = """
import sys, time
from pathlib import Path
from pose_utils.zoo.locks import making
with making(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_the_folder_is_made_and_the_lock_is_free_afterwards(tmp_path, capsys):
    target = tmp_path / "exports" / "a.onnx"
    with making(target), pytest.raises(Timeout):
        assert target.parent.is_dir()
        FileLock(target.with_suffix(".lock")).acquire(timeout=0)
    with making(target):
        pass
    assert capsys.readouterr().err == ""


def test_the_lock_is_free_after_an_error(tmp_path):
    target = tmp_path / "a.onnx"
    with pytest.raises(OSError, match="disk"), making(target):
        raise OSError("disk full")
    FileLock(target.with_suffix(".lock")).acquire(timeout=0)


def test_who_waits_says_for_which_file_and_then_gets_it(tmp_path, capsys, monkeypatch):
    target = tmp_path / "a.onnx"
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.1)
    command = [sys.executable, "-c", HOLD, str(target), "1.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline().strip() == "held"
        with making(target):
            said = capsys.readouterr().err
    assert "waiting for another process, which makes a.onnx" in said and "a.lock" in said
