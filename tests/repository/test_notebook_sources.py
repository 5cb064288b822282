"""Notebooks are stored clean and stay thin: logic lives in pose_utils, every parameter explains itself."""

import ast

import nbformat
import pytest

from pose_utils.paths import NOTEBOOKS

NAMES = [
    "00_setup",
    "01_inference_demo",
    "02_onnx_export",
    "03_tensorrt_build",
    "04_benchmark",
    "05_robustness",
    "06_failure_analysis",
]
COMMON = {"profile", "device", "seed", "run_dir"}
LONGEST_DEF = 5
KEPT_METADATA = {"kernelspec", "language_info"}


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(NOTEBOOKS / f"{request.param}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def python_of(cell):
    """Returns a cell's syntax tree, without lines that only IPython reads."""
    return ast.parse(
        "\n".join("" if line.startswith(("%", "!")) else line for line in cell.source.splitlines())
    )


def parameter_cells(notebook):
    return [cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", [])]


def complaints_about_parameters(source: str) -> list[str]:
    """Names every line of a parameters cell that papermill could not explain to a reader."""
    lines = source.splitlines()
    wrong = []
    for node in ast.parse(source).body:
        line = lines[node.end_lineno - 1]
        annotated = isinstance(node, ast.AnnAssign) and node.value is not None
        if not annotated or not line.partition("#")[2].strip():
            wrong.append(line)
    return wrong


def test_the_seven_notebooks_are_all_there_are():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


def test_it_is_stored_without_outputs_and_counts(notebook):
    nbformat.validate(notebook)
    assert [cell.outputs for cell in code_cells(notebook) if cell.outputs] == []
    assert [cell.execution_count for cell in code_cells(notebook) if cell.execution_count is not None] == []


def test_it_is_stored_without_traces_of_a_run(notebook):
    assert set(notebook.metadata) <= KEPT_METADATA
    traces = [key for cell in notebook.cells for key in cell.metadata if key not in {"tags"}]
    assert traces == [], "papermill and Jupyter leave times and states behind"


def test_it_opens_with_the_kernel_of_the_environment(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


def test_it_is_thin(notebook):
    for cell in code_cells(notebook):
        for node in ast.walk(python_of(cell)):
            assert not isinstance(node, ast.ClassDef), f"class {node.name} belongs into pose_utils"
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno - node.lineno < LONGEST_DEF, f"{node.name} belongs into pose_utils"


def test_it_opens_with_a_heading(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


def test_its_parameters_explain_themselves(notebook):
    (cell,) = parameter_cells(notebook)
    assert complaints_about_parameters(cell.source) == []
    given = {node.target.id for node in python_of(cell).body}
    assert given >= COMMON


@pytest.mark.parametrize(
    "line", ['profile = "quick"  # smoke | quick', 'profile: str = "quick"', "profile: str"]
)
def test_a_parameter_without_type_comment_or_default_is_noticed(line):
    assert complaints_about_parameters(line) == [line]


def test_a_whole_parameter_passes():
    assert complaints_about_parameters('profile: str = "quick"  # smoke | quick | full') == []
