"""HTML fragments: escaping, tables, pictures within their bound."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from pose_utils.report.markup import encode_picture, escape, figure_html, note, show_image, show_table


@given(st.text())
def test_escaped_text_holds_no_markup_and_reads_back_as_it_was_where_printable(text):
    shown = escape(text)
    assert not set('<>"') & set(shown)
    if text.isprintable():
        assert BeautifulSoup(f"<p>{shown}</p>", "html.parser").p.get_text() == text


def test_bytes_that_are_no_utf8_and_direction_marks_are_spelt_out():
    assert escape("a\udcff\u202e\x00") == "a\\udcff\\u202e\\u0000"


def test_a_table_formats_numbers_and_names_missing_ones():
    frame = pd.DataFrame({"config": ["a", "b"], "ms": [12.345, np.nan], "n": [3, 4], "share": [0.5, 0.25]})
    soup = BeautifulSoup(
        show_table(frame, "Times", columns={"config": "row", "ms": "ms", "share": "part"},
                   formats={"ms": ".1f", "share": ".0%"}).html, "html.parser",
    )  # fmt: skip
    rows = [[cell.get_text() for cell in row(["th", "td"])] for row in soup("tr")]
    assert rows == [["row", "ms", "part"], ["a", "12.3", "50%"], ["b", "–", "25%"]]
    assert soup.caption.get_text() == "Times" and soup.div["tabindex"] == "0"
    assert "right" in soup("td")[0]["style"] and soup("th", scope="row")


def test_a_status_is_a_sign_and_a_word_and_text_is_escaped():
    frame = pd.DataFrame({"model": ["<b>"], "status": ["skipped"], "reason": ["no <GPU>"]})
    table = show_table(frame, "<i>")
    assert "<b>" not in table.html and "<GPU>" not in table.html and "<i>" not in table.html
    assert "– skipped" in BeautifulSoup(table.html, "html.parser").get_text()


def test_a_missing_column_and_too_many_rows():
    with pytest.raises(KeyError, match="no column 'x'"):
        show_table(pd.DataFrame({"a": [1]}), "t", columns=["x"])
    assert "7 more rows" in show_table(pd.DataFrame({"a": range(10)}), "t", max_rows=3).html
    assert "no rows" in show_table(pd.DataFrame({"a": []}), "t").html


def test_a_noisy_picture_is_shrunk_until_it_fits():
    noise = np.random.default_rng(0).integers(0, 255, (900, 1400, 3), dtype=np.uint8)
    content, width, height = encode_picture(noise, max_side=1280, max_kb=60)
    assert len(content) <= 60_000 and max(width, height) <= 1280
    assert width / height == pytest.approx(1400 / 900, rel=0.02)


def test_channel_order_is_respected():
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 255
    html = show_image(red, "red", order="rgb").html
    data = base64.b64decode(html.split("base64,")[1].split('"')[0])
    import cv2

    blue, _, first = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[10, 10]
    assert first > 200 and blue < 50


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)])
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(ValueError):
        encode_picture(wrong)


def test_a_figure_without_alternative_text_is_refused():
    with pytest.raises(ValueError, match="alternative text"):
        figure_html("data:,", None, " ", "", 1, 1)


def test_a_note_is_one_escaped_sentence():
    assert note("a < b").html == '<p class="reading">a &lt; b</p>' and note("a < b").text == "a < b"
