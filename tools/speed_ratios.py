"""Prints the ratios that the project's speed is judged by: `python tools/speed_ratios.py [--rtmlib FOLDER]`.

Each is of one interleaved run, with its 95 % interval: OpenVINO's precisions against eager PyTorch, what is
spent outside the networks, what one more person costs, ours against rtmlib's on the same ONNX files, and
video whose detector rests against one that looks at every frame. Weights may be random: this is about time.
rtmlib is a peer, no requirement: `pip install --no-deps --target FOLDER rtmlib`; without it its rows are left
out. `ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI` before the command shows a CPU without AMX.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import against_rtmlib
import measure_tracking
import pandas as pd

from pose_utils.report.reading_benchmark import persons_sentence, share_sentence
from pose_utils.study.configurations import DETECT_EVERY
from pose_utils.study.latency import speedups
from pose_utils.study.sessions import BASELINE, bench
from pose_utils.zoo.choice import choose_models
from pose_utils.zoo.samples import sample_clip

LARGE, SMALL = "rtmdet-m+rtmpose-m", "rtmdet-nano+rtmpose-m"
PERSONS = (1, 8)
OURS = ("openvino-fp32-cpu", "openvino-bf16-cpu", "openvino-int8-cpu")
WARMUP = 10
QUIET = 0.1
"""Beside the medians, this quantile of both sides: what the ratio is while nobody else uses the machine."""


def ratios(latency: pd.DataFrame, baseline: str, what: str) -> list[dict]:
    """Returns a row for each number of persons and all that ran beside `baseline`: its speed-up over it."""
    quick = latency[latency["stage"] == "total"].groupby(["config", "persons"])["ms"].quantile(QUIET)
    table = speedups(latency, baseline).sort_values(["persons", "config"])
    return [
        {"what": what, "config": row.config, "persons": row.persons, "times as fast": row.speedup,
         "low": row.speedup_low, "high": row.speedup_high,
         "in quiet": quick[baseline, row.persons] / quick[row.config, row.persons]}
        for row in table[table["config"] != baseline].itertuples()
    ]  # fmt: skip


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rtmlib", type=Path, default=None, help="folder that rtmlib was installed into")
    parser.add_argument("--runs", type=int, default=24, help="timed calls of each, in interleaved blocks")
    parser.add_argument("--frames", type=int, default=60, help="frames of each clip")
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="videos (default: the sample clip)")
    options = parser.parse_args()
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        names = (BASELINE, *OURS)
        run, _ = bench(LARGE, PERSONS, names, options.runs, WARMUP, cold_start=False, run_dir=Path(folder))
        latency = run.read("latency.parquet")
    rows += ratios(latency, BASELINE, f"{LARGE} against eager PyTorch")
    sentences = [share_sentence(latency), persons_sentence(latency)]
    if options.rtmlib:
        peer = against_rtmlib.PEERS[0]
        timed = against_rtmlib.measure(options.rtmlib, LARGE, PERSONS, options.runs)
        rows += ratios(timed, peer, f"{LARGE} against {peer}")
        timed = against_rtmlib.measure(options.rtmlib, SMALL, PERSONS, options.runs, ["onnxruntime-fp32"])
        rows += ratios(timed, peer, f"{SMALL} against {peer}")
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.2f}".format))
    print("\n".join(sentences))
    finder = choose_models(study=True).models
    for clip in options.clips or [sample_clip()]:
        table = measure_tracking.measure(clip, [DETECT_EVERY], options.frames, finder, LARGE)
        shown = table.loc[table["way"].ne("no memory"), ["clip", "way", "times as fast", "OKS", "of persons"]]
        print(shown.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
