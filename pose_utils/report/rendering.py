"""An executed notebook as a fragment of the page: no code, no scripts, headings that fit under the page's."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from pose_utils import paths
from pose_utils.errors import InputError
from pose_utils.report.markup import escape
from pose_utils.report.words import readable

DROP_OUTPUT = "drop-output"
"""Tag of the cells whose output (progress bars) is not for the page."""

_PAPERMILL_TAGS = ("papermill-error-cell-tag", "parameters", "injected-parameters")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ACTIVE = (
    "script",
    "style",
    "iframe",
    "object",
    "embed",
    "link",
    "meta",
    "base",
    "form",
    "frame",
    "svg",
    "math",
)
_ADDRESSES = (
    "href",
    "src",
    "srcset",
    "action",
    "formaction",
    "poster",
    "background",
    "data",
    "cite",
    "longdesc",
)


@dataclass(frozen=True)
class Fragment:
    """A notebook's title, as plain text, and its body, as HTML; `has_viewer` asks for the viewer's script."""

    title: str
    body: str
    has_viewer: bool


def render_notebook(path: Path, prefix: str) -> Fragment:
    """Renders an executed notebook with nbconvert's `basic` template.

    Args:
        path: The executed notebook.
        prefix: Put before every id, so that two notebooks on one page don't collide.

    Raises:
        InputError: The file is no notebook.
    """
    try:
        notebook = deepcopy(nbformat.read(path, as_version=4))
    except Exception as error:
        raise InputError(f"{path} cannot be read as a notebook: {error}") from error
    notebook.metadata.pop("widgets", None)
    notebook.cells = [_without_noise(cell) for cell in notebook.cells if not _dropped(cell)]
    body, _ = _exporter().from_notebook_node(notebook)
    return _fitted(body, prefix, path.stem)


def _exporter() -> HTMLExporter:
    settings = Config()
    # The viewer's bundle holds a widget and HTML: only the HTML lives without a kernel.
    settings.NbConvertBase.display_data_priority = [
        "text/html", "image/png", "image/jpeg", "image/webp", "text/markdown", "text/plain",
    ]  # fmt: skip
    settings.TagRemovePreprocessor.enabled = True
    settings.TagRemovePreprocessor.remove_all_outputs_tags = {DROP_OUTPUT}
    return HTMLExporter(
        template_name="basic", config=settings, exclude_input=True, exclude_input_prompt=True,
        exclude_output_prompt=True, embed_images=False,
    )  # fmt: skip


def _dropped(cell: NotebookNode) -> bool:
    return any(tag in _PAPERMILL_TAGS for tag in cell.metadata.get("tags", []))


def _without_noise(cell: NotebookNode) -> NotebookNode:
    """Takes warnings and progress bars out of a cell's outputs, and folds the traceback of an error."""
    if cell.cell_type != "code":
        return cell
    kept = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        kept.append(_failure(output) if output.output_type == "error" else output)
    cell.outputs = kept
    return cell


def _failure(output: NotebookNode) -> NotebookNode:
    trace = _ANSI.sub("", "\n".join(output.traceback))
    for folder, name in ((str(paths.ROOT), "."), (str(Path.home()), "~")):
        if len(folder) > 1:
            trace = trace.replace(folder, name)
    html = (
        '<div class="failure"><p><strong>✗ This cell failed; what follows it did not run.</strong></p>'
        f"<p>{escape(output.ename)}: {escape(_ANSI.sub('', output.evalue))}</p>"
        f"<details><summary>Where</summary><pre>{escape(trace)}</pre></details></div>"
    )
    return nbformat.v4.new_output("display_data", {"text/html": html})


def _fitted(body: str, prefix: str, name: str) -> Fragment:
    soup = BeautifulSoup(body, "html.parser")
    for element in soup(list(_ACTIVE)):
        element.decompose()
    for anchor in soup.select("a.anchor-link"):  # without them nbconvert gives headings no ids
        anchor.decompose()
    for cell in soup.select('[id^="cell-id="]'):
        del cell["id"]
    first = soup.find("h1")
    title = first.get_text(" ", strip=True) if first else readable(name)
    if first:
        first.decompose()
    for element in soup(True):
        _disarm(element)
        if re.fullmatch("h[1-5]", element.name):
            element.name = f"h{int(element.name[1]) + 1}"
        for attribute in ("id", "for", "aria-labelledby", "aria-describedby"):
            if element.get(attribute):
                element[attribute] = f"{prefix}-{element[attribute]}"
        if str(element.get("href", "")).startswith("#"):
            element["href"] = f"#{prefix}-{element['href'][1:]}"
    _in_order(soup)
    return Fragment(title, str(soup), soup.find(class_="viewer") is not None)


def _disarm(element: object) -> None:
    """Takes event handlers and every address away that would load something or run code."""
    for attribute in list(element.attrs):
        if attribute.lower().startswith("on"):
            del element[attribute]
        elif attribute.lower() in _ADDRESSES:
            address = str(element[attribute]).strip().lower()
            link = element.name == "a" and re.match(r"(https?:|mailto:|#)", address)
            if not link and not address.startswith("data:image/"):
                del element[attribute]


def _in_order(soup: BeautifulSoup) -> None:
    """Lets no heading jump a level: a reader who goes by headings would look for what isn't there."""
    level = 2
    for heading in soup(re.compile("^h[2-6]$")):
        level = min(int(heading.name[1]), level + 1)
        heading.name = f"h{level}"
