"""What lower precision in one layer does to the outputs: which layers can take it, and which stay FP32.

The noise that 8 or 16 bits put into a layer says little: it may grow a hundredfold on its way to the outputs.
So every layer is spoiled alone and the network's outputs are compared. Noises of layers are independent and
small, so they add up, and the quiet layers are taken while their sum stays below what the outputs may carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pandas as pd
from tqdm import tqdm

from pose_utils.cores import available_cores
from pose_utils.zoo.spoiling import Range, inputs_of

Outputs = list[list[np.ndarray]]

NARROWEST = 0.05
"""Ranges are tried from the whole one down to this share of it."""

KEPT_VALUES = 1000
"""Values of a tensor that are kept of each sample, at even steps."""


def activation_ranges(model: onnx.ModelProto, samples: Sequence[np.ndarray]) -> dict[str, Range]:
    """Returns for each tensor that enters a layer the range in which 255 steps lose least.

    A wider range clips less and rounds more; the one with the least squared error wins.

    Args:
        model: FP32.
        samples: Network inputs float32 (1, 3, h, w).
    """
    names = inputs_of(model)
    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    told = {each.name for each in (*inside.graph.output, *inside.graph.input)}
    inside.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in told)
    session = _session(inside, threads=0)
    given = session.get_inputs()[0].name
    wanted = [name for name in names if name != given]
    seen: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for sample in samples:
        # Asked for nothing, a session gives everything.
        found = session.run(wanted, {given: sample}) if wanted else []
        for name, values in zip([*wanted, given], [*found, sample], strict=True):
            if name in seen:
                flat = values.ravel()
                step = max(1, len(flat) // KEPT_VALUES)
                seen[name] += [flat[::step], np.array([flat.min(), flat.max()])]
    return {name: _best_range(np.concatenate(values)) for name, values in seen.items()}


def layer_noise(
    model: onnx.ModelProto,
    layers: Sequence[onnx.NodeProto],
    spoil: Callable[[onnx.ModelProto, set[str]], onnx.ModelProto],
    samples: Sequence[np.ndarray],
) -> pd.DataFrame:
    """Spoils every layer alone and measures what that does to the outputs.

    Args:
        model: FP32, every node named.
        layers: Which ones.
        spoil: From the model and names of layers to the model with those layers spoiled.
        samples: Network inputs float32 (1, 3, h, w).

    Returns:
        layer, kind, noise (power of the difference over that of the output about its mean, averaged over the
        outputs), signal_db (the same in decibels); the most sensitive layer first.
    """
    expected = outputs_of(model, samples)

    def row(node: onnx.NodeProto) -> list:
        noise = output_noise(outputs_of(spoil(model, {node.name}), samples), expected)
        return [node.name, node.op_type, noise, decibels(noise)]

    # A session is opened for each layer, on one thread; so layers, not threads, share the cores.
    with ThreadPoolExecutor(available_cores()) as pool:
        rows = list(tqdm(pool.map(row, layers), "layers", len(layers), leave=False, unit="layer"))
    table = pd.DataFrame(rows, columns=["layer", "kind", "noise", "signal_db"])
    return table.sort_values("noise", ascending=False, ignore_index=True, kind="stable")


def tolerable(table: pd.DataFrame, least_db: float) -> list[str]:
    """Returns the layers whose noises together leave the outputs `least_db` of signal, quietest first."""
    ordered = table.sort_values("noise", kind="stable")
    return ordered.loc[ordered["noise"].cumsum() <= 10 ** (-least_db / 10), "layer"].tolist()


def outputs_of(model: onnx.ModelProto, samples: Sequence[np.ndarray]) -> Outputs:
    """Runs a model on each sample."""
    session = _session(model)
    name = session.get_inputs()[0].name
    return [session.run(None, {name: sample}) for sample in samples]


def output_noise(found: Outputs, expected: Outputs) -> float:
    """Returns noise power over signal power, the mean of outputs and samples; infinite where one is NaN."""
    shares = []
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            spread = max(float(np.var(other, dtype="float64")), 1e-20)
            shares.append(float(np.square(one - other, dtype="float64").mean()) / spread)
    mean = float(np.mean(shares))
    return mean if np.isfinite(mean) else float("inf")


def decibels(noise: float) -> float:
    """Turns noise power over signal power into decibels of signal, at most 120."""
    return float(-10 * np.log10(max(noise, 1e-12)))


def _session(model: onnx.ModelProto, threads: int = 1) -> object:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads  # 0: all cores
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # The rounding is what is measured: it shall not be fused into integer kernels of this CPU.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _best_range(values: np.ndarray) -> Range:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    best, least = (low, high), np.inf
    for share in np.geomspace(1, NARROWEST, 30):
        # SiLU's values end at -.28: where one side is short, only the other one is clipped.
        for bottom in {low, low * share}:
            step = max((high * share - bottom) / 255, 1e-12)
            kept = np.round(np.clip(values, bottom, high * share) / step) * step
            error = float(np.square(values - kept, dtype="float64").sum())
            if error < least:
                best, least = (bottom, high * share), error
    return best
