"""How figures look: a light and a dark theme, and categories told apart by more than colour.

A notebook shows a figure with one call, `themed(plot_function, frame, alt=..., caption=...)`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pose_utils import palette
from pose_utils.report.markup import Shown, data_uri, figure_html, note, show_image, show_table

__all__ = [
    "DARK", "LIGHT", "Mark", "Theme", "current_theme", "empty_figure", "encoding", "new_figure", "note",
    "show_image", "show_table", "theme", "themed", "write_beside",
]  # fmt: skip

WIDTH = 8.6
"""Width of every chart in inches, 826 CSS pixels: the column of the page."""


@dataclass(frozen=True)
class Theme:
    """Colours of one reading mode, as "#rrggbb"."""

    name: str
    background: str
    ink: str
    muted: str
    grid: str


LIGHT = Theme("light", palette.LIGHT_BACKGROUND, palette.LIGHT_INK, palette.LIGHT_MUTED, palette.LIGHT_GRID)
DARK = Theme("dark", palette.DARK_BACKGROUND, palette.DARK_INK, palette.DARK_MUTED, palette.DARK_GRID)

_theme: ContextVar[Theme] = ContextVar("theme", default=LIGHT)


@dataclass(frozen=True)
class Mark:
    """How one category is drawn: colour together with marker, line style and hatch."""

    colour: str
    marker: str
    line: str
    hatch: str


_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", "--", "-.", ":")
_HATCHES = ("", "///", "\\\\\\", "...", "xxx", "---", "++", "ooo")


def encoding(names: Iterable[str]) -> dict[str, Mark]:
    """Returns a mark for each name, in order of first appearance; up to 8 differ without colour."""
    marks = {}
    for index, name in enumerate(dict.fromkeys(names)):
        colours = palette.CATEGORICAL
        # Names of the same colour differ in their lines too: the second round starts at the next line.
        line = _LINES[(index + index // len(_LINES)) % len(_LINES)]
        marker, hatch = _MARKERS[index % len(_MARKERS)], _HATCHES[index % len(_HATCHES)]
        marks[name] = Mark(colours[index % len(colours)], marker, line, hatch)
    return marks


def current_theme() -> Theme:
    """Returns the theme in force, for ink that rcParams do not reach."""
    return _theme.get()


@contextmanager
def theme(chosen: Theme) -> Iterator[Theme]:
    """Puts `chosen` into force for the figures made inside."""
    base = sns.axes_style("whitegrid")
    colours = {
        "figure.facecolor": chosen.background, "axes.facecolor": chosen.background,
        "savefig.facecolor": chosen.background, "text.color": chosen.ink, "axes.labelcolor": chosen.ink,
        "axes.titlecolor": chosen.ink, "axes.edgecolor": chosen.muted, "xtick.color": chosen.muted,
        "ytick.color": chosen.muted, "xtick.labelcolor": chosen.ink, "ytick.labelcolor": chosen.ink,
        "grid.color": chosen.grid, "hatch.color": chosen.background, "legend.labelcolor": chosen.ink,
    }  # fmt: skip
    sizes = {
        "font.family": "DejaVu Sans", "font.size": 10, "axes.labelsize": 10, "axes.titlesize": 11,
        "axes.titlelocation": "left", "axes.titleweight": "bold", "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "legend.fontsize": 9.5, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
        "axes.spines.left": False, "axes.linewidth": 0.8, "grid.linewidth": 0.7, "lines.linewidth": 1.8,
        "lines.markersize": 6, "hatch.linewidth": 0.9, "svg.fonttype": "path", "svg.hashsalt": "pose_utils",
        "axes.axisbelow": True, "xtick.bottom": False, "ytick.left": False,
    }  # fmt: skip
    token = _theme.set(chosen)
    try:
        with mpl.rc_context({**base, **colours, **sizes}):
            yield chosen
    finally:
        _theme.reset(token)


def new_figure(
    height: float, columns: int = 1, rows: int = 1, **options: object
) -> tuple[Figure, np.ndarray]:
    """Returns a figure of the page's width and its axes as a flat array.

    The figure is not registered with pyplot, so nothing keeps it alive and Jupyter doesn't show it twice.

    Args:
        height: In inches.
        columns: Panels side by side.
        rows: Rows of panels; the axes then come row by row.
        options: Passed on to `Figure.subplots`.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes.ravel()


def empty_figure(reason: str) -> Figure:
    """Returns a low figure that says why there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 0.8))
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, reason, ha="center", va="center", color=current_theme().muted)
    return figure


def write_beside(
    axes: Axes, text: str, point: tuple[float, float], gap: float = 7, muted: bool = False
) -> None:
    """Writes `text` `gap` points right of a point (left, where negative), clear of grid lines."""
    colours = current_theme()
    axes.annotate(text, point, (gap, 0), textcoords="offset points", va="center",
                  ha="left" if gap >= 0 else "right", color=colours.muted if muted else colours.ink,
                  bbox={"boxstyle": "square,pad=0.1", "facecolor": colours.background, "edgecolor": "none"},
                  zorder=1.5)  # fmt: skip


def themed(
    plot: Callable[..., Figure], *arguments: object, alt: str, caption: str = "", **options: object
) -> Shown:
    """Draws `plot(*arguments, **options)` in both themes and shows the one the reader's screen asks for.

    Args:
        plot: A pure function that returns a matplotlib figure.
        arguments: Its positional arguments.
        alt: What the figure shows, for those who cannot see it.
        caption: Text under the figure.
        options: Its keyword arguments.

    Returns:
        An object that Jupyter and the page display; charts as SVG, pictures as WebP, whichever is smaller.
    """
    light, size = _drawn(plot, LIGHT, arguments, options)
    dark, _ = _drawn(plot, DARK, arguments, options)
    return Shown(figure_html(light, dark, alt, caption, *size), alt)


def _drawn(
    plot: Callable[..., Figure], chosen: Theme, arguments: tuple, options: dict
) -> tuple[str, tuple[int, int]]:
    """Returns the figure under a theme as a data URI, and its width and height in CSS pixels."""
    with theme(chosen):
        figure = plot(*arguments, **options)
        width, height = (round(side * 96) for side in figure.get_size_inches())
        pictured = any(axes.images for axes in figure.axes)
        raster = _raster(figure, photographic=pictured)
        # Text in an SVG stays sharp at any zoom; a scatter of thousands of points is smaller as a picture.
        vector = None if pictured else _vector(figure)
        figure.clear()
    if vector is not None and len(vector) <= max(60_000, 1.5 * len(raster)):
        return data_uri(vector, "image/svg+xml"), (width, height)
    return data_uri(raster, "image/webp"), (width, height)


def _vector(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", buffer.getvalue().decode(), flags=re.DOTALL)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", ""), text)
    return re.sub(r"\n\s*", "\n", text).encode()


def _raster(figure: Figure, photographic: bool) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=192)
    buffer.seek(0)
    content = io.BytesIO()
    Image.open(buffer).convert("RGB").save(content, "webp", quality=82, lossless=not photographic)
    return content.getvalue()
