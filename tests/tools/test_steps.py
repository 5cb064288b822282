"""Set-up's steps: failures are explained, children are ended, kept wheels are used only where they load."""

import json
import subprocess
import sys
import time

import environment as facts
import install
import pytest
from steps import Installer


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE_DIR", str(tmp_path / "cache"))
    return Installer(tmp_path, steps=3)


def test_steps_are_numbered_and_estimated(run, capsys):
    run.title("First")
    run.title("Second", "1 min")
    assert capsys.readouterr().out.splitlines() == ["[1/3] First", "[2/3] Second (about 1 min)"]


def test_a_failed_step_shows_the_end_of_its_output_and_where_the_rest_is(run):
    with pytest.raises(facts.SetupError) as caught:
        run.run(sys.executable, "-c", "print('no room left'); raise SystemExit(3)")
    assert "no room left" in str(caught.value)
    assert str(run.log) in str(caught.value)


def test_a_step_that_outlives_its_limit_is_ended_with_its_children(run, tmp_path):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    began = time.monotonic()
    with pytest.raises(facts.SetupError):
        run.run(sys.executable, "-c", code, limit=1)
    assert time.monotonic() - began < 300, "the child was waited for"


def test_the_last_telling_line_is_shown_and_not_a_warning(run):
    run.log.write_text("Collecting torch\nDownloading torch (800 MB)\nWARNING: nothing of interest\n\n")
    assert run.last_line() == "Downloading torch (800 MB)"


class Rehearsed(Installer):
    """An installer that builds empty wheels and is told which of them load."""

    def rehearse(self, *loading):
        self.loading, self.built = iter(loading), 0
        return self

    def build(self, package, version, folder, settings):
        self.built += 1
        return facts_wheel(folder, package, version)

    def loads(self, package, wheel):
        return next(self.loading)


def facts_wheel(folder, package, version):
    import zipfile

    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{package}-{version}-{python}-{python}-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("x", "")
    return wheel


@pytest.fixture
def rehearsed(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE_DIR", str(tmp_path / "cache"))
    return Rehearsed(tmp_path, steps=1)


def test_a_kept_wheel_that_loads_is_not_compiled_again(rehearsed):
    facts_wheel(facts.wheel_folder("key"), "mmcv", "2.1.0")
    rehearsed.rehearse(True).compiled("mmcv", "2.1.0", "key", {})
    assert rehearsed.built == 0


def test_a_kept_wheel_that_does_not_load_is_compiled_anew(rehearsed):
    facts_wheel(facts.wheel_folder("key"), "mmcv", "2.1.0")
    rehearsed.rehearse(False, True).compiled("mmcv", "2.1.0", "key", {})
    assert rehearsed.built == 1


def test_a_fresh_wheel_that_does_not_load_is_an_error_and_is_not_kept(rehearsed):
    with pytest.raises(facts.SetupError, match="doesn't load"):
        rehearsed.rehearse(False).compiled("mmcv", "2.1.0", "key", {})
    assert rehearsed.built == 1
    assert facts.find_wheel(facts.wheel_folder("key"), "mmcv", "2.1.0") is None


def test_half_installed_packages_are_installed_again_after_an_interruption(tmp_path):
    packages = tmp_path / "lib/python3.11/site-packages"
    for name, files in {
        "whole-1.dist-info": ["METADATA", "RECORD"],
        "half-1.dist-info": ["METADATA"],
    }.items():
        (packages / name).mkdir(parents=True)
        for file in files:
            (packages / name / file).touch()
    install.finish_interrupted(tmp_path)
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


def test_a_finished_set_up_is_left_alone(tmp_path):
    stamp = tmp_path / facts.STAMP
    stamp.write_text(json.dumps({"digest": facts.digest(tmp_path), "gpu": "absent"}))
    done = subprocess.run(
        [sys.executable, facts.ROOT / "tools" / "install.py", "--env", tmp_path],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == [facts.STAMP], "nothing was installed"


def test_an_environment_of_another_python_is_refused_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "answers", lambda command: True)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\necho 3.8\n")
    python.chmod(0o755)
    with pytest.raises(facts.SetupError, match=r"of Python 3\.8"):
        install.make_environment(tmp_path)
    assert python.exists()
