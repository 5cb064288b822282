"""Times this project's pipelines against rtmlib's: same ONNX files, same pictures and persons, interleaved.

rtmlib is a peer, no requirement: `pip install --no-deps --target FOLDER rtmlib`, then
`python tools/against_rtmlib.py --rtmlib FOLDER` (without --no-deps it brings a second ONNX Runtime and a
second OpenCV, which overwrite ours). Its sessions take their own default settings, every core as ours do; one
setting differs: threads of our ONNX Runtime sessions stop spinning after each run, so that the detector's are
not in the way of the pose model.
Its RTMDet wants files with NMS inside; ours hold the raw heads, so our decoding follows its preprocessing
and network, which is no slower than its own. Below the ratios stands where the time goes: where two rows
run the same network equally fast, no pipeline around it can make one of them much faster.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from pose_utils.runtime import decode
from pose_utils.runtime.opening import open_pipeline
from pose_utils.study.benchmark import Workload, load, make_workloads, time_call
from pose_utils.study.configurations import Config
from pose_utils.study.latency import speedups
from pose_utils.study.material import find_people
from pose_utils.zoo.artifacts import Artifact, find_artifact
from pose_utils.zoo.samples import sample_pictures
from pose_utils.zoo.specs import parse_models

BLOCKS, PICTURES = 8, 8
CROWD = 8
STAGES = ("detect", "pose", "total")
PEERS = ("rtmlib-onnxruntime", "rtmlib-openvino")
OURS = ("onnxruntime-fp32", "openvino-fp32", "openvino-bf16", "openvino-int8")


def main() -> None:
    """Prints, for each number of persons, how many times faster ours are, with 95 % intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rtmlib", type=Path, required=True, help="folder that rtmlib was installed into")
    parser.add_argument("--models", default="rtmdet-m+rtmpose-m", metavar="D+P")
    parser.add_argument("--persons", type=int, nargs="+", default=[1, CROWD])
    parser.add_argument("--runs", type=int, default=24, help="timed calls of each, in interleaved blocks")
    parser.add_argument("--ours", nargs="+", default=OURS, choices=OURS, help="which of ours (default: all)")
    options = parser.parse_args()
    latency = measure(options.rtmlib, options.models, options.persons, options.runs, options.ours)
    for peer in PEERS:
        table = speedups(latency, peer)
        print(f"\n{options.models}: times as fast as {peer}, same files and pictures")
        print(table[table["config"] != peer].to_string(index=False, float_format="{:.2f}".format))
    print("\nmedian milliseconds: detector's network, pose network (all persons), the whole frame")
    stages = latency[latency["stage"].isin(STAGES)]
    print(
        stages.pivot_table(index=["config", "persons"], columns="stage", values="ms", aggfunc="median").round(
            1
        )
    )


def measure(
    rtmlib: Path, models: str, persons: Sequence[int], runs: int, names: Sequence[str] = OURS
) -> pd.DataFrame:
    """Times ours and rtmlib's and returns rows for `study.latency.speedups`.

    Args:
        rtmlib: The folder that rtmlib was installed into.
        models: "detector+pose".
        persons: Numbers of persons.
        runs: Timed calls of each, in interleaved blocks.
        names: Which of OURS.
    """
    sys.path.append(str(rtmlib))
    people = find_people(sample_pictures(), open_pipeline("auto"), PICTURES)
    contestants = _ours(models, names) | _peers(models)
    return _timed(contestants, make_workloads(people, persons), models, runs)


def _ours(models: str, names: Sequence[str]) -> dict:
    opened = {}
    for name in names:
        config = Config(models, *name.split("-"))
        try:
            pipeline = load(config)
        except Exception as error:
            print(f"{config.name} left out: {error}")
            continue
        opened[config.name] = lambda work, pipeline=pipeline: time_call(pipeline, work)
    return opened


def _peers(models: str) -> dict:
    from rtmlib import RTMDet, RTMPose

    files = [find_artifact(spec, "onnx") for spec in parse_models(models)]
    opened = {}
    for name in PEERS:
        detector, pose = (
            _peer(kind, file, name.split("-")[1]) for kind, file in zip((RTMDet, RTMPose), files, strict=True)
        )
        opened[name] = partial(_time_peer, detector, _watched(pose))
    return opened


def _peer(kind: type, file: Artifact, backend: str) -> object:
    width, height = file.spec.input_size
    # rtmlib's detector takes (height, width), its pose model (width, height).
    size = (height, width) if file.spec.kind == "detector" else (width, height)
    with contextlib.redirect_stdout(io.StringIO()):
        return kind(str(file.path), model_input_size=size, backend=backend)


def _time_peer(detector: object, pose: object, work: Workload) -> dict[str, float]:
    start = perf_counter()
    pixels, ratio = detector.preprocess(work.image)
    asked = perf_counter()
    outputs = detector.inference(pixels)
    detect = perf_counter() - asked
    height, width = detector.model_input_size
    decode.non_maximum_suppression(*decode.rtmdet_candidates(outputs, (width, height))).boxes / ratio
    pose.seconds = 0.0
    pose(work.image, work.boxes)
    seconds = {"detect": detect, "pose": pose.seconds, "total": perf_counter() - start}
    return {stage: value * 1000 for stage, value in seconds.items()}


def _watched(network: object) -> object:
    """Adds up in `seconds` what the network itself takes; rtmlib calls it once a person."""
    real = network.inference

    def inference(pixels: np.ndarray) -> list:
        start = perf_counter()
        outputs = real(pixels)
        network.seconds += perf_counter() - start
        return outputs

    network.inference = inference
    return network


def _timed(contestants: dict, workloads: list[Workload], models: str, runs: int) -> pd.DataFrame:
    order, rows = np.random.default_rng(0), []
    pairs = [(name, work) for name in contestants for work in workloads]
    for name, work in pairs:
        contestants[name](work)
    for block in range(BLOCKS):
        for index in order.permutation(len(pairs)):
            name, work = pairs[index]
            contestants[name](work)
            rows += [
                {"config": name, "models": models, "pipeline": "detect+pose", "stage": stage,
                 "block": block, "persons": work.persons, "ms": ms}
                for _ in range(max(1, runs // BLOCKS))
                for stage, ms in contestants[name](work).items()
            ]  # fmt: skip
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
