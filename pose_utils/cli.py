"""The front door: `python -m pose_utils COMMAND`. Thin; every command calls one function of a room.

Exit codes: 0 done, 2 nothing could be done or a notebook failed, 64 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from pose_utils import paths
from pose_utils.errors import PoseUtilsError, UsageError
from pose_utils.options import USAGE, build_parser
from pose_utils.study.records import new_run_id

if TYPE_CHECKING:
    import pandas as pd

OK, NOTHING_DONE, INTERRUPTED = 0, 2, 130
_INTERRUPTED_NOTE = "pose_utils: interrupted; what was finished is kept"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""What a user can mend: a full disk, a folder that cannot be written, a failing device."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; users see one line instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names may hold bytes that are no text
    options = build_parser().parse_args(arguments)
    before = signal.getsignal(signal.SIGTERM)
    with suppress(ValueError):  # only the main thread may; SIGTERM then ends a run as Ctrl-C does
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _HANDLERS[options.command](options)
    except UsageError as error:
        print(f"pose_utils: {error}", file=sys.stderr)
        return USAGE
    except PoseUtilsError as error:
        print(f"pose_utils: {error}", file=sys.stderr)
        return NOTHING_DONE
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"pose_utils: {where}{error.strerror}; nothing half done is kept", file=sys.stderr)
        return NOTHING_DONE
    except KeyboardInterrupt:
        print(_INTERRUPTED_NOTE, file=sys.stderr)
        return INTERRUPTED
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, before)


def _infer(options: argparse.Namespace) -> int:
    from pose_utils.runtime.inference import RESULTS_FILE, Tracking, run_inference
    from pose_utils.runtime.media import open_source

    source = open_source(options.source)
    tracked = options.track or options.smooth or options.detect_every > 1
    summary = run_inference(
        _open_pipeline(options),
        source,
        options.output_dir,
        max_frames=options.max_frames,
        save_pictures=options.save_vis_count,
        video_path=options.save_video,
        progress=sys.stderr.isatty(),
        tracking=Tracking(options.detect_every, options.smooth) if tracked else None,
        show=options.show,
    )
    for skipped in summary.skipped:
        print(f"skipped {skipped['name']!r}: {_one_line(skipped['reason'])}", file=sys.stderr)
    results = options.output_dir / RESULTS_FILE
    print(
        f"{summary.persons} persons in {summary.frames} frames, {len(summary.skipped)} skipped; see {results}"
    )
    if summary.live:
        delay = summary.live["latency_ms"]
        print(
            f"from frame to picture: median {delay['median']} ms, at most {delay['max']} ms; "
            f"{summary.live['dropped']} of {summary.live['captured']} frames dropped"
        )
    if summary.interrupted:
        print(_INTERRUPTED_NOTE, file=sys.stderr)
        return INTERRUPTED
    return OK if summary.frames else NOTHING_DONE


def _evaluate(options: argparse.Namespace) -> int:
    from pose_utils.study.evaluation import evaluate

    pipeline = _open_pipeline(options, for_ap=True)
    progress = sys.stderr.isatty()
    result = asdict(evaluate(pipeline, options.images, options.annotations, options.boxes, progress))
    if options.json:
        # JSON has no NaN: a figure that nobody's presence defines is null.
        print(json.dumps({name: None if value != value else value for name, value in result.items()}))
    else:
        print("\n".join(f"{name:12} {value}" for name, value in result.items()))
    return OK


def _export(options: argparse.Namespace) -> int:
    from pose_utils.runtime.deliver import deliver, deliver_fused

    if options.fused and options.any_size:
        raise UsageError("--any-size is of the detector's own file: a fused file takes any frame as it is")
    request = (options.models, options.precision, options.weights, options.output)
    for path, note in [deliver_fused(*request)] if options.fused else deliver(*request, options.any_size):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  {note}")
    return OK


def _bench(options: argparse.Namespace) -> int:
    from pose_utils.report.reading_benchmark import bench_sentences
    from pose_utils.study.comparison import compare, comparison_sentence, read_earlier
    from pose_utils.study.records import write_atomic
    from pose_utils.study.sessions import bench

    # Before anything is timed: a wrong file shall not cost a benchmark.
    earlier = read_earlier(options.against) if options.against else None
    run, table = bench(
        options.models,
        options.persons,
        options.configs,
        options.runs,
        options.warmup,
        options.threads,
        options.images,
        options.ap_pictures,
        options.cold_start,
        options.run_dir,
    )
    if options.json:
        write_atomic(options.json, lambda path: path.write_text(table.to_json(orient="records", indent=1)))
    print(_bench_text(table))
    ran = bool((table["status"] == "ok").any())
    if ran:
        print("\n".join(bench_sentences(run)))
    if earlier is not None:
        changes = compare(earlier, table)
        print(changes.to_string(index=False, float_format="{:.3f}".format))
        print(comparison_sentence(changes))
    print(f"records: {run.path}")
    return OK if ran else NOTHING_DONE


def _bench_text(table: pd.DataFrame) -> str:
    """Columns that say something, the rows that ran first; reasons of the others below them."""
    hidden = ["block_medians_ms", "provider_used", "status", "reason", "cold_start", "boxes"]
    ran = table[table["status"] == "ok"].drop(columns=hidden, errors="ignore").dropna(axis=1, how="all")
    lost = table[table["status"] != "ok"]
    lines = [ran.to_string(index=False, float_format="{:.2f}".format, na_rep="not told")]
    if "reason" in lost:
        lines += [f"{row.config} {row.status}: {row.reason}" for row in lost.itertuples()]
    return "\n".join(lines)


def _robustness(options: argparse.Namespace) -> int:
    from pose_utils.study.sessions import robustness

    run, metrics = robustness(
        _open_pipeline(options, for_ap=options.annotations is not None),
        options.images,
        options.annotations,
        options.conditions,
        options.max_images,
        options.seed,
        options.run_dir,
    )
    columns = ["condition", "severity", "boxes", "metric", "value", "low", "high", "n"]
    print(metrics[columns].to_string(index=False, float_format="{:.3f}".format))
    print(f"records: {run.path}")
    return OK


def _report(options: argparse.Namespace) -> int:
    from pose_utils.report.notebooks import run_notebooks
    from pose_utils.report.page import build_page
    from pose_utils.study.material import choose_material

    given = {"images": options.images, "annotations": options.annotations}
    # The notebooks run in a folder of their own.
    pictures = {name: str(path.resolve()) for name, path in given.items() if path is not None}
    if pictures:
        choose_material(**pictures)  # what is wrong with them is said now, not after four notebooks
    run_dir = options.run_dir or paths.RUNS / new_run_id()
    result = run_notebooks(
        options.profile, options.models, options.device, options.seed, run_dir, options.notebooks or None,
        pictures,
    )  # fmt: skip
    for outcome in result.outcomes:
        if outcome.status != "ok":
            print(f"{outcome.name} {outcome.status}: {outcome.reason}", file=sys.stderr)
    print(f"page: {build_page(run_dir)}")
    return result.exit_code


def _assets(options: argparse.Namespace) -> int:
    from pose_utils.zoo import inventory
    from pose_utils.zoo.coco import fetch_coco

    if options.names and options.action != "fetch":
        raise UsageError(f"assets {options.action} takes no names")
    if options.action == "coco":
        print(f"COCO val2017 is in {fetch_coco().images}")
        return OK
    actions = {"list": inventory.list_assets, "verify": inventory.verify_assets}
    table = inventory.fetch_assets(options.names) if options.action == "fetch" else actions[options.action]()
    shown = [
        name for name in ("name", "status", "megabytes", "verified", "licence", "problem") if name in table
    ]
    print(table[shown].to_string(index=False, float_format="{:.1f}".format))
    failed = (table["status"] == "wrong").any() or ("problem" in table and (table["problem"] != "").any())
    return NOTHING_DONE if failed else OK


def _one_line(text: str) -> str:
    """Spells out line breaks and what else a terminal would obey; file names may hold it."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _open_pipeline(options: argparse.Namespace, for_ap: bool = False) -> object:
    from pose_utils.runtime.opening import open_pipeline

    return open_pipeline(
        options.models,
        options.backend,
        options.precision,
        options.device,
        options.threads,
        options.min_score,
        for_ap,
    )


_HANDLERS = {
    "infer": _infer,
    "evaluate": _evaluate,
    "export": _export,
    "bench": _bench,
    "robustness": _robustness,
    "report": _report,
    "assets": _assets,
}
