"""Where OpenVINO spends a network's time: `python tools/openvino_profile.py [--models D+P]`.

For each network the layers of its quickest call, by their kind and the kernel that computed them, with
milliseconds and share: on a shared machine the quickest call is the one that was disturbed least. Kernels
with `amx` in their names use it; those with `dw` are depthwise, which it does not help.
"""

from __future__ import annotations

import argparse

import numpy as np
import openvino
import pandas as pd

from pose_utils.runtime.backends.base import available_cores
from pose_utils.runtime.backends.openvino import compile_artifact
from pose_utils.runtime.geometry import to_network_input
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.specs import ModelSpec, parse_models

PRECISIONS = ("fp32", "bf16", "int8")


def profile(spec: ModelSpec, precision: str, batch: int, calls: int) -> pd.DataFrame:
    """Returns kind, kernel, layers, ms and share of a network's quickest call, the costliest first.

    Args:
        spec: Of the network; random weights where there are no trained ones.
        precision: One of PRECISIONS, as `runtime.backends.openvino` runs it.
        batch: Pictures in one call.
        calls: Of how many the quickest is taken.
    """
    artifact = find_artifact(spec, "onnx")
    compiled, *_ = compile_artifact(artifact, precision, available_cores(), profiled=True)
    request = compiled.create_infer_request()
    width, height = spec.input_size
    pictures = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    inputs = to_network_input(pictures, spec)
    quickest = min((_layers(request, inputs) for _ in range(calls)), key=lambda table: table["ms"].sum())
    table = quickest.groupby(["kind", "kernel"])["ms"].agg(layers="size", ms="sum").reset_index()
    return table.assign(share=table["ms"] / table["ms"].sum()).sort_values("ms", ascending=False)


def _layers(request: openvino.InferRequest, inputs: np.ndarray) -> pd.DataFrame:
    request.infer([inputs], share_inputs=True)
    rows = [
        {"kind": layer.node_type, "kernel": layer.exec_type, "ms": layer.real_time.total_seconds() * 1000}
        for layer in request.profiling_info
    ]
    table = pd.DataFrame(rows)
    return table[table["ms"] > 0]  # the others were folded into their neighbours


def main() -> None:
    """Prints a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="rtmdet-m+rtmpose-m", metavar="D+P")
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--persons", type=int, default=1, help="batch of the pose network")
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--rows", type=int, default=8, help="rows of each table")
    options = parser.parse_args()
    for spec in parse_models(options.models):
        batch = 1 if spec.kind == "detector" else options.persons
        for precision in options.precision:
            table = profile(spec, precision, batch, options.calls)
            print(f"\n{spec.name} {precision}, batch {batch}: {table['ms'].sum():.1f} ms")
            print(table.head(options.rows).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
