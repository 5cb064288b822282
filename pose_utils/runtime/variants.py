"""Which file runs an ONNX artifact in a precision: the file itself, or a variant made once from it."""

from __future__ import annotations

from pathlib import Path

from pose_utils.errors import InputError
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.quantize import fp16_onnx, int8_onnx

ONNX_PRECISIONS = ("fp32", "fp16", "int8")
"""What ONNX files are written in; BF16 is a hint to OpenVINO and to PyTorch, not a file."""


def onnx_variant(artifact: Artifact, precision: str) -> Path:
    """Returns the ONNX file of `artifact` in one of ONNX_PRECISIONS, from the cache or made now.

    Raises:
        InputError: The artifact is no ONNX file, or there is no such variant.
    """
    if artifact.format != "onnx" or artifact.path is None:
        raise InputError(f"{artifact.name} is no ONNX file")
    if precision == "fp32":
        return artifact.path
    if precision == "fp16":
        return fp16_onnx(artifact.path, artifact.digest)
    if precision == "int8":
        from pose_utils.runtime.calibration import calibration_inputs

        return int8_onnx(artifact.path, artifact.digest, calibration_inputs(artifact.spec))
    raise InputError(f"there are no ONNX files in {precision}; allowed: {', '.join(ONNX_PRECISIONS)}")
