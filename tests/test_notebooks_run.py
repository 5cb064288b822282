"""All seven notebooks, headless through the runner and top to bottom as Jupyter runs them."""

import json
import os
import signal
import sys

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from pose_utils import paths
from pose_utils.study.records import RunFolder
from pose_utils.study.schemas import SCHEMAS

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
LIMIT_S = 1500
"""For a report that takes three minutes alone: several times that beside other tests on two slow cores."""

PLANS_DEFAULT = 'profile: str = "quick"'


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory, session_cache):
    """`python -m pose_utils report --profile smoke` as a user without POSE_ASSETS_DIR runs it."""
    folder = tmp_path_factory.mktemp("smoke") / "run"
    environment = {name: value for name, value in os.environ.items() if name != "POSE_ASSETS_DIR"}
    environment |= {"POSE_CACHE_DIR": str(session_cache), "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-m", "pose_utils", "report", "--profile", "smoke", "--run-dir", str(folder)]
    said = folder.parent / "said.txt"
    with said.open("w") as stream:
        report = psutil.Popen(command, stdout=stream, stderr=stream, cwd=paths.ROOT, env=environment)
        try:
            code = report.wait(timeout=LIMIT_S)
        except psutil.TimeoutExpired:
            code = f"none after {LIMIT_S} s"
            for process in [*report.children(recursive=True), report]:
                process.send_signal(signal.SIGABRT)  # faulthandler then says where every thread stands
            psutil.wait_procs([report], timeout=10)
    assert code == 0, f"exit code {code}; it said:\n{said.read_text()[-12000:]}"
    return folder


@pytest.mark.network
@pytest.mark.slow
def test_the_smoke_report_runs_all_seven_notebooks(smoke_run):
    outcomes = json.loads((smoke_run / "notebooks.json").read_text())
    found = {entry["name"]: entry["status"] for entry in outcomes}
    assert found == {path.stem: "ok" for path in NOTEBOOKS}


@pytest.mark.network
@pytest.mark.slow
def test_every_record_of_a_report_is_there_and_readable(smoke_run):
    run = RunFolder(smoke_run)
    for table in SCHEMAS:
        assert len(run.read(table)), table


@pytest.mark.network
@pytest.mark.slow
def test_people_are_found_in_the_sample_pictures_without_any_asset_folder(smoke_run):
    persons = RunFolder(smoke_run).read("persons.parquet")
    assert "astronaut.png" in set(persons.loc[persons["condition"] == "clean", "image"])


@pytest.mark.network
@pytest.mark.slow
def test_a_row_that_cannot_run_here_is_there_with_its_reason(smoke_run):
    configs = RunFolder(smoke_run).read("configs.csv")
    lost = configs[configs["status"] != "ok"]
    assert (lost["reason"] != "").all()
    assert {"torch-fp32-cpu", "torch-fp32-cuda", "tensorrt-fp16-cuda"} <= set(configs["config"])


@pytest.mark.network
@pytest.mark.slow
def test_the_page_names_stand_in_weights_as_such(smoke_run):
    page = (smoke_run / "report.html").read_text()
    assert "demo weights that stand in for released ones" in page
    assert "movenet-multipose" in page


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.browser
def test_nothing_leaves_the_real_page_and_its_console_is_silent(smoke_run, chromium):
    page = chromium.new_page()
    requests, remarks = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: remarks.append(message.text))
    page.on("pageerror", lambda error: remarks.append(str(error)))
    page.goto((smoke_run / "report.html").as_uri())
    page.wait_for_load_state("networkidle")
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert remarks == []
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    page.close()


@pytest.mark.network
@pytest.mark.slow
def test_all_seven_run_top_to_bottom_in_jupyter(tmp_path, monkeypatch):
    """As a person does: working directory notebooks/, no parameter injected but the smaller profile."""
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    # With trained weights the search for layers that INT8 spoils would take minutes; `tests/zoo` has it.
    monkeypatch.delenv("POSE_ASSETS_DIR", raising=False)
    folder = tmp_path / "run"
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        assert PLANS_DEFAULT in parameters.source
        parameters.source = parameters.source.replace("quick", "smoke", 1)
        parameters.source = parameters.source.replace('run_dir: str = ""', f"run_dir: str = {str(folder)!r}")
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": paths.NOTEBOOKS}}
        ).execute()
    assert RunFolder(folder).has("failures.csv")
