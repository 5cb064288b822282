"""The README's tree is the tree: what it lists exists, and what exists is in it."""

import re
import subprocess
from pathlib import PurePosixPath

import pytest

from pose_utils.paths import ROOT
from tests.repository.tracked import tracked


def listed_paths(block: str) -> list[str]:
    """Reads a tree, indented or drawn: one entry a line, two spaces or # before its description."""
    open_folders: list[tuple[int, str]] = []
    found = []
    for line in block.splitlines():
        match = re.match(r"^([\s│├└─|`+-]*)(\S.*)$", line)
        if not match:
            continue
        column, name = len(match[1]), re.split(r"\s{2,}|\s+#|\s+-", match[2])[0].strip()
        while open_folders and open_folders[-1][0] >= column:
            open_folders.pop()
        parent = open_folders[-1][1] if open_folders else ""
        for part in name.split():
            found.append((parent + part).rstrip("/"))
        if name.endswith("/"):
            open_folders.append((column, parent + name))
    return [path for path in found if path != "."]


def readme_tree() -> list[str]:
    text = (ROOT / "README.md").read_text()
    match = re.search(r"^## The tree\n.*?^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert match, "README.md has no fenced block after `## The tree`"
    return listed_paths(match[1])


def is_ignored(path: str) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0


def test_all_that_the_readme_lists_exists():
    tracked()  # skips outside a checkout
    absent = [path for path in readme_tree() if not (ROOT / path).exists() and not is_ignored(path + "/x")]
    assert absent == []


def test_all_at_the_top_is_in_the_readme():
    top = {path.parts[0] for path in tracked()}
    shown = {PurePosixPath(path).parts[0] for path in readme_tree()}
    assert top - shown - {".gitignore"} == set()


def test_every_module_is_in_the_readme():
    modules = {
        path.as_posix()
        for path in tracked()
        if path.parts[0] == "pose_utils" and path.suffix in {".py", ".toml"} and path.name != "__init__.py"
    }
    assert modules - set(readme_tree()) == set()


@pytest.mark.parametrize(
    "block",
    [
        "README.md  what it is\npose_utils/  the package\n  types.py  the ground\n"
        "  zoo/\n    specs.py  # models\ntests/\n",
        "├── README.md  what it is\n├── pose_utils/\n│   ├── types.py  # the ground\n│   └── zoo/\n"
        "│       └── specs.py\n└── tests/\n",
    ],
)
def test_a_tree_is_read_indented_or_drawn(block):
    assert listed_paths(block) == [
        "README.md",
        "pose_utils",
        "pose_utils/types.py",
        "pose_utils/zoo",
        "pose_utils/zoo/specs.py",
        "tests",
    ]
