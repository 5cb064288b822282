"""The real widget in a real JupyterLab in headless Chromium: dragged, typed to, and saved from."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from pose_utils.paths import ROOT

CELL = """
import numpy as np, pandas as pd
from pose_utils.report.viewer import Case, ConditionViewer
asked = []
def make(image, condition, severity, threshold=0.3):
    asked.append(severity)
    picture = np.full((60, 80, 3), 40 * severity, np.uint8)
    joints = pd.DataFrame([["nose", 1, 2.0]], columns=["joint", "right", "distance, px"])
    caption = f"{condition} at severity {severity}, threshold {threshold}, computed {len(asked)}"
    pictures = (picture, picture, 255 - picture)
    return Case(image, condition, severity, *pictures, caption, picture, joints)
viewer = ConditionViewer(
    [make("a.jpg", "clean", 0)], make,
    choices={"Threshold": (0.3, 0.1, 0.5)}, conditions={"fog": (1, 2, 3, 4, 5)},
    save=lambda case, threshold: f"cases/{case.condition}-{case.severity}-{threshold}.png",
)
viewer
"""


@pytest.fixture
def laboratory(tmp_path):
    """A JupyterLab of its own on a free port, with one notebook; ended with the test."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, tmp_path / "viewer.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    homes = {name: str(tmp_path / name) for name in names}
    environment = os.environ | homes | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
             "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password=",
             f"--ServerApp.root_dir={tmp_path}", "--LabApp.news_url="],
            stdout=log, stderr=log, env=environment, cwd=tmp_path,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()[-2000:]
                time.sleep(0.5)
        yield f"{address}/lab/tree/viewer.ipynb?reset"
    finally:
        server.terminate()
        server.wait(timeout=30)


def run_first_cell(page, shown):
    """Runs the cell until its output shows: JupyterLab drops a run that comes before its kernel answers."""
    for _ in range(8):
        page.locator(".jp-Notebook .jp-Cell").first.click()
        page.keyboard.press("Control+Enter")
        with contextlib.suppress(Exception):
            return shown.wait_for(timeout=20_000)
    return shown.wait_for()


@pytest.mark.browser
@pytest.mark.slow
def test_the_widget_computes_what_the_keyboard_chooses_and_saves_it(chromium, laboratory, tmp_path):
    page = chromium.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(laboratory)
    output = page.locator(".jp-OutputArea-output")
    shown = output.get_by_text("clean at severity 0, threshold 0.3")
    run_first_cell(page, shown)
    assert page.get_by_alt_text("clean at severity 0").is_visible()

    page.get_by_label("Condition").select_option("fog")
    output.get_by_text("fog at severity 1").wait_for()
    slider = page.locator(".widget-inline-hbox", has_text="Severity").locator("[role=slider]").first
    slider.focus()
    for severity in (2, 3):
        page.keyboard.press("ArrowRight")
        output.get_by_text(f"fog at severity {severity}").wait_for()
    text = output.get_by_text("fog at severity 3").inner_text()
    assert "(expected, corrupted, found)" in text
    page.keyboard.press("ArrowLeft")  # back to what is known: nothing is computed anew
    output.get_by_text("fog at severity 2").wait_for()
    computed = int(re.search(r"computed (\d+)", output.get_by_text("fog at severity 2").inner_text())[1])
    assert computed <= 3

    output.get_by_text("Joint by joint").click()
    assert output.get_by_text("nose").is_visible()
    page.screenshot(path=os.environ.get("POSE_SCREENSHOT", str(tmp_path / "jupyterlab.png")))
    page.get_by_role("button", name="Save this case").press("Enter")
    output.get_by_text("Saved as cases/fog-2-0.3.png").wait_for()
    page.close()
