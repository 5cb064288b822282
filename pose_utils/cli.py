"""The front door: `python -m pose_utils COMMAND`. Thin; every command calls one function of a room.

Exit codes: 0 done, 1 done in part (a notebook failed), 2 nothing could be done, 64 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from pose_utils.errors import PoseUtilsError, UsageError

OK, PARTLY, NOTHING_DONE, USAGE, INTERRUPTED = 0, 1, 2, 64, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; users see one line instead of a traceback."""
    options = build_parser().parse_args(arguments)
    try:
        return options.handler(options)
    except UsageError as error:
        print(f"pose_utils: {error}", file=sys.stderr)
        return USAGE
    except PoseUtilsError as error:
        print(f"pose_utils: {error}", file=sys.stderr)
        return NOTHING_DONE
    except KeyboardInterrupt:
        print("pose_utils: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of every command; the README's table of commands is checked against it."""
    parser = _Parser(prog="python -m pose_utils", description="Multi-person pose estimation, measured.")
    commands = parser.add_subparsers(title="commands", required=True, parser_class=_Parser, metavar="COMMAND")
    _add_infer(commands)
    _add_evaluate(commands)
    _add_export(commands)
    _add_bench(commands)
    _add_robustness(commands)
    _add_report(commands)
    _add_assets(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction, name: str, handler: object, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(handler=handler)
    return command


def _add_pipeline_options(command: argparse.ArgumentParser, models: str = "auto") -> None:
    command.add_argument(
        "--models", default=models, metavar="D+P", help=f"such as rtmdet-nano+rtmpose-m (default {models})"
    )
    command.add_argument("--backend", default=None, help="default: openvino where it runs, else onnxruntime")
    command.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16", "int8"))
    command.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    command.add_argument("--threads", type=_positive, default=None, help="CPU threads (default: all cores)")
    command.add_argument("--min-score", type=_share, default=None, help="least score of a person's box")


def _add_infer(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "infer", _infer, "find people in pictures, a video or a camera")
    command.add_argument(
        "--source", required=True, help="picture, folder, glob, video, webcam index or RTSP address"
    )
    command.add_argument("--output-dir", type=Path, default=Path("results"))
    _add_pipeline_options(command)
    command.add_argument("--max-frames", type=_positive, default=None)
    command.add_argument(
        "--save-vis-count", type=_natural, default=None, help="annotated pictures to write at most"
    )
    command.add_argument(
        "--save-video", type=Path, default=None, metavar="FILE", help="annotated video, .mp4 or .avi"
    )


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "evaluate", _evaluate, "measure AP on a COCO keypoint set")
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--annotations", type=Path, required=True)
    command.add_argument("--boxes", default="detected", choices=("detected", "truth"))
    _add_pipeline_options(command)
    command.add_argument("--json", action="store_true", help="end with one line of JSON")


def _add_export(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "export", _export, "write the ONNX files of a pipeline")
    command.add_argument("--models", required=True, metavar="D+P")
    command.add_argument("--precision", default="fp32", choices=("fp32", "fp16"))
    command.add_argument("--weights", default="auto", choices=("auto", "trained", "random"))
    command.add_argument("--output", type=Path, default=Path("exports"), help="folder for the files")


def _add_bench(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "bench", _bench, "time every back end of this machine")
    command.add_argument("--models", default="rtmdet-m+rtmpose-m", metavar="D+P")
    command.add_argument("--persons", type=_numbers, default=(1, 4), metavar="N,...")
    command.add_argument("--configs", type=_names, default=(), metavar="NAME,...", help="default: all")
    command.add_argument("--runs", type=_positive, default=30)
    command.add_argument("--warmup", type=_positive, default=5)
    command.add_argument("--threads", type=_positive, default=None)
    command.add_argument("--images", type=Path, default=None, help="a folder of your own pictures")
    command.add_argument("--json", type=Path, default=None, metavar="FILE")


def _add_robustness(commands: argparse._SubParsersAction) -> None:
    command = _command(
        commands, "robustness", _robustness, "measure accuracy under blur, darkness, noise and occlusion"
    )
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--annotations", type=Path, default=None)
    command.add_argument("--max-images", type=_positive, default=None)
    command.add_argument("--conditions", type=_names, default=("published",), metavar="NAME,...")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--run-dir", type=Path, default=None, help="continue in this run folder")
    _add_pipeline_options(command)


def _add_report(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "report", _report, "run the seven notebooks and write the page")
    command.add_argument("--profile", default="quick", choices=("smoke", "quick", "full"))
    command.add_argument("--models", default="auto", metavar="D+P")
    command.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--notebooks", type=_names, default=(), metavar="NAME,...", help="default: all seven"
    )
    command.add_argument("--run-dir", type=Path, default=None, help="continue in this run folder")


def _add_assets(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "assets", _assets, "list, fetch or verify models and data")
    command.add_argument("action", nargs="?", default="list", choices=("list", "fetch", "verify", "coco"))
    command.add_argument("names", nargs="*", help="what to fetch (default: everything but COCO)")


def _infer(options: argparse.Namespace) -> int:
    from pose_utils.runtime.inference import RESULTS_FILE, run_inference
    from pose_utils.runtime.media import open_source

    source = open_source(options.source)
    summary = run_inference(
        _open_pipeline(options),
        source,
        options.output_dir,
        max_frames=options.max_frames,
        save_pictures=options.save_vis_count,
        video_path=options.save_video,
        progress=sys.stderr.isatty(),
    )
    for skipped in summary.skipped:
        print(f"skipped {skipped['name']!r}: {skipped['reason']}", file=sys.stderr)
    results = options.output_dir / RESULTS_FILE
    print(
        f"{summary.persons} persons in {summary.frames} frames, {len(summary.skipped)} skipped; see {results}"
    )
    if summary.interrupted:
        return INTERRUPTED
    return OK if summary.frames else NOTHING_DONE


def _evaluate(options: argparse.Namespace) -> int:
    from pose_utils.study.evaluation import evaluate

    pipeline = _open_pipeline(options, for_ap=True)
    progress = sys.stderr.isatty()
    result = asdict(evaluate(pipeline, options.images, options.annotations, options.boxes, progress))
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:12} {value}" for name, value in result.items()))
    return OK


def _export(options: argparse.Namespace) -> int:
    from pose_utils.zoo.deliver import deliver

    for path, note in deliver(options.models, options.precision, options.weights, options.output):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  {note}")
    return OK


def _bench(options: argparse.Namespace) -> int:
    from pose_utils.study.sessions import bench

    table = bench(
        options.models,
        options.persons,
        options.configs,
        options.runs,
        options.warmup,
        options.threads,
        options.images,
    )
    if options.json:
        options.json.write_text(table.to_json(orient="records", indent=1))
    print(table.to_string(index=False, float_format="{:.2f}".format))
    return OK if (table["status"] == "ok").any() else NOTHING_DONE


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
    from pose_utils.report.build import build_report

    result = build_report(
        options.profile, options.models, options.device, options.seed, options.notebooks, options.run_dir
    )
    for problem in result.problems:
        print(f"pose_utils: {problem}", file=sys.stderr)
    print(f"page: {result.page}")
    return PARTLY if result.problems else OK


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


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError("names separated by commas are expected")
    return names
