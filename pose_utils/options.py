"""Options of every command, and what their values may be."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from pose_utils.errors import UsageError
from pose_utils.runtime.backends import BACKENDS, DEVICES, PRECISIONS
from pose_utils.runtime.variants import ONNX_PRECISIONS
from pose_utils.study import conditions

USAGE = 64
"""Exit code for wrong usage (sysexits.h, EX_USAGE)."""


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line: which option, what was given, what is allowed, and the nearest name."""

    def __init__(self, **options: Any) -> None:
        # An abbreviation would change its meaning with the next new option.
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        message = " ".join(message.split())
        given, known = "", []
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.+)\)", message):
            given, known = choice[1], re.findall(r"[\w.+-]+", choice[2])
        elif message.startswith("unrecognized arguments: -"):
            given, known = message.split()[2].partition("=")[0], sorted(self._every_option())
        near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        print(f"{self.prog}: {message}{hint} (--help lists all)", file=sys.stderr)
        raise SystemExit(USAGE)

    def _every_option(self) -> set[str]:
        found = set(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found = found.union(*(parser._option_string_actions for parser in action.choices.values()))
        return found


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


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=name)
    return command


def _add_pipeline_options(command: argparse.ArgumentParser, models: str = "auto") -> None:
    command.add_argument(
        "--models", default=models, metavar="D+P", help=f"such as rtmdet-nano+rtmpose-m (default {models})"
    )
    command.add_argument(
        "--backend", default=None, choices=BACKENDS, help="default: openvino where it runs, else onnxruntime"
    )
    command.add_argument("--precision", default="fp32", choices=PRECISIONS)
    command.add_argument("--device", default="cpu", choices=DEVICES)
    command.add_argument("--threads", type=_positive, default=None, help="CPU threads (default: all cores)")
    command.add_argument("--min-score", type=_share, default=None, help="least score of a person's box")


def _add_infer(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "infer", "find people in pictures, a video or a camera")
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
    command.add_argument("--track", action="store_true", help="keep identities from frame to frame")
    command.add_argument(
        "--detect-every", type=_positive, default=1, metavar="K", help="detector in every K-th frame; tracks"
    )
    command.add_argument("--smooth", action="store_true", help="calm the keypoints (One-Euro); tracks")
    command.add_argument("--show", action="store_true", help="show it in a window; q ends")


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "evaluate", "measure AP on a COCO keypoint set")
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--annotations", type=Path, required=True)
    command.add_argument("--boxes", default="detected", choices=("detected", "truth"))
    _add_pipeline_options(command)
    command.add_argument("--json", action="store_true", help="end with one line of JSON")


def _add_export(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "export", "write the ONNX files of a pipeline")
    command.add_argument("--models", required=True, metavar="D+P")
    command.add_argument("--fused", action="store_true", help="one file that takes a frame and gives people")
    command.add_argument(
        "--any-size", action="store_true", help="detector with dynamic height and width, in multiples of 32"
    )
    command.add_argument("--precision", default="fp32", choices=ONNX_PRECISIONS)
    command.add_argument("--weights", default="auto", choices=("auto", "trained", "random"))
    command.add_argument(
        "--output", type=Path, default=Path("exports"), metavar="PATH", help="folder, or with --fused a file"
    )


def _add_bench(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "bench", "time every back end of this machine")
    command.add_argument("--models", default="rtmdet-m+rtmpose-m", metavar="D+P")
    command.add_argument("--persons", type=_numbers, default=(1, 4), metavar="N,...")
    command.add_argument("--configs", type=_names, default=(), metavar="NAME,...", help="default: all")
    command.add_argument("--runs", type=_positive, default=30)
    command.add_argument("--warmup", type=_positive, default=5)
    command.add_argument("--threads", type=_positive, default=None)
    command.add_argument("--images", type=Path, default=None, help="a folder of your own pictures")
    command.add_argument(
        "--ap-pictures", type=_natural, default=24, metavar="N",
        help="annotated pictures for keypoint AP, where there are any (default 24, 0: none)",
    )  # fmt: skip
    command.add_argument(
        "--no-cold-start",
        dest="cold_start",
        action="store_false",
        help="skip memory and start in own processes",
    )
    command.add_argument(
        "--run-dir", type=Path, default=None, help="records go here; an interrupted benchmark in it goes on"
    )
    command.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the rows as JSON")
    command.add_argument(
        "--against", type=Path, default=None, metavar="FILE", help="compare with the JSON of an earlier run"
    )


def _add_robustness(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "robustness", "measure accuracy under blur, darkness, noise and occlusion")
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--annotations", type=Path, default=None)
    command.add_argument("--max-images", type=_positive, default=None)
    command.add_argument("--conditions", type=_conditions, default=("published",), metavar="NAME,...")
    command.add_argument("--seed", type=_natural, default=0)
    command.add_argument("--run-dir", type=Path, default=None, help="continue in this run folder")
    _add_pipeline_options(command)


def _add_report(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "report", "run the seven notebooks and write the page")
    command.add_argument("--profile", default="quick", choices=("smoke", "quick", "full"))
    command.add_argument("--models", default="auto", metavar="D+P")
    command.add_argument("--device", default="cpu", choices=DEVICES)
    command.add_argument("--seed", type=_natural, default=0)
    command.add_argument(
        "--notebooks", type=_names, default=(), metavar="NAME,...", help="default: all seven"
    )
    command.add_argument("--images", type=Path, default=None, help="05 and 06 run on your own pictures")
    command.add_argument("--annotations", type=Path, default=None, help="COCO keypoints of those pictures")
    command.add_argument("--run-dir", type=Path, default=None, help="continue in this run folder")


def _add_assets(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "assets", "list, fetch or verify models and data")
    command.add_argument("action", nargs="?", default="list", choices=("list", "fetch", "verify", "coco"))
    command.add_argument("names", nargs="*", help="what to fetch (default: everything but COCO)")


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


def _conditions(text: str) -> tuple[str, ...]:
    names = _names(text)
    try:
        conditions.expand(names)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return names
