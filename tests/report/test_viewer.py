"""The condition viewer: a widget and HTML from the same cases."""

from __future__ import annotations

import numpy as np
import pytest
from bs4 import BeautifulSoup

from pose_utils.report.viewer import Case, ConditionViewer


def case(image="a.jpg", condition="clean", severity=0, caption="one person"):
    original = np.full((40, 60, 3), 90, np.uint8)
    return Case(image, condition, severity, original, original + 10, original + 20, caption)


def controls(viewer):
    return {child.description: child for child in viewer.widget().children[0].children}


def test_the_bundle_holds_widget_html_and_text():
    bundle = ConditionViewer([case()])._repr_mimebundle_()
    assert {"text/html", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert "<script" not in bundle["text/html"]


def test_every_case_is_a_figure_with_alternative_text_and_all_names_are_escaped():
    name = '<img src=x onerror="x">_1.jpg'
    soup = BeautifulSoup(ConditionViewer([case(name), case(name, "blur", 2, name)]).to_html(), "html.parser")
    assert len(soup.select("figure.case")) == 2
    assert all(image["alt"] for image in soup("img")) and not soup.select("[onerror]")
    assert soup.select_one("option").get_text() == name


def test_the_widget_computes_what_it_does_not_know_once():
    asked = []

    def compute(image, condition, severity):
        asked.append((image, condition, severity))
        return case(image, condition, severity, f"computed {severity}")

    viewer = ConditionViewer([case(), case(condition="blur", severity=3)], compute)
    box = viewer.widget()
    by_name = {child.description: child for child in box.children[0].children}
    by_name["Condition"].value = "blur"
    for severity in (5, 3, 5):
        by_name["Severity"].value = severity
    assert asked.count(("a.jpg", "blur", 5)) == 1 and ("a.jpg", "blur", 3) not in asked
    assert "computed 5" in box.children[2].value


def test_a_condition_with_one_severity_locks_the_slider():
    by_name = controls(
        ConditionViewer([case(), case(condition="blur", severity=1), case(condition="blur", severity=2)])
    )
    assert by_name["Severity"].disabled
    by_name["Condition"].value = "blur"
    assert not by_name["Severity"].disabled and tuple(by_name["Severity"].options) == (1, 2)


def test_a_threshold_reaches_the_computation():
    asked = []
    viewer = ConditionViewer(
        [case()],
        lambda *key: asked.append(key) or case(),
        severities=(1,),
        choices={"Threshold": (0.3, 0.1, 0.5)},
    )
    controls(viewer)["Threshold"].value = 0.5
    assert asked[-1] == ("a.jpg", "clean", 0, 0.5)


def test_no_case_is_refused():
    with pytest.raises(ValueError, match="at least one case"):
        ConditionViewer([])
