"""LiteRT (formerly TensorFlow Lite), which runs MoveNet MultiPose on a CPU."""

from __future__ import annotations

import numpy as np

from pose_utils.runtime.backends.base import Backend
from pose_utils.zoo.artifacts import Artifact


class LiteRTBackend(Backend):
    """One interpreter, its input resized once to the input size of the spec."""

    name = "litert"
    format = "tflite"

    def __init__(self, artifact: Artifact, precision: str, device: str, threads: int | None) -> None:
        """Loads the file; raises Unavailable for anything but the precision inside it on a CPU."""
        super().__init__(artifact, precision, device, threads)
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise self.refuse(f"ai-edge-litert cannot be imported ({error})") from error
        if device != "cpu" or precision != "fp32":
            raise self.refuse("this project runs LiteRT files in FP32 on CPUs")
        self._interpreter = Interpreter(model_path=str(artifact.path), num_threads=self.threads)
        width, height = artifact.spec.input_size
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._input, [1, height, width, 3], strict=True)
        self._interpreter.allocate_tensors()
        outputs = self._interpreter.get_output_details()
        self._outputs = [output["index"] for output in outputs]
        self.output_names = tuple(output["name"] for output in outputs)
        self.provider_used = f"CPU (XNNPACK), {self.threads} threads"

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """See Backend.run."""
        self._interpreter.set_tensor(self._input, inputs)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
