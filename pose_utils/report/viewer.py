"""The condition viewer: one object that is a widget in Jupyter and plain HTML in the exported page.

The page gets every case as a figure; ten lines of script turn them into a select and a slider, and without
script they are a contact sheet. `page.build_page` adds that script once and names its digest in the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import ipywidgets as widgets
import numpy as np

from pose_utils.report.markup import data_uri, encode_picture, escape

SCRIPT = files("pose_utils.report").joinpath("viewer.js").read_text(encoding="utf-8")

_PANELS = ("original", "corrupted", "annotated")
_SIDE = {"live": 640, "page": 400}
"""Longest side of a picture in pixels; a page holds dozens of them."""

_PAGE_KB = 22


@dataclass(frozen=True, eq=False)
class Case:
    """One picture under one condition.

    Attributes:
        image: Name of the picture.
        condition: Name of the condition.
        severity: 1..5, or 0 where the condition has only one.
        original, corrupted, annotated: uint8 (h, w, 3) BGR; the last with what was found.
        caption: What came of it, in words; also the alternative text.
    """

    image: str
    condition: str
    severity: int
    original: np.ndarray
    corrupted: np.ndarray
    annotated: np.ndarray
    caption: str


class ConditionViewer:
    """Shows one case at a time and lets the reader choose picture, condition and severity."""

    def __init__(
        self,
        cases: Sequence[Case],
        compute: Callable[..., Case] | None = None,
        severities: Sequence[int] = (1, 2, 3, 4, 5),
        thresholds: Sequence[float] = (),
    ) -> None:
        """Takes precomputed cases, which are also what the page shows.

        Args:
            cases: At least one; their order is the order of the choices.
            compute: (image, condition, severity) -> Case, or with `thresholds` (image, condition, severity,
                threshold) -> Case; called in a live notebook for what `cases` doesn't hold, and kept.
            severities: What the slider offers where `compute` is given; a condition that has only
                severity 0 among `cases` keeps that.
            thresholds: Detection scores to choose from, live only.

        Raises:
            ValueError: There is no case.
        """
        if not cases:
            raise ValueError("a viewer needs at least one case")
        self.cases = list(cases)
        self._compute = compute
        self._thresholds = tuple(thresholds) if compute else ()
        self._known: dict[tuple, Case] = {}
        for case in self.cases:
            self._known.setdefault((case.image, case.condition, case.severity), case)
        self._severities = {}
        for condition in dict.fromkeys(case.condition for case in self.cases):
            there = sorted({case.severity for case in self.cases if case.condition == condition})
            self._severities[condition] = (
                there if there == [0] or not compute else sorted({*there, *severities} - {0})
            )

    def case(self, image: str, condition: str, severity: int, threshold: float | None = None) -> Case | None:
        """Returns a case that is known or can be computed, or None."""
        key = (image, condition, severity) if threshold is None else (image, condition, severity, threshold)
        if key not in self._known:
            if self._compute is None:
                return None
            self._known[key] = self._compute(*key)
        return self._known[key]

    def widget(self) -> widgets.Widget:
        """Returns a live widget; every choice can be made with the keyboard."""
        picture = widgets.Dropdown(
            options=list(dict.fromkeys(case.image for case in self.cases)), description="Picture"
        )
        names = [(name.replace("_", " "), name) for name in self._severities]
        condition = widgets.Dropdown(options=names, description="Condition")
        severity = widgets.SelectionSlider(options=self._severities[condition.value], description="Severity")
        controls = [picture, condition, severity]
        threshold = None
        if self._thresholds:
            threshold = widgets.SelectionSlider(options=self._thresholds, description="Threshold")
            controls.append(threshold)
        shown, words = widgets.Image(format="webp", layout={"max_width": "100%"}), widgets.HTML()

        def show(_: Any = None) -> None:
            case = self.case(
                picture.value, condition.value, severity.value, threshold.value if threshold else None
            )
            if case is None:
                words.value = "<p>This case was not computed.</p>"
                return
            shown.value = encode_picture(_side_by_side(case), max_side=3 * _SIDE["live"], max_kb=400)[0]
            shown.alt = case.caption
            words.value = f"<p>{escape(case.caption)} (original, corrupted, found)</p>"

        def offer_severities(_: Any) -> None:
            offered = self._severities[condition.value]
            if tuple(severity.options) != tuple(offered):
                severity.options = offered  # sets the value too, whose observer shows the case
            severity.disabled = len(offered) < 2
            show()

        condition.observe(offer_severities, "value")
        for control in controls:
            if control is not condition:
                control.observe(show, "value")
        offer_severities(None)
        return widgets.VBox([widgets.HBox(controls, layout={"flex_flow": "row wrap"}), shown, words])

    def to_html(self) -> str:
        """Returns every case as a figure, grouped by picture, with the controls that the script wakes."""
        images = list(dict.fromkeys(case.image for case in self.cases))
        conditions = list(self._severities)
        parts = []
        for image in images:
            cases = [case for case in self.cases if case.image == image]
            original = _picture(cases[0].original, f"{image} as it is")
            parts.append(
                f'<p class="picture-name">{escape(image)}</p><div class="cases">'
                f'<figure class="original" data-picture="{images.index(image)}">{original}'
                "<figcaption>original</figcaption></figure>"
            )
            for case in sorted(cases, key=lambda case: (conditions.index(case.condition), case.severity)):
                parts.append(
                    f'<figure class="case" data-picture="{images.index(image)}" '
                    f'data-condition="{conditions.index(case.condition)}" data-severity="{case.severity}">'
                    f'<div class="panels">{_picture(case.corrupted, f"{image} under {_words(case)}")}'
                    f"{_picture(case.annotated, case.caption)}</div>"
                    f"<figcaption><b>{escape(_words(case))}</b>: {escape(case.caption)}</figcaption></figure>"
                )
            parts.append("</div>")
        names = [condition.replace("_", " ") for condition in conditions]
        return (
            '<div class="viewer" role="group" aria-label="Condition viewer"><div class="controls" hidden>'
            f'<label>Picture <select name="picture">{_options(images)}</select></label>'
            f'<label>Condition <select name="condition">{_options(names)}</select></label>'
            '<label>Severity <input type="range" name="severity" min="0" max="0" value="0">'
            f'<output aria-live="polite"></output></label></div>{"".join(parts)}</div>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = self.widget()._repr_mimebundle_(include=include, exclude=exclude)
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        return data | {
            "text/html": self.to_html(),
            "text/plain": f"{len(self.cases)} cases of the condition viewer",
        }


def _words(case: Case) -> str:
    name = case.condition.replace("_", " ")
    return f"{name}, severity {case.severity}" if case.severity else name


def _options(texts: list[str]) -> str:
    return "".join(f'<option value="{number}">{escape(text)}</option>' for number, text in enumerate(texts))


def _picture(image: np.ndarray, alt: str) -> str:
    content, width, height = encode_picture(image, max_side=_SIDE["page"], max_kb=_PAGE_KB)
    return (
        f'<img src="{data_uri(content, "image/webp")}" alt="{escape(alt)}" width="{width}" height="{height}" '
        'style="max-width:100%;height:auto">'
    )


def _side_by_side(case: Case) -> np.ndarray:
    panels = [getattr(case, name) for name in _PANELS]
    height = min(panel.shape[0] for panel in panels)
    return np.hstack([panel[:height] for panel in panels])
