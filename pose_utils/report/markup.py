"""HTML fragments of the notebooks and the page; everything that comes from data is escaped here."""

from __future__ import annotations

import base64
import html
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

STATUS_SYMBOLS = {
    "ok": "✓", "passed": "✓", "yes": "✓", "failed": "✗", "no": "✗", "skipped": "–", "not run": "·",
    "unsure": "?",
}  # fmt: skip
"""The sign that stands beside the word of a status, so that colour is never the only one."""

MISSING = "–"


@dataclass(frozen=True)
class Shown:
    """Something a notebook cell displays: HTML for a browser, one line of text elsewhere."""

    html: str
    text: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def escape(value: object) -> str:
    """Returns `value` as text that HTML shows literally, also inside attributes.

    Bytes of a file name that are no UTF-8 and control characters become backslash escapes.
    """
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return html.escape("".join(map(_printable, text)), quote=True)


def note(text: str) -> Shown:
    """Shows the one sentence that says how to read what follows or precedes it."""
    return Shown(f'<p class="reading">{escape(text)}</p>', text)


def data_uri(content: bytes, mime: str) -> str:
    """Returns `content` as a base64 data URI, which has no space and no comma inside its data."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def status_html(status: str) -> str:
    """Returns a status as its sign and its word, with a class that colours it."""
    word = str(status)
    known = word if word in STATUS_SYMBOLS else "other"
    sign = STATUS_SYMBOLS.get(word, "")
    kind = known.replace(" ", "-")
    return f'<span class="status {kind}"><span aria-hidden="true">{sign}</span> {escape(word)}</span>'


def show_table(
    frame: pd.DataFrame,
    caption: str,
    *,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    formats: Mapping[str, str | Callable[[Any], str]] | None = None,
    status_columns: Sequence[str] = ("status", "passed"),
    max_rows: int = 200,
) -> Shown:
    """Shows a data frame as a table that a screen reader and a narrow screen can cope with.

    Args:
        frame: Rows in the order to show; the first shown column heads its row.
        caption: What the table holds, units included.
        columns: Which columns, in order; as a mapping also the headings to print for them.
        formats: Column -> format specification (".1f", ",.0f", ".1%") or a function value -> text.
        status_columns: Columns shown as sign and word.
        max_rows: Rows beyond are counted, not shown.

    Raises:
        KeyError: A column that the frame does not have.
    """
    headings = (
        dict(columns) if isinstance(columns, Mapping) else {c: str(c) for c in columns or frame.columns}
    )
    unknown = [name for name in headings if name not in frame.columns]
    if unknown:
        raise KeyError(f"no column {unknown[0]!r} in the table; there are {list(frame.columns)}")
    formats = dict(formats or {})
    if not headings:  # a table without a column would squeeze its caption into one word a line
        return Shown(f'<p class="hint">{escape(caption)}: no rows</p>', f"{caption}: no rows")
    numeric = {
        name for name in headings
        if is_numeric_dtype(frame[name]) and not is_bool_dtype(frame[name]) and name not in status_columns
    }  # fmt: skip
    head = "".join(
        f'<th scope="col"{_align(name in numeric)}>{escape(headings[name])}</th>' for name in headings
    )
    shown = frame.head(max_rows)
    rows = []
    for values in shown[list(headings)].itertuples(index=False, name=None):
        cells = []
        for position, (name, value) in enumerate(zip(headings, values, strict=True)):
            content = (
                status_html(value) if name in status_columns else escape(_formatted(value, formats.get(name)))
            )
            tag, scope = ("th", ' scope="row"') if position == 0 else ("td", "")
            cells.append(f"<{tag}{scope}{_align(name in numeric)}>{content}</{tag}>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    if not rows:
        rows.append(f'<tr><td colspan="{len(headings)}">no rows</td></tr>')
    left_out = len(frame) - len(shown)
    more = f" ({left_out} more rows are in the records)" if left_out else ""
    body = (
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption + more)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    return Shown(body, f"{caption}\n{shown[list(headings)].to_string(index=False)}")


def show_image(
    image: np.ndarray,
    alt: str,
    caption: str = "",
    *,
    order: str = "bgr",
    max_side: int = 1280,
    max_kb: int = 160,
) -> Shown:
    """Shows a picture, shrunk and compressed until it fits.

    Args:
        image: uint8 (h, w, 3), or (h, w) for grey.
        alt: What the picture shows, for those who cannot see it.
        caption: Text under the picture.
        order: "bgr" or "rgb".
        max_side: Longest side in pixels.
        max_kb: Bound of the compressed picture in kB, before base64.
    """
    content, width, height = encode_picture(image, order=order, max_side=max_side, max_kb=max_kb)
    return Shown(
        figure_html(data_uri(content, "image/webp"), None, alt, caption, width, height, "photo"), alt
    )


def encode_picture(
    image: np.ndarray, *, order: str = "bgr", max_side: int = 1280, max_kb: int = 160
) -> tuple[bytes, int, int]:
    """Returns a picture as WebP within `max_kb`, with its width and height in pixels.

    Raises:
        ValueError: Not a uint8 picture, an unknown order, or an empty picture.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"a picture is uint8 (h, w[, 3]) and not empty, got {image.dtype} {image.shape}")
    if order not in ("bgr", "rgb"):
        raise ValueError(f"order is bgr or rgb, got {order!r}")
    if order == "rgb" and image.ndim == 3:
        image = image[..., ::-1]
    scale = min(1.0, max_side / max(image.shape[:2]))
    for quality in (85, 75, 62, *[50] * 20):  # 20 more steps end below 5 % of the side
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        small = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        content = _webp(np.ascontiguousarray(small), quality)
        if len(content) <= max_kb * 1000:
            break
        scale *= 0.85
    return content, size[0], size[1]


def _webp(image: np.ndarray, quality: int) -> bytes:
    done, content = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {image.shape} as WebP")
    return content.tobytes()


def figure_html(
    light: str, dark: str | None, alt: str, caption: str, width: int, height: int, kind: str = "chart"
) -> str:
    """Returns a `<figure>` whose picture follows the reader's colour scheme; paper gets the light one."""
    if not alt.strip():
        raise ValueError("a figure needs its alternative text: say what it shows")
    source = f'<source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">' if dark else ""
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="{kind}"><div class="frame"><picture>{source}'
        f'<img src="{light}" alt="{escape(alt)}" width="{width}" height="{height}" '
        f'style="max-width:100%;height:auto"></picture></div>{text}</figure>'
    )


def _printable(char: str) -> str:
    if char.isprintable() or char in "\n\t" or unicodedata.category(char) == "Zs":
        return char
    return f"\\u{ord(char):04x}"


def _align(numeric: bool) -> str:
    return ' style="text-align:right" class="number"' if numeric else ' style="text-align:left"'


def _formatted(value: Any, rule: str | Callable[[Any], str] | None) -> str:
    missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    if missing or value == "":
        return MISSING
    if callable(rule):
        return rule(value)
    if rule is not None and not isinstance(value, str):
        return format(value, rule)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
