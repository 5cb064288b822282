"""Variants of an ONNX file in lower precision."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from filelock import FileLock

from pose_utils import paths
from pose_utils.zoo.sensitivity import LAYERS, layer_noise

VARIANT_VERSION = 2
"""Part of every cached file name: raise it when a conversion changes."""


def fp16_onnx(path: Path, digest: str) -> Path:
    """Returns the FP16 variant of an FP32 ONNX file from the cache, made now where it is not there.

    Weights and computation are FP16; inputs and outputs stay FP32, so that pre- and
    post-processing are the same code. Normalising constants outside FP16's range are clamped
    by the converter (onnxruntime.transformers.float16).
    """
    target = paths.cache_dir() / "exports" / f"{path.stem}-{digest[:16]}-fp16-v{VARIANT_VERSION}.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_file():
            from onnxruntime.transformers.float16 import convert_float_to_float16
            from onnxruntime.transformers.onnx_model import OnnxModel

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = convert_float_to_float16(onnx.load(path), keep_io_types=True)
            # The converter appends its casts; ONNX wants every node after what it reads.
            OnnxModel.graph_topological_sort(model.graph)
            draft = target.with_suffix(".draft")
            onnx.save(model, draft)
            draft.replace(target)
    return target


LEAST_SIGNAL_DB = 36.0
"""Layers whose 8-bit inputs and weights carry more noise than this stay FP32."""

KEPT_FP32 = ("/head/",)
"""RTMPose's attention unit and SimCC heads, by the names PyTorch gives them: never quantised."""


def int8_onnx(path: Path, digest: str, samples: Sequence[np.ndarray]) -> Path:
    """Returns the INT8 variant of an FP32 ONNX file from the cache, made now where it is not there.

    Static quantisation in QDQ form, standard operators only: convolutions and matrix products get
    8-bit inputs (one scale a tensor) and weights (one scale a channel); their outputs stay FP32,
    because SiLU's inputs span a range that 255 steps do not resolve. `sensitive_layers` are left out.

    Args:
        path: The FP32 file.
        digest: Of its weights; part of the cached name, with that of the samples.
        samples: Network inputs float32 (1, 3, h, w) to calibrate on.
    """
    seen = hashlib.sha256(digest.encode())
    for sample in samples:
        seen.update(sample.tobytes())
    name = f"{path.stem}-{seen.hexdigest()[:16]}-int8-v{VARIANT_VERSION}.onnx"
    target = paths.cache_dir() / "exports" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_file():
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                draft = Path(folder) / target.name
                _quantize(prepared(path, Path(folder)), draft, samples)
                draft.replace(target)
    return target


def sensitive_layers(path: Path, samples: Sequence[np.ndarray]) -> list[str]:
    """Returns the layers of a prepared file that stay FP32: too noisy in 8 bits, or known to be sensitive."""
    table = layer_noise(path, samples)
    known = table["layer"].map(lambda name: any(part in name for part in KEPT_FP32))
    return table.loc[known | (table["signal_db"] < LEAST_SIGNAL_DB), "layer"].tolist()


def prepared(path: Path, folder: Path) -> Path:
    """Writes the file as the quantiser wants it, constants folded and every node named, and returns it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = folder / f"prepared-{path.name}"
    quant_pre_process(str(path), str(target), skip_symbolic_shape=True)
    model = onnx.load(target)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    onnx.save(model, target)
    return target


def _quantize(path: Path, target: Path, samples: Sequence[np.ndarray]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        """Hands the quantiser one input at a time."""

        def __init__(self) -> None:
            name = onnx.load(path).graph.input[0].name
            self._left: Iterator = iter([{name: sample} for sample in samples])

        def get_next(self) -> dict | None:
            return next(self._left, None)

    quantize_static(
        str(path),
        str(target),
        Samples(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(LAYERS),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sensitive_layers(path, samples),
        extra_options={"OpTypesToExcludeOutputQuantization": list(LAYERS)},
    )
