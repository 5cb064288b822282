"""What the README tells people to type exists and works."""

import argparse
import re

import pytest

from pose_utils.options import build_parser
from pose_utils.paths import ROOT
from pose_utils.zoo.specs import PUBLISHED_NAMES, SPECS

README = (ROOT / "README.md").read_text()


def commands_of(parser):
    (action,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return action.choices


def options_of(command):
    return set(commands_of(build_parser())[command]._option_string_actions)


def test_the_table_lists_every_command_and_no_other():
    assert set(re.findall(r"^\| `python -m pose_utils (\w+)", README, re.MULTILINE)) == set(
        commands_of(build_parser())
    )


def test_every_option_that_the_readme_shows_exists():
    shown = re.findall(r"python -m pose_utils (\w+)((?: --[\w-]+(?: [A-Z+\w]+)?)*)", README)
    unknown = [
        (command, option)
        for command, text in shown
        for option in re.findall(r"--[\w-]+", text)
        if option not in options_of(command)
    ]
    assert unknown == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z]+)\b", README, re.MULTILINE))))
def test_every_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_model_is_named():
    named = set(re.findall(r"`([\w-]+)`", README))
    families = {f"rtmpose-{size}" for size in "sml"}  # written as `-s`, `-m`, `-l`
    assert set(SPECS) - families <= named
    assert {"lightweight", "accurate"} <= named & set(PUBLISHED_NAMES)


@pytest.mark.network
def test_the_lines_of_python_run_as_they_stand(tmp_path, monkeypatch, capsys):
    skimage = pytest.importorskip("skimage")
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    picture = next((ROOT / skimage.__path__[0] / "data").glob("astronaut.png"))
    (tmp_path / "picture.jpg").write_bytes(picture.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("(1, 17, 2) (1, 17)")
