"""Records are there whole or not at all, whoever was killed and whatever disk is full."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pose_utils import paths
from pose_utils.atomic import remove_leftovers, write_atomic
from pose_utils.errors import InputError
from pose_utils.study.records import RunFolder

ROW = {
    "models": "m", "backend": "b", "precision": "fp32", "condition": "clean", "severity": 0,
    "boxes": "detected", "metric": "ap", "value": 0.5, "low": 0.4, "high": 0.6, "n": 3, "unit": "",
    "reference": "truth",
}  # fmt: skip


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_record_is_as_readable_as_any_file_of_its_user(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "a.csv", lambda path: path.write_text("x"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == mode


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_the_old_file_and_no_half_one(tmp_path, failure):
    (tmp_path / "a.csv").write_text("old")

    def write(path):
        path.write_text("half")
        raise failure

    with pytest.raises((InputError, KeyboardInterrupt)) as ended:
        write_atomic(tmp_path / "a.csv", write)
    assert names(tmp_path) == ["a.csv"] and (tmp_path / "a.csv").read_text() == "old"
    if isinstance(failure, OSError):
        assert "a.csv cannot be written: No space left on device" in str(ended.value)


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomic(tmp_path / "runs" / "a.csv", lambda path: path.write_text("x"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        write_atomic(tmp_path / "a.csv", lambda path: path.write_text("x"))


def killed_while_writing(folder):
    program = (
        "import os, sys, time; from pathlib import Path; from pose_utils.atomic import write_atomic\n"
        "def write(path):\n    path.write_text('half'); os.kill(os.getpid(), 9)\n"
        f"write_atomic(Path({str(folder)!r}) / 'a.csv', write)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=paths.ROOT).returncode == -9


def test_what_a_killed_process_left_is_cleared_at_the_next_opening_and_nothing_else(tmp_path):
    run = RunFolder.create({}, tmp_path / "run")
    killed_while_writing(run.path / "parts")
    assert [name.startswith(".a.") for name in names(run.path / "parts")] == [True]
    mine = run.path / ".mine.csv"
    mine.write_text("a hidden file of the user")
    living = []
    write_atomic(run.path / "b.csv", lambda path: (path.write_text("x"), living.extend(_opened(run.path))))
    assert len(living) == 1, "the file that is being written stays"
    assert names(run.path / "parts") == [] and mine.exists()


def _opened(folder):
    RunFolder(folder)
    return list(folder.glob(".b.*"))


def test_leftovers_of_other_machines_stay(tmp_path):
    other = tmp_path / ".a.elsewhere-1-0123abcd.temporary.csv"
    other.write_text("x")
    remove_leftovers(tmp_path)
    assert other.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run_id": 3}', "[" * 5000, "\x00"])
def test_a_damaged_run_is_said(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json"):
        RunFolder(tmp_path)


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""), lambda path: path.write_bytes(path.read_bytes()[:30]),
    lambda path: path.write_text("a,b\n1,2\n"), lambda path: path.write_bytes(b"\xff\xfe\x00,1"),
    lambda path: path.write_text(path.read_text().replace(",1\n", ",99\n")),
])  # fmt: skip
def test_a_damaged_part_is_made_again_and_never_taken_for_an_empty_one(tmp_path, damage):
    run = RunFolder.create({}, tmp_path)
    run.part("metrics.csv", "clean", lambda: [ROW])
    damage(run.part_path("metrics.csv", "clean"))
    assert not run.has_part("metrics.csv", "clean")
    assert run.part("metrics.csv", "clean", lambda: [ROW | {"value": 0.7}])["value"].tolist() == [0.7]
    assert run.has_part("metrics.csv", "clean")


def test_names_of_any_kind_come_back_from_the_tables(tmp_path):
    run = RunFolder.create({}, tmp_path)
    odd = ["new\nline", 'quote"s', "comma,", "<b>", " space ", "", "NaN", "人", "a\r\nb", "=1+1"]
    run.write("metrics.csv", [ROW | {"unit": text} for text in odd])
    assert run.read("metrics.csv")["unit"].tolist() == odd
    assert json.loads((Path(tmp_path) / "run.json").read_text())["run_id"] == tmp_path.name
