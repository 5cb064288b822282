"""Variants of an ONNX file in lower precision, the layers that cannot take it left in FP32."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pandas as pd

from pose_utils import paths
from pose_utils.zoo.export import METADATA_KEY, read_metadata
from pose_utils.zoo.locks import making
from pose_utils.zoo.sensitivity import activation_ranges, layer_noise, tolerable
from pose_utils.zoo.spoiling import LAYERS, layers_of, with_eight_bits, with_half_precision

VARIANT_VERSION = 4
"""Part of every cached file name: raise it when a conversion changes."""

LEAST_SIGNAL_DB = {"int8": 25.0, "fp16": 40.0}
"""Signal over noise that all quantised layers together must leave in the outputs."""

MEASURED_ON = 4
"""Samples that the noise of each layer is measured on; ranges are taken from all of them."""

LAYERS_KEY = "pose_utils_layers"
"""Metadata entry of a variant: its layers, their noise, and whether they stay FP32."""

HALF_KINDS = (*LAYERS, "ReduceL2", "ReduceSum", "ReduceMean", "Pow", "Sqrt", "Div", "Exp", "Softmax")
"""Operators that FP16 can spoil: sums overflow, and small divisors lose their digits."""

RANDOM_KEPT = ("/head/", "rtm_", "depthwise")
"""Random weights magnify any noise, so nothing could be told from it. Parts of names that stay FP32 there:
heads, and the depthwise convolutions that proved to be the most sensitive layers of trained weights."""


def fp16_onnx(path: Path, digest: str, samples: Sequence[np.ndarray] = ()) -> Path:
    """Returns the FP16 variant of an FP32 ONNX file from the cache, made now where it is not there.

    Weights and computation are FP16; inputs and outputs stay FP32, so that pre- and post-processing are
    the same code. `fp16_layers` that spoil the outputs stay FP32. Normalising constants outside FP16's range
    are clamped by the converter (onnxruntime.transformers.float16).

    Args:
        path: The FP32 file.
        digest: Of its weights; part of the cached name.
        samples: Network inputs to search on; without any, as for random weights, every layer becomes FP16.
    """

    def convert(source: Path, target: Path) -> None:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        table = fp16_layers(source, samples) if len(samples) else None
        kept = [] if table is None else table.loc[table["stays"], "layer"].tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = convert_float_to_float16(onnx.load(source), keep_io_types=True, node_block_list=kept)
        # The converter appends its casts; ONNX wants every node after what it reads.
        OnnxModel.graph_topological_sort(model.graph)
        _save(model, target, path, "fp16", table)

    return _variant(path, digest, samples, "fp16", convert)


def int8_onnx(
    path: Path, digest: str, samples: Sequence[np.ndarray], trained: bool = True, symmetric: bool = False
) -> Path:
    """Returns the INT8 variant of an FP32 ONNX file from the cache, made now where it is not there.

    Ranges come from all samples; layers that are too noisy stay FP32 (see `zoo.sensitivity`), and the file
    says which (`variant_layers`).

    Args:
        path: The FP32 file.
        digest: Of its weights; part of the cached name, with that of the samples.
        samples: Network inputs float32 (1, 3, h, w) to calibrate on.
        trained: Whether layers can be told apart by their noise; see `RANDOM_KEPT`.
        symmetric: For TensorRT, which takes no zero points; its weights may have all 8 bits.
    """
    form = {"weight_bits": 8, "symmetric": True} if symmetric else {}

    def convert(source: Path, target: Path) -> None:
        model = onnx.load(source)
        ranges = activation_ranges(model, samples)
        table = _int8_noise(model, ranges, samples, form) if trained else _by_name(model)
        chosen = set(table.loc[~table["stays"], "layer"])
        _save(with_eight_bits(model, ranges, chosen, **form), target, path, "int8", table)

    kind = "int8" + ("" if trained else "-by-name") + ("-symmetric" if symmetric else "")
    return _variant(path, digest, samples, kind, convert)


def fp16_layers(path: Path, samples: Sequence[np.ndarray]) -> pd.DataFrame:
    """Returns `layer_noise` of FP16 for each node of HALF_KINDS of a prepared file, with `stays`."""
    model = onnx.load(path)
    nodes = [node for node in model.graph.node if node.op_type in HALF_KINDS]
    table = layer_noise(model, nodes, with_half_precision, samples[:MEASURED_ON])
    return table.assign(stays=~table["layer"].isin(tolerable(table, LEAST_SIGNAL_DB["fp16"])))


def variant_layers(path: Path) -> pd.DataFrame | None:
    """Returns layer, kind, noise, signal_db and stays from a variant; None where it says nothing of them."""
    told = {prop.key: prop.value for prop in onnx.load(path, load_external_data=False).metadata_props}
    return pd.DataFrame(json.loads(told[LAYERS_KEY])) if LAYERS_KEY in told else None


def prepared(path: Path, folder: Path) -> Path:
    """Writes the file with constants folded and every node named, and returns it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = folder / f"prepared-{path.name}"
    quant_pre_process(str(path), str(target), skip_symbolic_shape=True)
    model = onnx.load(target)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    onnx.save(model, target)
    return target


def _int8_noise(
    model: onnx.ModelProto, ranges: dict, samples: Sequence[np.ndarray], form: dict
) -> pd.DataFrame:
    def spoil(whole: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
        return with_eight_bits(whole, ranges, names, **form)

    table = layer_noise(model, layers_of(model), spoil, samples[:: max(1, len(samples) // MEASURED_ON)])
    return table.assign(stays=~table["layer"].isin(tolerable(table, LEAST_SIGNAL_DB["int8"])))


def _by_name(model: onnx.ModelProto) -> pd.DataFrame:
    rows = [
        [node.name, node.op_type, np.nan, np.nan, any(part in node.name for part in RANDOM_KEPT)]
        for node in layers_of(model)
    ]
    return pd.DataFrame(rows, columns=["layer", "kind", "noise", "signal_db", "stays"])


def _variant(
    path: Path,
    digest: str,
    samples: Sequence[np.ndarray],
    kind: str,
    convert: Callable[[Path, Path], None],
) -> Path:
    seen = hashlib.sha256(digest.encode())
    for sample in samples:
        seen.update(sample.tobytes())
    name = f"{path.stem}-{seen.hexdigest()[:16]}-{kind}-v{VARIANT_VERSION}.onnx"
    target = paths.cache_dir() / "exports" / name
    with making(target):
        if not target.is_file():
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                draft = Path(folder) / target.name
                convert(prepared(path, Path(folder)), draft)
                draft.replace(target)
    return target


def _save(
    model: onnx.ModelProto, target: Path, source: Path, precision: str, table: pd.DataFrame | None
) -> None:
    """Saves a variant with what its source says of itself, its precision and its layers."""
    metadata = {METADATA_KEY: json.dumps((read_metadata(source) or {}) | {"precision": precision})}
    if table is not None:
        metadata[LAYERS_KEY] = table.to_json(orient="records", double_precision=12)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)
