"""Runs the notebooks headless and strictly: an unknown parameter is an error, a failed cell is recorded.

What ran is kept as <run_dir>/executed/NAME.ipynb and <run_dir>/notebooks.json; the sources are never
written to. `page.build_page` makes the page of it, also after a failure.
"""

from __future__ import annotations

import ast
import difflib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import papermill
from tqdm import tqdm

from pose_utils import paths
from pose_utils.errors import InputError, UsageError
from pose_utils.report.kernel import PapermillExecutionError, execute
from pose_utils.runtime.backends import DEVICES
from pose_utils.study.records import write_atomic

PROFILES = ("smoke", "quick", "full")

NEEDS: Mapping[str, tuple[str, ...]] = {
    "00_setup": (),
    "06_failure_analysis": ("00_setup", "05_robustness"),
}
"""Whose records a notebook reads; one that is not listed needs only 00_setup."""

OUTCOMES = "notebooks.json"


@dataclass(frozen=True)
class Outcome:
    """What became of one notebook: ok, failed or skipped, and why."""

    name: str
    status: str
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class RunResult:
    """What became of a run. `interrupted` says that Ctrl-C ended it."""

    run_dir: Path
    outcomes: tuple[Outcome, ...]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 when every notebook ran through, 130 after Ctrl-C, 2 otherwise."""
        if self.interrupted:
            return 130
        return 0 if all(outcome.status == "ok" for outcome in self.outcomes) else 2


def run_notebooks(
    profile: str,
    models: str,
    device: str,
    seed: int,
    run_dir: str | Path,
    names: Iterable[str] | None = None,
    parameters: Mapping[str, str | int | float | bool] | None = None,
    folder: Path = paths.NOTEBOOKS,
) -> RunResult:
    """Executes the notebooks in their order; a failed one does not keep the others from running.

    Args:
        profile: smoke, quick or full.
        models: Such as "auto" or "rtmdet-nano+rtmpose-m".
        device: cpu, cuda or auto, as the notebooks say.
        seed: Of everything random.
        run_dir: Folder of the records; made if it isn't there.
        names: Which notebooks ("04", "04_benchmark"); all of them by default.
        parameters: Further parameters; text is read as the type that the notebook declares.
        folder: Where the notebooks lie.

    Raises:
        UsageError: An unknown profile, notebook or parameter, or a value of the wrong type.
        InputError: There are no notebooks, or one can't be read.
    """
    if profile not in PROFILES:
        raise _unknown("profile", profile, PROFILES)
    if device not in DEVICES:
        raise _unknown("device", device, DEVICES)
    sources = _chosen(folder, names)
    run_dir = Path(run_dir).resolve()
    if (run_dir / "executed").resolve() == Path(folder).resolve():
        raise UsageError(f"run_dir {run_dir} would overwrite the notebooks' sources: choose another folder")
    declared = {source.stem: _declared(source) for source in sources}
    common = {"profile": profile, "models": models, "device": device, "seed": seed, "run_dir": str(run_dir)}
    extra = _checked(parameters or {}, declared)
    (run_dir / "executed").mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    interrupted = False
    cells = {source.stem: _code_cells(source) for source in sources}
    with tqdm(total=sum(cells.values()), unit="cell", desc="notebooks", dynamic_ncols=True) as bar:
        for source in sources:
            name, before = source.stem, bar.n
            bar.set_description(name)
            lost = [outcome.name for outcome in outcomes if outcome.status != "ok"]
            missing = [need for need in NEEDS.get(name, ("00_setup",)) if need in lost]
            if interrupted:
                outcome = Outcome(name, "skipped", "the run was interrupted before it")
            elif missing:
                outcome = Outcome(
                    name, "skipped", f"it needs the records of {missing[0]}, which did not finish"
                )
            else:
                given = {key: value for key, value in (common | extra).items() if key in declared[name]}
                outcome, interrupted = _run_one(source, run_dir, given, bar, before + cells[name])
            if outcome.status == "skipped":
                (run_dir / "executed" / source.name).unlink(missing_ok=True)
            outcomes.append(outcome)
            bar.update(before + cells[name] - bar.n)
            _save(run_dir, outcomes)
    return RunResult(run_dir, tuple(outcomes), interrupted)


def read_outcomes(run_dir: Path) -> list[Outcome]:
    """Returns what earlier runs into `run_dir` recorded of each notebook, in the notebooks' order.

    Raises:
        InputError: The file is damaged.
    """
    path = run_dir / OUTCOMES
    if not path.is_file():
        return []
    try:
        return [Outcome(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}): delete it and run the notebooks again") from error


def _run_one(source: Path, run_dir: Path, given: dict[str, Any], bar: tqdm, end: int) -> tuple[Outcome, bool]:
    start = time.monotonic()
    target = run_dir / "executed" / source.name
    status, reason, interrupted = "ok", "", False
    # papermill adds a cell with the parameters: it counts for none, hence the comparison with `end`.
    try:
        execute(source, target, given, on_cell=lambda: bar.update(bar.n < end))
    except KeyboardInterrupt:
        status, reason, interrupted = "failed", "interrupted by Ctrl-C", True
    except PapermillExecutionError as error:
        status, reason = "failed", f"{error.ename}: {error.evalue}"
    except Exception as error:
        # The kernel died or could not start; whatever it was, the other notebooks still run.
        status, reason = "failed", f"{type(error).__name__}: {error}"
    if status == "failed":
        bar.write(f"{source.stem} failed: {reason.splitlines()[0]}")
    return Outcome(source.stem, status, reason, round(time.monotonic() - start, 1)), interrupted


def _save(run_dir: Path, outcomes: list[Outcome]) -> None:
    merged = {outcome.name: outcome for outcome in read_outcomes(run_dir)}
    merged |= {outcome.name: outcome for outcome in outcomes}
    text = json.dumps([asdict(merged[name]) for name in sorted(merged)], indent=2)
    write_atomic(run_dir / OUTCOMES, lambda target: target.write_text(text, encoding="utf-8"))


def _chosen(folder: Path, names: Iterable[str] | None) -> list[Path]:
    there = {path.stem: path for path in sorted(Path(folder).glob("[0-9]*.ipynb"))}
    if not there:
        raise InputError(f"there are no notebooks in {folder}: is this a complete clone?")
    if names is None:
        return list(there.values())
    chosen = set()
    for name in names:
        wanted = str(name).removesuffix(".ipynb")
        found = [stem for stem in there if wanted == stem or wanted == stem.split("_")[0]]
        if not found:
            raise _unknown("notebook", wanted, there)
        chosen.update(found)
    return [path for stem, path in there.items() if stem in chosen]


def _declared(source: Path) -> dict[str, dict[str, Any]]:
    """Returns the parameters of a notebook: name -> papermill's type, default and help."""
    try:
        return papermill.inspect_notebook(str(source))
    except Exception as error:
        raise InputError(f"{source} cannot be read as a notebook: {error}") from error


def _code_cells(source: Path) -> int:
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    return sum(cell["cell_type"] == "code" for cell in cells)


def _checked(parameters: Mapping[str, Any], declared: Mapping[str, Mapping]) -> dict[str, Any]:
    known = {name: entry for notebook in declared.values() for name, entry in notebook.items()}
    checked = {}
    for name, value in parameters.items():
        if name not in known:
            raise _unknown("parameter", name, known)
        checked[name] = _as_declared(name, value, known[name])
    return checked


def _as_declared(name: str, value: Any, entry: Mapping[str, Any]) -> str | int | float | bool:
    """Returns `value` as the type the notebook declares; data of other types would have to become code."""
    declared = str(entry.get("inferred_type_name") or "None")
    if declared == "None":
        declared = type(ast.literal_eval(entry["default"])).__name__
    wrong = UsageError(
        f"parameter {name} must be {declared}, got {value!r}; by default it is {entry['default']}"
    )
    if not isinstance(value, str | int | float | bool):
        raise wrong
    if declared == "bool":
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if str(value).lower() not in words:
            raise wrong
        return words[str(value).lower()]
    if declared in ("int", "float"):
        try:
            return int(str(value)) if declared == "int" else float(value)
        except ValueError:
            raise wrong from None
    return str(value)


def _unknown(kind: str, name: str, allowed: Iterable[str]) -> UsageError:
    allowed = sorted(allowed)
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"there is no {kind} {name!r}.{hint} Allowed: {', '.join(allowed)}")
