"""A finished run of made-up records and hand-made executed notebooks, and a browser to open its page in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest

from pose_utils.report import plots, style
from pose_utils.report.page import build_page
from pose_utils.report.viewer import Case, ConditionViewer
from pose_utils.study.records import RunFolder

_spec = importlib.util.spec_from_file_location("synthetic", Path(__file__).with_name("synthetic.py"))
_synthetic = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_synthetic)

PLANTED = '<script>window.planted=1</script><img src=x onerror="window.planted=1">\u202e\'&'


@pytest.fixture(scope="session")
def synthetic():
    return _synthetic


@pytest.fixture(scope="session")
def planted():
    return PLANTED


def write_executed(path, title, outputs, *, text="A paragraph with a [link](#Part).\n\n## Part"):
    """Writes a notebook as papermill leaves it: a title, then one code cell for each list of outputs."""
    cells = [nbformat.v4.new_markdown_cell(f"# {title}\n\n{text}")]
    for entry in outputs:
        shown, tags = entry if isinstance(entry, tuple) else (entry, [])
        cell = nbformat.v4.new_code_cell("secret_code()", execution_count=1, metadata={"tags": tags})
        cell.outputs = [shown if isinstance(shown, dict) and "output_type" in shown else displayed(shown)]
        cells.append(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    book = nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {"state": "x" * 1000}})
    nbformat.write(book, path)


def displayed(shown):
    return nbformat.v4.new_output("display_data", shown._repr_mimebundle_())


def picture(seed=0, size=(240, 320)):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (8, 10, 3), dtype=np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def viewer(image="street.jpg"):
    original = picture()
    cases = []
    for condition, severities in (("clean", (0,)), ("motion_blur", (1, 3, 5)), ("noise_heavy", (0,))):
        for severity in severities:
            changed = cv2.blur(original, (1 + 4 * severity,) * 2)
            caption = f"2 of 3 persons found under {condition}"
            cases.append(Case(image, condition, severity, original, changed, 255 - changed, caption))
    cases += [Case("room.jpg", "clean", 0, picture(1), picture(1), picture(1), "one person found")]
    return ConditionViewer(cases)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A run with every table, three notebooks (one failed) and a skipped one, with planted markup."""
    run = RunFolder.create(
        {"created": "2026-11-23", "parameters": {"profile": "quick"},
         "hardware": {"cpu": "Example CPU, 2 cores"},
         "versions": {"torch": "2.11.0", PLANTED: PLANTED}, "weights_sha256": {"rtmpose-m": "ab" * 32}},
        tmp_path_factory.mktemp("runs") / "run",
    )  # fmt: skip
    s = _synthetic
    backends = s.backends()
    backends.loc[backends["status"] == "failed", "reason"] = PLANTED
    run.write("backends.csv", backends)
    run.write("latency.parquet", s.latency())
    run.write("configs.csv", s.configs())
    run.write("parity.csv", s.parity())
    run.write("layers.csv", s.layers())
    run.write("metrics.csv", s.metrics())
    run.write("failures.csv", s.failures())
    folder = run.path / "executed"
    write_executed(folder / "04_benchmark.ipynb", "Benchmark", [
        style.note("OpenVINO BF16 is fastest."),
        style.themed(plots.stage_waterfall, s.latency(), alt="Where the time goes", caption=PLANTED),
        style.themed(plots.latency_by_config, s.latency(), alt="Medians", caption="Latency by configuration"),
        style.show_table(s.configs(reason=PLANTED), "Configurations", columns=["config", "status", "reason"]),
        (nbformat.v4.new_output("stream", name="stdout", text="PROGRESSBAR"), ["drop-output"]),
        nbformat.v4.new_output("stream", name="stderr", text="WARNINGNOISE"),
    ])  # fmt: skip
    write_executed(folder / "05_robustness.ipynb", f"Robustness `{PLANTED[:60]}`", [
        style.themed(plots.failure_shares, s.failures(), alt="Failures", caption="What became of them"),
        viewer(),
        style.show_image(picture(2), f"A picture {PLANTED}", "A picture"),
    ])  # fmt: skip
    error = nbformat.v4.new_output(
        "error", ename="ValueError", evalue=f"bad file {PLANTED}",
        traceback=["\x1b[0;31mValueError\x1b[0m: <b>bold</b>"],
    )  # fmt: skip
    write_executed(folder / "06_failure_analysis.ipynb", "Failures", [error])
    (run.path / "notebooks.json").write_text(
        '[{"name": "04_benchmark", "status": "ok"}, {"name": "05_robustness", "status": "ok"},'
        '{"name": "06_failure_analysis", "status": "failed", "reason": "ValueError: <b>bad</b>"},'
        '{"name": "07_more", "status": "skipped", "reason": "it needs the records of 06_failure_analysis"}]'
    )
    return run.path


@pytest.fixture(scope="session")
def page_path(run_folder):
    return build_page(run_folder)
