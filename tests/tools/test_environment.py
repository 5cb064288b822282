"""Set-up's pure parts: names of wheel folders, the stamp, which wheel is taken, what the machine lacks."""

import json
import shutil
import sys
import zipfile
from types import SimpleNamespace

import environment as facts
import pytest

from pose_utils import paths

PYTHON = f"cp{sys.version_info[0]}{sys.version_info[1]}"


def write_wheel(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("module.py", "x = 1\n" * 100)
    return folder / name


def test_the_key_of_mmcv_names_torch_python_cuda_and_system():
    key = facts.wheel_key("mmcv", "2.11.0+cu130", "13.0", "2.3.5")
    assert key.startswith(f"torch2.11.0-{PYTHON}-cu130-")
    assert key == facts.wheel_key("mmcv", "2.11.0", "13.0", "1.26.4"), "mmcv's binary doesn't depend on numpy"


@pytest.mark.parametrize(
    "other",
    [
        ("mmcv", "2.13.0", "13.0", "2.3.5", False),
        ("mmcv", "2.11.0", "12.8", "2.3.5", False),
        ("mmcv", "2.11.0", None, "2.3.5", False),
        ("mmcv", "2.11.0", "13.0", "2.3.5", True),
        ("xtcocotools", "2.11.0", "13.0", "2.3.5", False),
        ("xtcocotools", "2.11.0", "13.0", "2.4.0", False),
    ],
)
def test_a_wheel_is_never_shared_with_what_it_was_not_built_for(other):
    assert facts.wheel_key(*other) != facts.wheel_key("mmcv", "2.11.0", "13.0", "2.3.5", False)


def test_xtcocotools_depends_on_numpy_and_not_on_torch():
    assert facts.wheel_key("xtcocotools", "2.11.0", "13.0", "2.3.5") == facts.wheel_key(
        "xtcocotools", "2.13.0", None, "2.3.5"
    )
    assert facts.wheel_key("xtcocotools", "2.11.0", None, "2.3.5") != facts.wheel_key(
        "xtcocotools", "2.11.0", None, "2.4.0"
    )


@pytest.mark.parametrize("chosen", [True, False])
def test_wheels_lie_in_the_cache_of_the_package(monkeypatch, tmp_path, chosen):
    if chosen:
        monkeypatch.setenv("POSE_CACHE_DIR", str(tmp_path / "elsewhere"))
    else:
        monkeypatch.delenv("POSE_CACHE_DIR", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert facts.wheel_folder("key") == (paths.cache_dir() / "wheels" / "key").resolve()


def test_the_kept_wheel_of_this_python_and_version_is_found(tmp_path):
    write_wheel(tmp_path, "mmcv-2.1.0-cp27-cp27-linux_x86_64.whl")
    write_wheel(tmp_path, f"mmcv-2.2.0-{PYTHON}-{PYTHON}-linux_x86_64.whl")
    assert facts.find_wheel(tmp_path, "mmcv", "2.1.0") is None
    wanted = write_wheel(tmp_path, f"mmcv-2.1.0-{PYTHON}-{PYTHON}-linux_x86_64.whl")
    assert facts.find_wheel(tmp_path, "mmcv", "2.1.0") == wanted


def test_a_truncated_wheel_is_no_wheel(tmp_path):
    wheel = write_wheel(tmp_path, f"mmcv-2.1.0-{PYTHON}-{PYTHON}-linux_x86_64.whl")
    wheel.write_bytes(wheel.read_bytes()[:-30])
    assert facts.find_wheel(tmp_path, "mmcv", "2.1.0") is None


def test_no_compiler_is_asked_for_while_wheels_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("POSE_CACHE_DIR", str(tmp_path))
    assert not facts.is_kept("mmcv", "2.1.0")
    write_wheel(tmp_path / "wheels" / "some-key", f"mmcv-2.1.0-{PYTHON}-{PYTHON}-linux_x86_64.whl")
    assert facts.is_kept("mmcv", "2.1.0")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "g++" in [debian for _, debian, _ in facts.lacking(compiles=True)]
    assert "g++" not in [debian for _, debian, _ in facts.lacking(compiles=False)]


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, "loads", lambda library: False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(
        facts.SetupError, match=r"apt-get install libgl1 libglib2.0-0\n.*dnf install mesa-libGL"
    ):
        facts.check_machine(tmp_path / ".venv", compiles=False)


def test_a_full_disk_is_said_before_anything_is_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, "lacking", lambda compiles: [])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3e9))
    with pytest.raises(facts.SetupError, match=r"3\.0 GB free"):
        facts.check_machine(tmp_path / ".venv", compiles=False)
    (tmp_path / ".venv/lib/python3.11/site-packages/torch").mkdir(parents=True)
    facts.check_machine(tmp_path / ".venv", compiles=False)  # what takes the room is there already


def test_a_change_of_any_requirement_asks_for_a_new_set_up(monkeypatch, tmp_path):
    before = facts.digest(tmp_path)
    assert before == facts.digest(tmp_path)
    assert before != facts.digest(tmp_path / "moved")
    assert before != facts.digest(tmp_path, cuda_ops=True)
    for name in ("REQUIREMENTS", "OPENMMLAB", "GPU", "CONSTRAINTS"):
        changed = tmp_path / name
        changed.write_text(getattr(facts, name).read_text() + "one-more==1.0\n")
        with monkeypatch.context() as patch:
            patch.setattr(facts, name, changed)
            assert facts.digest(tmp_path) != before, name


def test_the_stamp_decides_whether_anything_is_left_to_do(tmp_path):
    assert facts.read_stamp(tmp_path) == {}
    (tmp_path / facts.STAMP).write_text('{"digest": "abc", "gp')
    assert facts.read_stamp(tmp_path) == {}, "a half-written stamp is none"
    (tmp_path / facts.STAMP).write_text(json.dumps({"digest": "abc", "gpu": "absent"}))
    stamp = facts.read_stamp(tmp_path)
    assert facts.is_done(stamp, "abc", gpu="")
    assert facts.is_done(stamp, "abc", gpu="0")
    assert not facts.is_done(stamp, "abc", gpu="1"), "the extra was asked for and isn't there"
    assert facts.is_done({**stamp, "gpu": "installed"}, "abc", gpu="1")
    assert not facts.is_done(stamp, "xyz", gpu="")
    assert not facts.is_done({}, "abc", gpu="")


def test_pip_may_complain_about_chumpy_only():
    assert facts.unexpected("mmpose 1.3.2 requires chumpy, which is not installed.\n") == []
    assert facts.unexpected("No broken requirements found.\n") == []
    wrong = "nncf 3.4.0 has requirement numpy<2, but you have numpy 2.3.5."
    assert facts.unexpected(f"mmpose 1.3.2 requires chumpy, which is not installed.\n{wrong}\n") == [wrong]


def test_the_progress_of_a_build_is_read_from_its_objects(tmp_path):
    assert facts.counted_objects(tmp_path) == (0, 0)
    plan = tmp_path / "build" / "temp.linux-x86_64-cpython-311"
    (plan / "csrc").mkdir(parents=True)
    (plan / "build.ninja").write_text(
        "rule compile\nbuild a.o: compile a.cpp\nbuild csrc/b.o: compile b.cpp\n"
    )
    (plan / "csrc" / "b.o").touch()
    assert facts.counted_objects(tmp_path) == (1, 2)


def test_pins_are_read_past_markers_and_comments(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text('# about==9\nOne_Thing==1.2  # why\ntwo==3.4; sys_platform == "darwin"\nopen>=1\n')
    assert facts.pins(file) == {"one-thing": "1.2", "two": "3.4"}
