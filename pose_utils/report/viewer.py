"""The condition viewer: one object that is a widget in Jupyter and plain HTML in the exported page.

The page gets every case as a figure; ten lines of script turn them into a select and a slider, and without
script they are a contact sheet. `page.build_page` adds that script once and names its digest in the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cv2
import ipywidgets as widgets
import numpy as np
import pandas as pd

from pose_utils.errors import PoseUtilsError
from pose_utils.report.markup import data_uri, encode_picture, escape, show_table
from pose_utils.report.words import readable

SCRIPT = files("pose_utils.report").joinpath("viewer.js").read_text(encoding="utf-8")

_PAGE_SIDE = 400
"""Longest side of a picture on the page in pixels; it holds dozens of them."""

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
        expected: The original with who is to be found, or None where nobody knows.
        joints: A row a joint, as `joint_table` returns it, or None.
    """

    image: str
    condition: str
    severity: int
    original: np.ndarray
    corrupted: np.ndarray
    annotated: np.ndarray
    caption: str
    expected: np.ndarray | None = None
    joints: pd.DataFrame | None = None


class ConditionViewer:
    """Shows one case at a time and lets the reader choose picture, condition and severity."""

    def __init__(
        self,
        cases: Sequence[Case],
        compute: Callable[..., Case] | None = None,
        severities: Sequence[int] = (1, 2, 3, 4, 5),
        choices: Mapping[str, Sequence] | None = None,
        conditions: Mapping[str, Sequence[int]] | None = None,
        save: Callable[..., str] | None = None,
    ) -> None:
        """Takes precomputed cases, which are also what the page shows.

        Args:
            cases: At least one; their order is the order of the choices.
            compute: (image, condition, severity, *choices) -> Case; called in a live notebook for what
                `cases` doesn't hold, and kept.
            severities: What the slider offers where `compute` is given; a condition that has only
                severity 0 among `cases` keeps that.
            choices: Further things to choose from, live only: label -> values, the first of which `cases`
                were made with.
            conditions: Further conditions with their severities, live only.
            save: (case, *choices) -> where it was written; adds a button.

        Raises:
            ValueError: There is no case.
        """
        if not cases:
            raise ValueError("a viewer needs at least one case")
        self.cases = list(cases)
        self._compute, self._save = compute, save if compute else None
        self._choices = dict(choices or {}) if compute else {}
        defaults = tuple(values[0] for values in self._choices.values())
        self._known: dict[tuple, Case] = {}
        for case in self.cases:
            self._known.setdefault((case.image, case.condition, case.severity, *defaults), case)
        self._severities = {}
        for condition in dict.fromkeys(case.condition for case in self.cases):
            there = sorted({case.severity for case in self.cases if case.condition == condition})
            self._severities[condition] = (
                there if there == [0] or not compute else sorted({*there, *severities} - {0})
            )
        self._on_page = list(self._severities)
        for condition, levels in (conditions or {}).items() if compute else ():
            self._severities.setdefault(condition, list(levels))

    def case(self, image: str, condition: str, severity: int, *chosen: object) -> Case | None:
        """Returns a case that is known or can be computed, or None."""
        key = (image, condition, severity, *chosen)
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
        names = [(readable(name), name) for name in self._severities]
        condition = widgets.Dropdown(options=names, description="Condition")
        severity = widgets.SelectionSlider(options=self._severities[condition.value], description="Severity")
        further = [
            widgets.SelectionSlider(options=sorted(values), value=values[0], description=label)
            if isinstance(values[0], float)
            else widgets.Dropdown(options=list(values), description=label)
            for label, values in self._choices.items()
        ]
        controls = [picture, condition, severity, *further]
        # Not widgets.Image: it has no alternative text, and fails in JupyterLab where it is given a tooltip.
        shown, words, joints = widgets.HTML(), widgets.HTML(), widgets.HTML()

        def chosen() -> tuple:
            return tuple(control.value for control in controls)

        def show(_: Any = None) -> None:
            try:
                case = self.case(*chosen())
            except PoseUtilsError as error:  # a back end that isn't here: say so, keep the picture
                words.value = f"<p>{escape(error)}</p>"
                return
            if case is None:
                words.value = "<p>This case was not computed.</p>"
                return
            source = data_uri(_jpeg(side_by_side(case)), "image/jpeg")
            shown.value = f'<img src="{source}" alt="{escape(case.caption)}" style="max-width:100%">'
            first = "expected" if case.expected is not None else "original"
            words.value = f"<p>{escape(case.caption)} ({first}, corrupted, found)</p>"
            joints.value = "" if case.joints is None else _joints_html(case.joints)

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
        rows = [widgets.HBox(controls, layout={"flex_flow": "row wrap"}), shown, words, joints]
        if self._save is not None:
            rows.append(self._save_button(chosen, words))
        return widgets.VBox(rows)

    def _save_button(self, chosen: Callable[[], tuple], words: widgets.HTML) -> widgets.Button:
        button = widgets.Button(description="Save this case", tooltip="Writes it into the run's folder")

        def save(_: Any) -> None:
            values = chosen()
            words.value = f"<p>Saved as {escape(self._save(self.case(*values), *values[3:]))}.</p>"

        button.on_click(save)
        return button

    def to_html(self) -> str:
        """Returns every case as a figure, grouped by picture, with the controls that the script wakes."""
        images = list(dict.fromkeys(case.image for case in self.cases))
        conditions = self._on_page
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
        names = [readable(condition) for condition in conditions]
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
    name = readable(case.condition)
    return f"{name}, severity {case.severity}" if case.severity else name


def _options(texts: list[str]) -> str:
    return "".join(f'<option value="{number}">{escape(text)}</option>' for number, text in enumerate(texts))


def _picture(image: np.ndarray, alt: str) -> str:
    content, width, height = encode_picture(image, max_side=_PAGE_SIDE, max_kb=_PAGE_KB)
    return (
        f'<img src="{data_uri(content, "image/webp")}" alt="{escape(alt)}" width="{width}" height="{height}" '
        'style="max-width:100%;height:auto">'
    )


def _joints_html(joints: pd.DataFrame) -> str:
    formats = {"distance, px": ".0f", "score": ".2f"}
    table = show_table(joints, "Joints of the persons to be found", formats=formats).html
    return f"<details><summary>Joint by joint</summary>{table}</details>"


def _jpeg(image: np.ndarray) -> bytes:
    """Returns a picture for a browser on the same machine: in a tenth of the time that WebP takes."""
    done, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {image.shape} as JPEG")
    return content.tobytes()


def side_by_side(case: Case) -> np.ndarray:
    """Returns what was expected (or the original), the corrupted picture and what was found as one."""
    first = case.original if case.expected is None else case.expected
    panels = [first, case.corrupted, case.annotated]
    height = min(panel.shape[0] for panel in panels)
    return np.hstack([panel[:height] for panel in panels])
