"""OpenVINO on a CPU in FP32 or BF16, straight from the ONNX file."""

from __future__ import annotations

import numpy as np

from pose_utils.runtime.backends.base import Backend
from pose_utils.zoo.artifacts import Artifact


class OpenVinoBackend(Backend):
    """One compiled model; the precision that the plugin reports is asserted."""

    name = "openvino"
    format = "onnx"

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Compiles the model; raises Unavailable where the CPU lacks the precision."""
        super().__init__(artifact, precision, device, threads)
        import openvino

        types = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16}
        if device != "cpu":
            raise self.refuse("this project runs OpenVINO on CPUs")
        if precision not in types:
            raise self.refuse("this back end runs fp32 and bf16")
        core = openvino.Core()
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in capabilities:
            raise self.refuse(
                "this CPU has no BF16 instructions (AVX512_BF16 or AMX); OpenVINO would use FP32"
            )
        width, height = artifact.spec.input_size
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": types[precision],
        }
        try:
            model = core.read_model(artifact.path)
            if artifact.spec.kind == "detector":
                model.reshape([1, 3, height, width])
            compiled = core.compile_model(model, "CPU", config)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise self.refuse(f"{artifact.name} cannot be compiled: {reason}") from error
        used = compiled.get_property("INFERENCE_PRECISION_HINT")
        if used != types[precision]:
            raise self.refuse(f"OpenVINO chose {used.get_type_name()} instead")
        self._request = compiled.create_infer_request()
        self.output_names = tuple(output.get_any_name() for output in compiled.outputs)
        self.provider_used = f"CPU, {used.get_type_name()}, {self.threads} threads"

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """See Backend.run."""
        self._request.infer([inputs], share_inputs=True)
        # The tensors belong to the request and are overwritten by its next call.
        return [tensor.data.copy() for tensor in self._request.output_tensors]
