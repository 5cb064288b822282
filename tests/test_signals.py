"""SIGINT and SIGTERM end a command with its results written and a code that scripts can use."""

import json
import os
import signal

import pytest
from PIL import Image

from pose_utils import cli
from pose_utils.runtime import opening
from tests.runtime.fakes import FakePipeline


@pytest.fixture(autouse=True)
def own_handler():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_infer_writes_what_it_has_and_ends_with_130(tmp_path, monkeypatch, sign):
    (tmp_path / "in").mkdir()
    for name in "abcd":
        Image.new("RGB", (60, 80)).save(tmp_path / "in" / f"{name}.png")
    calls = iter(range(10))

    def before(image):
        if next(calls) == 2:
            os.kill(os.getpid(), sign)

    monkeypatch.setattr(opening, "open_pipeline", lambda *arguments: FakePipeline(before=before))
    assert cli.main(["infer", "--source", str(tmp_path / "in"), "--output-dir", str(tmp_path / "out")]) == 130
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["interrupted"] and results["frames"] == 2
