"""The strict runner, on small notebooks made here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import nbformat
import pytest

from pose_utils import paths
from pose_utils.errors import InputError, UsageError
from pose_utils.report.notebooks import read_outcomes, run_notebooks

PARAMETERS = (
    'profile: str = "quick"  # smoke | quick | full\nseed: int = 0\nrun_dir: str = ""\nflag: bool = False'
)


def notebook(path, *cells, parameters=PARAMETERS):
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    codes = [nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells]
    path.parent.mkdir(exist_ok=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(cells=[first, *codes], metadata={"kernelspec": kernel})
    nbformat.write(book, path)
    return path


def run(folder, run_dir, **options):
    given = {"profile": "smoke", "models": "auto", "device": "cpu", "seed": 3} | options
    return run_notebooks(run_dir=run_dir, folder=folder, **given)


def printed(run_dir, name):
    cells = nbformat.read(run_dir / "executed" / f"{name}.ipynb", as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_parameters_reach_the_notebook_and_its_source_stays_as_it_was(tmp_path):
    source = notebook(
        tmp_path / "nb" / "00_setup.ipynb", "import sys; print(profile, seed, run_dir, flag, sys.executable)"
    )
    before = source.read_bytes()
    result = run(tmp_path / "nb", tmp_path / "run", parameters={"flag": "true"})
    assert result.exit_code == 0
    assert printed(tmp_path / "run", "00_setup").split() == [
        "smoke",
        "3",
        str(tmp_path / "run"),
        "True",
        sys.executable,
    ]
    assert source.read_bytes() == before


def test_a_kernelspec_in_the_users_home_is_not_used(tmp_path, monkeypatch):
    spec = tmp_path / "home" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["/nonexistent"], "display_name": "x", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "home"))
    notebook(tmp_path / "nb" / "00_setup.ipynb", "import pose_utils; print(pose_utils.__file__)")
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path / "nb", tmp_path / "run").exit_code == 0
    assert printed(tmp_path / "run", "00_setup").startswith(str(paths.ROOT))


def test_an_unknown_parameter_is_refused_with_the_nearest_name(tmp_path):
    notebook(tmp_path / "nb" / "00_setup.ipynb", "print(1)")
    with pytest.raises(UsageError, match=r"'profil'.*Did you mean 'profile'.*Allowed: .*seed"):
        run(tmp_path / "nb", tmp_path / "run", parameters={"profil": "quick"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("flag", "maybe"), ("seed", "1.5"), ("seed", [1]), ("profile", None)]
)
def test_a_value_of_the_wrong_type_is_refused(tmp_path, name, value):
    notebook(tmp_path / "nb" / "00_setup.ipynb", "print(1)")
    with pytest.raises(UsageError, match=f"parameter {name} must be"):
        run(tmp_path / "nb", tmp_path / "run", parameters={name: value})


def test_an_unknown_profile_or_notebook_is_refused(tmp_path):
    notebook(tmp_path / "nb" / "00_setup.ipynb", "print(1)")
    with pytest.raises(UsageError, match=r"profile 'quik'.*'quick'"):
        run(tmp_path / "nb", tmp_path / "run", profile="quik")
    with pytest.raises(UsageError, match="notebook '07'"):
        run(tmp_path / "nb", tmp_path / "run", names=["07"])


def test_a_parameter_is_data_and_never_code(tmp_path):
    notebook(
        tmp_path / "nb" / "00_setup.ipynb", "print(repr(note))", parameters=PARAMETERS + '\nnote: str = ""'
    )
    planted = "\"); open('planted', 'w').close() #\n'''\\"
    result = run(tmp_path / "nb", tmp_path / "run", parameters={"note": planted})
    assert result.exit_code == 0
    assert printed(tmp_path / "run", "00_setup").strip() == repr(planted)
    assert not os.path.exists("planted")


def test_no_notebooks_and_a_damaged_one_are_clear_errors(tmp_path):
    with pytest.raises(InputError, match="no notebooks"):
        run(tmp_path, tmp_path / "run")
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb" / "00_setup.ipynb").write_text("{")
    with pytest.raises(InputError, match="00_setup"):
        run(tmp_path / "nb", tmp_path / "run")


def test_after_a_failed_cell_dependents_are_skipped_and_the_others_run(tmp_path):
    folder = tmp_path / "nb"
    notebook(folder / "00_setup.ipynb", "print(1)")
    notebook(
        folder / "05_robustness.ipynb",
        "print('before')",
        "raise ValueError('no <b>person</b>')",
        "print('after')",
    )
    notebook(folder / "06_failure_analysis.ipynb", "print(6)")
    notebook(folder / "07_more.ipynb", "print(7)")
    result = run(folder, tmp_path / "run")
    assert [outcome.status for outcome in result.outcomes] == ["ok", "failed", "skipped", "ok"]
    assert result.exit_code == 2
    assert result.outcomes[1].reason == "ValueError: no <b>person</b>"
    assert "05_robustness" in result.outcomes[2].reason
    assert printed(tmp_path / "run", "05_robustness") == "before\n"
    assert not (tmp_path / "run" / "executed" / "06_failure_analysis.ipynb").exists()


def test_a_dead_kernel_fails_its_notebook_only(tmp_path):
    notebook(tmp_path / "nb" / "00_setup.ipynb", "print(1)")
    notebook(tmp_path / "nb" / "01_demo.ipynb", "import os; os._exit(9)")
    notebook(tmp_path / "nb" / "02_more.ipynb", "print(2)")
    result = run(tmp_path / "nb", tmp_path / "run")
    assert [outcome.status for outcome in result.outcomes] == ["ok", "failed", "ok"]


def test_a_later_run_of_some_notebooks_keeps_what_is_known_of_the_others(tmp_path):
    notebook(tmp_path / "nb" / "00_setup.ipynb", "print(1)")
    notebook(tmp_path / "nb" / "01_demo.ipynb", "print(1)")
    run(tmp_path / "nb", tmp_path / "run", names=["00"])
    run(tmp_path / "nb", tmp_path / "run", names=["01_demo.ipynb"])
    assert [(outcome.name, outcome.status) for outcome in read_outcomes(tmp_path / "run")] == [
        ("00_setup", "ok"), ("01_demo", "ok"),
    ]  # fmt: skip


def test_ctrl_c_interrupts_the_cell_keeps_its_output_and_leaves_no_kernel(tmp_path):
    notebook(
        tmp_path / "nb" / "00_setup.ipynb",
        """
        import os, time
        open(os.path.join(run_dir, "pid"), "w").write(str(os.getpid()))
        print("started", flush=True)
        time.sleep(120)
    """,
    )
    notebook(tmp_path / "nb" / "01_demo.ipynb", "print(1)")
    program = (
        "import pathlib, sys; from pose_utils.report.notebooks import run_notebooks as run\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "sys.exit(run('smoke', 'auto', 'cpu', 0, folder / 'run', folder=folder / 'nb').exit_code)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=paths.ROOT, stderr=subprocess.DEVNULL)
    try:
        pid_file, end = tmp_path / "run" / "pid", time.monotonic() + 60
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    kernel = int(pid_file.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
    assert "started" in printed(tmp_path / "run", "00_setup")
    statuses = {
        entry["name"]: entry["status"]
        for entry in json.loads((tmp_path / "run" / "notebooks.json").read_text())
    }
    assert statuses == {"00_setup": "failed", "01_demo": "skipped"}
