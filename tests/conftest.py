"""One cache of its own for the whole session: nothing of the user's is read, and exports are made once."""

import os
import shutil

import numpy as np
import pytest


def pytest_configure(config):
    """Gives each worker of pytest-xdist cores of its own, and so every process that its tests start.

    The thread pools of the runtimes spin while they wait. Two workers that both use every core stop each
    other so often that a benchmark of seconds takes a quarter of an hour.
    """
    if hasattr(config, "workerinput") and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        worker, workers = int(config.workerinput["workerid"][2:]), config.workerinput["workercount"]
        os.sched_setaffinity(0, cores[worker::workers] or cores)


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory):
    """The folder that stands for the user's cache; the workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pose-cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def isolated_cache(session_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSE_CACHE_DIR", str(session_cache))
        yield session_cache


@pytest.fixture(scope="session")
def smooth_picture():
    """uint8 (240, 320, 3): smooth waves, so that a shift of a fraction of a pixel changes little."""
    y, x = np.mgrid[:240, :320]
    planes = [np.sin(x / 17 + phase) * np.cos(y / 23 - phase) for phase in (0.0, 1.0, 2.0)]
    return (127 + 120 * np.stack(planes, axis=2)).astype(np.uint8)


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium that would touch no network of its own accord."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run", "--disable-dev-shm-usage"]  # fmt: skip
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
