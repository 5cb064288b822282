"""Variants of an ONNX file in lower precision."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
from filelock import FileLock

from pose_utils import paths

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
