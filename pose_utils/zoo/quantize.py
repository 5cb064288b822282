"""Variants of an ONNX file in lower precision."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
from filelock import FileLock

from pose_utils import paths


def fp16_onnx(path: Path, digest: str) -> Path:
    """Returns the FP16 variant of an FP32 ONNX file from the cache, made now where it is not there.

    Weights and computation are FP16; inputs and outputs stay FP32, so that pre- and
    post-processing are the same code. Normalising constants outside FP16's range are clamped
    by the converter (onnxruntime.transformers.float16).
    """
    target = paths.cache_dir() / "exports" / f"{path.stem}-{digest[:16]}-fp16.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_file():
            from onnxruntime.transformers.float16 import convert_float_to_float16

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = convert_float_to_float16(onnx.load(path), keep_io_types=True)
            draft = target.with_suffix(".draft")
            onnx.save(model, draft)
            draft.replace(target)
    return target
