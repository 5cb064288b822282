"""The page in headless Chromium: nothing leaves it, nothing fails, and it works without script."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(chromium, page_path):
    """Returns a function that opens the page in a fresh context, and what the browser asked for and said."""
    contexts = []

    def open_page(**options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.requested, page.said = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(page_path.as_uri())
        page.wait_for_load_state("load")
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_no_request_leaves_the_page_and_the_console_stays_silent(opened, page_path):
    page = opened()
    outside = [url for url in page.requested if not url.startswith("data:") and url != page_path.as_uri()]
    assert outside == [] and page.said == []


def test_every_picture_of_the_page_can_be_decoded(opened):
    page = opened()
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert page.evaluate("[...document.images].filter((image) => image.naturalWidth === 0).length") == 0
    assert page.evaluate("document.images.length") > 5


def test_planted_markup_does_nothing(opened):
    page = opened()
    assert page.evaluate("window.planted === undefined && document.querySelector('[onerror]') === null")
    assert "<script>window.planted=1</script>" in page.inner_text("#n04")


def test_the_policy_refuses_a_script_that_was_smuggled_in(chromium, page_path, tmp_path):
    text = page_path.read_text(encoding="utf-8")
    bad = tmp_path / "bad.html"
    bad.write_text(text.replace("</main>", "<script>window.smuggled=1</script></main>"), encoding="utf-8")
    page = chromium.new_page()
    page.goto(bad.as_uri())
    assert page.evaluate("window.smuggled === undefined")
    page.close()


def test_dark_and_light_are_different_pages(opened):
    shots = {}
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme, viewport={"width": 900, "height": 700})
        page.locator("#n04 .chart").first.scroll_into_view_if_needed()
        chart = page.locator("#n04 .chart img").first.screenshot()
        shots[scheme] = Image.open(io.BytesIO(chart)).convert("L")
    assert ImageChops.difference(shots["light"], shots["dark"]).getbbox() is not None
    darkness = {name: sum(shot.resize((1, 1)).tobytes()) for name, shot in shots.items()}
    assert darkness["dark"] < 100 < 180 < darkness["light"]


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_the_page_itself_never_scrolls_sideways(opened, width):
    page = opened(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_script_the_viewer_is_a_contact_sheet(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".viewer .case:visible").count() == 6
    assert page.locator(".viewer .controls:visible").count() == 0
    assert page.locator(".answer:visible").count() == 1


def test_the_viewer_is_driven_by_keyboard(opened):
    page = opened()
    shown = page.locator(".viewer .case:visible")
    assert shown.count() == 1 and "clean" in shown.inner_text()
    page.locator("[name=condition]").focus()
    page.keyboard.press("ArrowDown")
    assert "motion blur, severity 1" in shown.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert shown.count() == 1 and "severity 3" in shown.inner_text()
    assert page.locator(".viewer output").inner_text() == "3"
    page.locator("[name=picture]").focus()
    page.keyboard.press("ArrowDown")
    assert shown.count() == 0  # the second picture has no such case, and the viewer says so
    assert page.locator(".viewer output").inner_text() == "none"


def test_the_first_tab_stop_skips_to_the_content(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
