"""Every version lives once, pip and conda get the same, and these tests run in that environment."""

import importlib.metadata
import re
import subprocess
import tomllib

import environment as facts
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pose_utils.paths import ROOT

FILES = [facts.REQUIREMENTS, facts.OPENMMLAB, facts.GPU, facts.CONSTRAINTS]
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"}
ARM = {"sys_platform": "linux", "platform_machine": "aarch64", "platform_system": "Linux"}
MAC = {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin"}


def requirements(file):
    lines = (line.split(" #")[0].strip() for line in file.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def names(file):
    return {canonicalize_name(requirement.name) for requirement in requirements(file)}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_line_is_pinned_to_one_version(file):
    open_ended = [str(r) for r in requirements(file) if not re.fullmatch(r"==[^*,]+", str(r.specifier))]
    if file == facts.GPU:  # its version is requirements.txt's; here it only asks for the extras
        open_ended.remove("onnxruntime-gpu[cuda,cudnn]")
    assert open_ended == []


def test_each_version_lives_in_one_file():
    listed = [(name, file.name) for file in FILES for name in names(file)]
    twice = {name for name, _ in listed if [other for other, _ in listed].count(name) > 1}
    assert twice == {"onnxruntime-gpu"}  # the GPU extra names it without a version


@pytest.mark.parametrize(
    ("machine", "wanted"), [(LINUX, "onnxruntime-gpu"), (ARM, "onnxruntime"), (MAC, "onnxruntime")]
)
def test_each_platform_gets_exactly_one_onnx_runtime(machine, wanted):
    chosen = [
        r.name
        for r in requirements(facts.REQUIREMENTS)
        if r.name.startswith("onnxruntime") and r.marker.evaluate(machine)
    ]
    assert chosen == [wanted]


def test_there_is_exactly_one_opencv():
    everywhere = set().union(*(names(file) for file in FILES))
    assert {name for name in everywhere if name.startswith("opencv")} == {"opencv-python"}


def test_setuptools_still_has_pkg_resources():
    assert int(facts.pins(facts.REQUIREMENTS)["setuptools"].split(".")[0]) < 81


def test_conda_gets_the_same_pins_as_pip():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (through_pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert through_pip == ["-r requirements.txt", "-c requirements/constraints.txt"]
    from_conda = {re.split(r"[<>=]", entry)[0] for entry in dependencies if isinstance(entry, str)}
    assert from_conda.isdisjoint(names(facts.REQUIREMENTS) | names(facts.CONSTRAINTS)), (
        "two sources of one package"
    )
    assert {"python", "pip", "cxx-compiler", "make"} <= from_conda


def test_all_files_agree_on_python():
    wanted = SpecifierSet(project()["requires-python"])
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert (
        SpecifierSet(next(d for d in dependencies if str(d).startswith("python")).removeprefix("python"))
        == wanted
    )
    first, last = re.search(r"\((\d, \d+)\) <= sys.version_info\[:2\] <= \((\d, \d+)\)", makefile()).groups()
    fitting = [f"3.{minor}" for minor in range(20) if wanted.contains(f"3.{minor}")]
    assert [first.replace(", ", "."), last.replace(", ", ".")] == [fitting[0], fitting[-1]]


def test_this_environment_is_the_one_that_the_files_describe():
    wanted = [*requirements(facts.REQUIREMENTS), *requirements(facts.OPENMMLAB)]
    other = {}
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            installed = "nothing"
        if not requirement.specifier.contains(installed.split("+")[0] if installed != "nothing" else "0"):
            other[str(requirement)] = installed
    assert other == {}, "run `make setup`"


def makefile():
    return (ROOT / "Makefile").read_text()


def test_make_alone_lists_every_target_with_what_it_does():
    targets = re.search(r"^\.PHONY:(.*)$", makefile(), re.MULTILINE)[1].split()
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    described = dict(re.findall(r"^  make (\w+) +(\S.*)$", listed.stdout, re.MULTILINE))
    assert sorted(described) == sorted(targets)
    assert {"setup", "report", "smoke", "test", "lab", "bench", "lint", "clean", "help"} <= set(targets)


def test_make_notices_a_change_of_every_file_that_set_up_reads():
    inputs = (
        re.search(r"^SETUP_INPUTS := ((?:.*\\\n)*.*)$", makefile(), re.MULTILINE)[1]
        .replace("\\\n", " ")
        .split()
    )
    tools, waiting = set(), ["install"]  # and what it imports; other tools measure and install nothing
    while waiting:
        name = waiting.pop()
        tools.add(f"tools/{name}.py")
        imported = re.findall(
            r"^\s*(?:from|import) (\w+)", (ROOT / "tools" / f"{name}.py").read_text(), re.MULTILINE
        )
        here = {each for each in imported if (ROOT / "tools" / f"{each}.py").is_file()}
        waiting += [each for each in here if f"tools/{each}.py" not in tools]
    wanted = [file.relative_to(ROOT).as_posix() for file in FILES] + sorted(tools)
    assert sorted(inputs) == sorted(wanted)


def test_continuous_integration_runs_the_test_command_of_the_readme():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"
    assert "make test" in (ROOT / "README.md").read_text()
