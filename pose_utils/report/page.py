"""One self-contained page of a run: answer, environment, what ran, every notebook without its code.

The page loads nothing: its policy forbids it, pictures are data, and the only script it may run is the
condition viewer's, named by its digest. It reads well without script, on paper, and in the dark.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from pose_utils.errors import InputError, PoseUtilsError
from pose_utils.report.markup import STATUS_SYMBOLS, escape
from pose_utils.report.notebooks import Outcome, read_outcomes
from pose_utils.report.page_sections import (
    Section,
    complaint,
    environment,
    published_beside_ours,
    status_matrix,
)
from pose_utils.report.rendering import render_notebook
from pose_utils.report.summary import answer
from pose_utils.report.viewer import SCRIPT
from pose_utils.report.words import readable
from pose_utils.study.records import RunFolder, write_atomic
from pose_utils.study.schemas import SCHEMAS

TITLE = "RTMDet + RTMPose on this machine"
PAGE_NAME = "report.html"


def build_page(run_dir: str | Path, target: Path | None = None, title: str = TITLE) -> Path:
    """Makes the page of whatever a run has left, be it one notebook, and publishes it by rename.

    Args:
        run_dir: Folder of the run: records, notebooks.json and executed/.
        target: Where the page goes; run_dir/report.html by default.
        title: Heading of the page.

    Returns:
        The page's path.

    Raises:
        InputError: The run folder isn't there, or the page can't be written.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise InputError(f"{run_dir} is no folder: run the notebooks first")
    info, tables, damaged = _records(run_dir)
    chapters, has_viewer = _chapters(run_dir)
    sections = [
        *damaged, *environment(info), *status_matrix(tables.get("backends.csv")),
        *published_beside_ours(tables.get("latency.parquet"), tables.get("metrics.csv")), *chapters,
    ]  # fmt: skip
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    html = _template().render(
        title=title, run_id=info.get("run_id", run_dir.resolve().name), made=info.get("created", ""),
        profile=_nested(info, "profile"), answer=answer(tables, info), sections=sections,
        css=_resource("page.css"),
        script=SCRIPT if has_viewer else "",
        script_sources=f"'sha256-{digest}'" if has_viewer else "'none'",
    )  # fmt: skip
    content = html.encode("utf-8", "backslashreplace")
    return write_atomic(target or run_dir / PAGE_NAME, lambda path: path.write_bytes(content))


def _records(run_dir: Path) -> tuple[dict[str, Any], dict[str, pd.DataFrame], list[Section]]:
    """Reads run.json and every table that is there; a damaged one becomes a remark, never an exception."""
    tables: dict[str, pd.DataFrame] = {}
    try:
        run = RunFolder(run_dir)
        info = run.info()
    except (PoseUtilsError, ValueError, KeyError, OSError) as error:
        return {}, tables, [complaint("records", "Records", [str(error)])]
    complaints = []
    for name in SCHEMAS:
        if run.has(name):
            try:
                tables[name] = run.read(name)
            except PoseUtilsError as error:
                complaints.append(str(error))
    return info, tables, [complaint("records", "Records", complaints)] if complaints else []


def _chapters(run_dir: Path) -> tuple[list[Section], bool]:
    """Returns a section for every notebook that ran, failed or was skipped."""
    executed = {path.stem: path for path in sorted((run_dir / "executed").glob("*.ipynb"))}
    try:
        outcomes = {outcome.name: outcome for outcome in read_outcomes(run_dir)}
    except PoseUtilsError:
        outcomes = {}
    sections, has_viewer = [], False
    for name in sorted({*executed, *outcomes}):
        outcome = outcomes.get(name, Outcome(name, "ok"))
        number = name.split("_")[0]
        title, body, remark = readable(name), "", ""
        if name in executed:
            try:
                fragment = render_notebook(executed[name], f"n{number}")
                title = fragment.title if fragment.title.startswith(number) else f"{number} {fragment.title}"
                body = fragment.body
                has_viewer |= fragment.has_viewer
            except InputError as error:
                remark = str(error)
        sign = ""
        if outcome.status != "ok":
            sign = f"{STATUS_SYMBOLS[outcome.status]} {outcome.status}"
            remark = remark or f"{STATUS_SYMBOLS[outcome.status]} This notebook {_became(outcome)}"
        sections.append(Section(f"n{number}", title, body, sign, remark))
    return sections, has_viewer


def _became(outcome: Outcome) -> str:
    first_line = outcome.reason.splitlines()[0] if outcome.reason else "no reason was recorded"
    return f"was skipped: {first_line}." if outcome.status == "skipped" else f"failed: {first_line}."


def _nested(info: Mapping[str, Any], key: str) -> str:
    parts = [info, *(part for part in info.values() if isinstance(part, Mapping))]
    return str(next((part[key] for part in parts if key in part), ""))


def _resource(name: str) -> str:
    return files("pose_utils.report").joinpath(name).read_text(encoding="utf-8")


def _template() -> jinja2.Template:
    def escaped(value: object) -> Markup:
        return value if isinstance(value, Markup) else Markup(escape(value))

    engine = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=escaped)
    return engine.from_string(_resource("page.html"))
