"""The page as text: what it says, what it leaves out, and that it survives missing and damaged records."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from bs4 import BeautifulSoup

from pose_utils.errors import InputError
from pose_utils.report.page import build_page
from pose_utils.study.records import RunFolder


@pytest.fixture(scope="module")
def soup(page_path):
    return BeautifulSoup(page_path.read_text(encoding="utf-8"), "html.parser")


def test_the_answer_comes_first_and_names_the_fastest_configuration(soup):
    text = soup.select_one("header .answer").get_text(" ", strip=True)
    assert "Example CPU, 2 cores" in text
    assert "openvino-bf16-cpu runs rtmdet-m+rtmpose-m fastest: 42.0 ms" in text
    assert soup.find(class_="answer").find_previous("nav") is None


def test_code_warnings_progress_bars_and_widget_state_are_not_on_the_page(page_path):
    text = page_path.read_text(encoding="utf-8")
    for absent in ("secret_code", "PROGRESSBAR", "WARNINGNOISE", "widget-view", "x" * 500):
        assert absent not in text


def test_contents_link_to_every_section(soup):
    targets = [link["href"][1:] for link in soup.select("nav a")]
    sections = [section["id"] for section in soup.select("main > section")]
    assert targets == sections == ["environment", "status", "published", "n04", "n05", "n06", "n07"]


def test_ids_are_unique_and_every_inner_link_and_label_has_its_target(soup):
    ids = [element["id"] for element in soup(id=True)]
    assert len(ids) == len(set(ids))
    wanted = {link["href"][1:] for link in soup.select('a[href^="#"]')}
    wanted |= {element["aria-labelledby"] for element in soup(attrs={"aria-labelledby": True})}
    assert wanted <= set(ids)
    assert "n04-Part" in wanted


def test_headings_never_jump_a_level(soup):
    levels = [int(heading.name[1]) for heading in soup(re.compile("^h[1-6]$"))]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_picture_has_its_alternative_text(soup):
    assert soup("img") and all(image.get("alt", "").strip() for image in soup("img"))


def test_failed_and_skipped_notebooks_say_so(soup):
    failed = soup.find(id="n06").get_text(" ", strip=True)
    assert "✗ This notebook failed" in failed and "ValueError: <b>bad</b>" in failed and "bold" in failed
    assert "it needs the records of 06_failure_analysis" in soup.find(id="n07").get_text()


def test_the_status_matrix_numbers_its_reasons(soup):
    section = soup.find(id="status")
    assert "– skipped (1)" in section.get_text(" ", strip=True).replace("  ", " ")
    assert "libnvinfer" in section.find("ol").get_text()


def test_published_figures_are_marked_and_stand_beside_ours(soup):
    section = soup.find(id="published")
    rows = {row.th.get_text(): [cell.get_text() for cell in row("td")] for row in section("tr") if row.td}
    assert rows["PyTorch full, CPU"][0] == "871.3" and float(rows["PyTorch full, CPU"][1]) == pytest.approx(
        258, abs=10
    )
    assert rows["TensorRT full, FP16"] == ["18.2", "–", "not run here"]
    assert "published on a T4" in section.get_text()


def test_nothing_points_outside(soup):
    for element in soup(True):
        for attribute in ("src", "srcset", "href", "data", "action"):
            address = element.get(attribute, "")
            assert address.startswith(("data:", "#")) or not address, address[:80]
    assert not re.search(r"url\(|@import", soup.style.string)


def test_planted_markup_is_text_everywhere(soup):
    assert soup.find("script", string=re.compile("planted")) is None
    assert not [element for element in soup(True) if any(name.startswith("on") for name in element.attrs)]
    assert "window.planted=1" in soup.find(id="environment").get_text()
    assert "window.planted=1" in soup.find(id="n04").get_text()
    assert "\u202e" not in str(soup)


def test_the_page_stays_small(page_path):
    assert page_path.stat().st_size < 1_500_000


def test_a_run_of_which_only_notebook_00_ran_still_makes_a_page(tmp_path):
    run = RunFolder.create({"versions": {"torch": "2.11.0"}}, tmp_path / "run")
    text = build_page(run.path).read_text(encoding="utf-8")
    assert "timed no whole pipeline" in text and "2.11.0" in text
    assert "script-src 'none'" in text and "<script" not in text


def test_damaged_records_become_a_remark(tmp_path):
    run = RunFolder.create({}, tmp_path / "run")
    (run.path / "parity.csv").write_bytes(b"\x00\xff")
    (run.path / "executed").mkdir()
    (run.path / "executed" / "02_onnx_export.ipynb").write_text("{<b>")
    (run.path / "notebooks.json").write_text("[")
    text = build_page(run.path).read_text(encoding="utf-8")
    assert "parity.csv" in text and "cannot be read" in text and "<b>" not in text


def test_without_run_json_the_page_is_made_and_without_a_folder_it_is_not(tmp_path):
    (tmp_path / "run").mkdir()
    assert "no run.json" in build_page(tmp_path / "run").read_text(encoding="utf-8")
    with pytest.raises(InputError):
        build_page(tmp_path / "nowhere")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    run = RunFolder.create({}, tmp_path / "run")
    page = build_page(run.path)
    page.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(InputError, match="disk full"):
        build_page(run.path)
    assert page.read_text() == "old" and not list(run.path.glob(".report*"))
