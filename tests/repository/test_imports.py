"""The house has one direction: report -> study -> runtime -> zoo -> ground, with the command line on top."""

import ast
from pathlib import Path

import pytest

from pose_utils.paths import ROOT

PACKAGE = ROOT / "pose_utils"
FLOORS = {"ground": 0, "zoo": 1, "runtime": 2, "study": 3, "report": 4, "top": 5}
# The package's own __init__ may offer names of every room.
ON_TOP = {"cli", "options", "__main__", "__init__"}


def floor_of(module: str) -> str:
    """Returns the floor of a dotted name such as `pose_utils.runtime.geometry`."""
    name = module.split(".")[1] if "." in module else "ground"
    if name in FLOORS:
        return name
    return "top" if name in ON_TOP else "ground"


def imported(source: str, package: str) -> set[str]:
    """Returns every module of pose_utils that a source imports, inside functions as well."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in found if name == "pose_utils" or name.startswith("pose_utils.")}


def dotted(path: Path) -> tuple[str, str]:
    """Returns a file's module name and the package that its relative imports start from."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts), ".".join(parts[:-1])


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_module_imports_only_its_own_floor_and_those_below(path):
    module, package = dotted(path)
    upwards = {
        name
        for name in imported(path.read_text(), package)
        if FLOORS[floor_of(name)] > FLOORS[floor_of(module)]
    }
    assert upwards == set()


@pytest.mark.parametrize(
    "line",
    [
        "import pose_utils.report.page",
        "from pose_utils import report",
        "from pose_utils.study.records import RunFolder",
        "from ..study import records",
        "def f():\n    from pose_utils.cli import main",
    ],
)
def test_an_import_upwards_is_seen(line):
    names = imported(line, "pose_utils.runtime")
    assert [floor_of(name) for name in names] in (["report"], ["study"], ["top"])


@pytest.mark.parametrize(
    "line", ["from pose_utils import types", "from .geometry import crop", "import numpy"]
)
def test_an_import_of_the_ground_or_the_own_room_is_not_upwards(line):
    assert {floor_of(name) for name in imported(line, "pose_utils.runtime")} <= {"ground", "runtime"}
