"""What each way of running OpenVINO gives: `python tools/try_openvino.py [--models D+P] [--persons 1,8]`.

Every way runs the same pictures and persons in interleaved blocks, whole frames from picture to keypoints.
Printed for each: how many times as fast as the way the project runs OpenVINO in FP32, with the 95 % interval,
and the largest difference of a keypoint from it in pixels. Weights may be random: this is about time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
import openvino
import pandas as pd

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime import decode, geometry
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import available_cores
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import Detector, PoseEstimator
from pose_utils.study.latency import latency_summary, speedups
from pose_utils.study.material import find_people
from pose_utils.study.timed_frames import Workload, make_workloads
from pose_utils.zoo.artifacts import Artifact, find_artifact
from pose_utils.zoo.samples import sample_pictures
from pose_utils.zoo.specs import ModelSpec, parse_models

BLOCKS, PICTURES = 8, 8
BASE = "as the project runs it"
FRAMES_AT_ONCE = 2
AT_ONCE = f"{FRAMES_AT_ONCE} frames at once, a core each"
BUCKETS = (1, 2, 4, 8, 16)
Frame = Callable[[Workload], np.ndarray]
"""Runs the detector on the picture and poses the persons of the workload; returns their keypoints."""


class Network:
    """One compiled network, with what a way changes of it."""

    def __init__(
        self,
        artifact: Artifact,
        batch: int | None = None,
        pixels: bool = False,
        size: tuple[int, int] | None = None,
        copy: bool = True,
        **settings: object,
    ) -> None:
        """Compiles `artifact` for CPUs.

        Args:
            artifact: The ONNX file.
            batch: Fixed number of pictures; None for any number.
            pixels: Takes uint8 (n, h, w, 3) and normalises inside.
            size: (width, height) in place of the model's own.
            copy: Hands out copies of the outputs, which the next call would overwrite.
            settings: Of the plugin, beside FP32 and all cores.
        """
        self.spec: ModelSpec = artifact.spec
        core = openvino.Core()
        model = core.read_model(artifact.path)
        width, height = size or artifact.spec.input_size
        model.reshape([batch or -1, 3, height, width])
        if pixels:
            model = _normalising(model, artifact.spec)
        given = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": available_cores(),
                 "INFERENCE_PRECISION_HINT": openvino.Type.f32} | settings  # fmt: skip
        self.request = core.compile_model(model, "CPU", given).create_infer_request()
        self.pixels, self.copy = pixels, copy

    def __call__(self, pictures: np.ndarray) -> list[np.ndarray]:
        """Runs uint8 pictures (n, h, w, 3), BGR."""
        self.start(pictures)
        return self.outputs()

    def start(self, pictures: np.ndarray) -> None:
        """Begins to run them; `outputs` waits."""
        self._held = pictures if self.pixels else geometry.to_network_input(pictures, self.spec)
        self.request.start_async([self._held], share_inputs=True)

    def outputs(self) -> list[np.ndarray]:
        """Waits, and returns the outputs."""
        self.request.wait()
        tensors = [tensor.data for tensor in self.request.output_tensors]
        return [tensor.copy() for tensor in tensors] if self.copy else tensors


def _normalising(model: openvino.Model, spec: ModelSpec) -> openvino.Model:
    from openvino.preprocess import ColorFormat, PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().tensor().set_color_format(ColorFormat.BGR)
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    if spec.channels == "rgb":
        steps.input().preprocess().convert_color(ColorFormat.RGB)
    preprocess = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    preprocess.mean(list(spec.mean)).scale(list(spec.std))
    return steps.build()


def _detect(network: Network, image: np.ndarray, size: tuple[int, int] | None = None) -> None:
    canvas, placement = geometry.letterbox(image, size or network.spec.input_size)
    _found(network(canvas[None]), placement)


def _found(outputs: list[np.ndarray], placement: geometry.Letterbox) -> None:
    kept = decode.non_maximum_suppression(*decode.rtmdet_candidates(outputs, placement.input_size))
    placement.to_image(kept.boxes)


def _crops(spec: ModelSpec, work: Workload) -> tuple[np.ndarray, np.ndarray]:
    affines = geometry.person_affines(work.boxes, spec.input_size, spec.padding)
    return geometry.crop_persons(work.image, affines, spec.input_size), affines


def _points(spec: ModelSpec, outputs: list[np.ndarray], affines: np.ndarray) -> np.ndarray:
    decoded = decode.simcc(outputs) if spec.codec == "simcc" else decode.heatmap(outputs, spec.input_size)
    return geometry.crop_to_image(decoded[0], affines)


def _frame(detector: Network, pose: Network, size: tuple[int, int] | None = None) -> Frame:
    def run(work: Workload) -> np.ndarray:
        _detect(detector, work.image, size)
        crops, affines = _crops(pose.spec, work)
        return _points(pose.spec, pose(crops), affines)

    return run


def _bucketed(detector: Network, pose: Artifact, largest: int) -> Frame:
    """Every number of persons runs in the smallest fixed batch that holds it."""
    sizes = [size for size in BUCKETS if size < largest * 2]
    networks = {size: Network(pose, batch=size) for size in sizes}

    def run(work: Workload) -> np.ndarray:
        _detect(detector, work.image)
        crops, affines = _crops(pose.spec, work)
        size = next(size for size in sizes if size >= len(crops))
        filled = np.concatenate([crops, np.zeros((size - len(crops), *crops.shape[1:]), "uint8")])
        outputs = [output[: len(crops)] for output in networks[size](filled)]
        return _points(pose.spec, outputs, affines)

    return run


def _overlapped(detector: Network, pose: Network) -> Frame:
    """The detector looks at the next frame while this one is posed: throughput is timed, not delay."""
    started: list = []

    def run(work: Workload) -> np.ndarray:
        canvas, placement = geometry.letterbox(work.image, detector.spec.input_size)
        crops, affines = _crops(pose.spec, work)
        pose.start(crops)
        if started:
            detector.request.wait()
        outputs = detector.outputs() if started else None
        detector.start(canvas[None])
        if outputs is not None:
            _found(outputs, placement)
        started.append(True)
        return _points(pose.spec, pose.outputs(), affines)

    return run


def _at_once(detector: Artifact, pose: Artifact) -> Frame:
    """Every frame has a core and networks of its own; the time is shared out over the frames."""
    # Pinned, all of them would sit on the first core.
    alone = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    frames = [_pair(detector, pose, **alone) for _ in range(FRAMES_AT_ONCE)]
    pool = ThreadPoolExecutor(FRAMES_AT_ONCE)

    def run(work: Workload) -> np.ndarray:
        points, *_ = pool.map(lambda frame: frame(work), frames)
        return points

    return run


def ways(models: str, largest: int, wanted: list[str] | None = None) -> dict[str, Frame]:
    """Returns the ways by name, `BASE` first, or `BASE` and those whose name holds a word of `wanted`.

    What cannot run here is printed and left out.
    """
    detector, pose = (find_artifact(spec, "onnx") for spec in parse_models(models))
    width, height = detector.spec.input_size
    lower = (width, height * 3 // 4 // 32 * 32)
    found = {
        BASE: lambda: _project(models, "fp32"),
        "INT8": lambda: _project(models, "int8"),
        "BF16": lambda: _project(models, "bf16"),
        "one thread": lambda: _pair(detector, pose, INFERENCE_NUM_THREADS=1),
        "threads pinned": lambda: _pair(detector, pose, ENABLE_CPU_PINNING=True),
        "threads not pinned": lambda: _pair(detector, pose, ENABLE_CPU_PINNING=False),
        "uint8 in, normalised inside": lambda: _pair(detector, pose, pixels=True),
        "outputs not copied": lambda: _pair(detector, pose, copy=False),
        "pose in fixed batches": lambda: _bucketed(Network(detector, batch=1), pose, largest),
        f"detector input {lower[0]}x{lower[1]}": lambda: _frame(
            Network(detector, batch=1, size=lower), Network(pose), lower
        ),
        AT_ONCE: lambda: _at_once(detector, pose),
        "detect(t+1) while pose(t)": lambda: _overlapped(Network(detector, batch=1), Network(pose)),
    }
    opened = {}
    for name, make in found.items():
        if name != BASE and wanted and not any(word in name for word in wanted):
            continue
        try:
            opened[name] = make()
        except (Unavailable, AssetError, RuntimeError) as error:
            print(f"{name} left out: {str(error).splitlines()[0]}")
    return opened


def _pair(detector: Artifact, pose: Artifact, **changes: object) -> Frame:
    return _frame(Network(detector, batch=1, **changes), Network(pose, **changes))


def _project(models: str, precision: str) -> Frame:
    detector, pose = (open_backend("openvino", spec, precision) for spec in parse_models(models))
    find, estimate = Detector(detector), PoseEstimator(pose)

    def run(work: Workload) -> np.ndarray:
        find(work.image)
        return estimate(work.image, work.boxes)[0]

    return run


def measure(models: str, persons: list[int], runs: int, wanted: list[str] | None = None) -> None:
    """Times the ways and prints the table."""
    people = find_people(sample_pictures(), open_pipeline("auto"), PICTURES)
    workloads = make_workloads(people, persons)
    opened = ways(models, max(persons), wanted)
    right = {work.persons: opened[BASE](work) for work in workloads}
    pairs = [(name, work) for name in opened for work in workloads]
    apart = {(name, work.persons): _apart(opened[name](work), right[work.persons]) for name, work in pairs}
    order, rows = np.random.default_rng(0), []
    for block in range(BLOCKS):
        for index in order.permutation(len(pairs)):
            name, work = pairs[index]
            opened[name](work)
            for repeat in range(max(1, runs // BLOCKS)):
                start = perf_counter()
                opened[name](work)
                ms = (perf_counter() - start) * 1000 / (FRAMES_AT_ONCE if name == AT_ONCE else 1)
                rows.append(_row(name, models, work.persons, block, repeat, ms))
    latency = pd.DataFrame(rows)
    table = speedups(latency, BASE).merge(latency_summary(latency)[["config", "persons", "median_ms"]])
    table["px apart"] = [apart[row.config, row.persons] for row in table.itertuples()]
    columns = ["persons", "config", "median_ms", "speedup", "speedup_low", "speedup_high", "px apart"]
    table = table.sort_values(["persons", "speedup"], ascending=[True, False])[columns]
    print(f"{models}, {max(1, runs // BLOCKS) * BLOCKS} calls each in {BLOCKS} interleaved blocks")
    print(table.to_string(index=False, float_format="{:.3f}".format))


def _row(name: str, models: str, persons: int, block: int, repeat: int, ms: float) -> dict:
    return {
        "config": name, "models": models, "backend": "openvino", "precision": "", "device": "cpu",
        "weights": "", "pipeline": "detect+pose", "stage": "total", "persons": persons, "block": block,
        "repeat": repeat, "ms": ms,
    }  # fmt: skip


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="rtmdet-m+rtmpose-m", metavar="D+P")
    parser.add_argument("--persons", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--ways", nargs="+", metavar="WORD", help="only ways whose name holds one of these")
    options = parser.parse_args()
    measure(options.models, options.persons, options.runs, options.ways)


if __name__ == "__main__":
    main()
