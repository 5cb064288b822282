"""Which file runs an ONNX artifact in a precision: the file itself, or a variant made once from it."""

from __future__ import annotations

from pathlib import Path

from pose_utils.errors import AssetError, InputError
from pose_utils.zoo.artifacts import Artifact
from pose_utils.zoo.quantize import fp16_onnx, int8_onnx

ONNX_PRECISIONS = ("fp32", "fp16", "int8")
"""What ONNX files are written in; BF16 is a hint to OpenVINO and to PyTorch, not a file."""

CALIBRATION_STEP = 7
"""Every seventh calibration input is enough to find the layers that FP16 spoils, and for the ranges of random
weights, which have no accuracy to lose."""


def onnx_variant(artifact: Artifact, precision: str, symmetric: bool = False) -> Path:
    """Returns the ONNX file of `artifact` in one of ONNX_PRECISIONS, from the cache or made now.

    Args:
        artifact: An ONNX file.
        precision: One of ONNX_PRECISIONS.
        symmetric: INT8 without zero points, as TensorRT wants it.

    Raises:
        InputError: The artifact is no ONNX file, or there is no such variant.
        AssetError: INT8 was asked for and there is no picture to calibrate on.
    """
    if artifact.format != "onnx" or artifact.path is None:
        raise InputError(f"{artifact.name} is no ONNX file")
    if precision == "fp32":
        return artifact.path
    from pose_utils.runtime.calibration import calibration_inputs

    trained = artifact.weights == "trained"
    if precision == "fp16":
        try:
            samples = calibration_inputs(artifact.spec)[::CALIBRATION_STEP] if trained else ()
        except AssetError:  # without a picture there is no search, and every layer becomes FP16
            samples = ()
        return fp16_onnx(artifact.path, artifact.digest, samples)
    if precision == "int8":
        samples = calibration_inputs(artifact.spec)[:: 1 if trained else CALIBRATION_STEP]
        return int8_onnx(artifact.path, artifact.digest, samples, trained, symmetric)
    raise InputError(f"there are no ONNX files in {precision}; allowed: {', '.join(ONNX_PRECISIONS)}")
