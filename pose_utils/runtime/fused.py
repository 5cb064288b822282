"""The two-stage pipeline as one ONNX file: a frame goes in, people come out."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from pose_utils.cores import available_cores
from pose_utils.errors import Unavailable, UsageError
from pose_utils.runtime.variants import onnx_variant
from pose_utils.types import Poses, StageTimes, check_image
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.fused import OUTPUTS, cached_fused, fused_metadata, with_settings
from pose_utils.zoo.specs import parse_models

BACKENDS = ("onnxruntime", "openvino")


class FusedPipeline:
    """Called like `PosePipeline`: `FusedPipeline(path)(image) -> Poses`.

    Attributes:
        path: The file.
        models: Such as "rtmdet-nano+rtmpose-m", as the file says.
        backend: onnxruntime or openvino.
        precision: Of the two networks; between them everything is FP32.
        weights: trained or random.
        provider_used: What the session reports to run on.
    """

    def __init__(
        self,
        path: Path,
        backend: str = "onnxruntime",
        device: str = "cpu",
        threads: int | None = None,
        min_score: float | None = None,
        iou: float | None = None,
        max_persons: int | None = None,
    ) -> None:
        """Opens a fused file.

        Args:
            path: What `python -m pose_utils export --fused` wrote.
            backend: One of BACKENDS.
            device: cpu, or cuda with onnxruntime.
            threads: CPU threads, None for all cores this process may use.
            min_score: Persons below this box score are dropped; None for the file's default.
            iou: Overlap at which NMS drops the lower box; None for the file's default.
            max_persons: At most so many persons; None for the file's default.

        Raises:
            InputError: The file is no fused file.
            UsageError: Unknown `backend`.
            Unavailable: The runtime cannot honour the request.
        """
        about = fused_metadata(path)
        self.path, self.backend = Path(path), backend
        self.models, self.weights, self.precision = about["models"], about["weights"], about["precision"]
        given = {"score_threshold": min_score, "iou_threshold": iou, "max_persons": max_persons}
        given = {name: value for name, value in given.items() if value is not None}
        # OpenVINO reads inputs with defaults as constants, so what was asked for is written into the model.
        model = with_settings(path, given) if given else self.path
        openers = {"onnxruntime": self._open_onnxruntime, "openvino": self._open_openvino}
        if backend not in openers:
            raise UsageError(f"a fused file runs on {' and '.join(BACKENDS)}, not on {backend!r}")
        try:
            openers[backend](model, device, threads or available_cores())
        except Unavailable as error:
            raise Unavailable(f"{backend} on {device}: {self.path.name}: {error}") from error

    @classmethod
    def from_models(
        cls,
        models: str = "rtmdet-nano+rtmpose-m",
        backend: str = "onnxruntime",
        precision: str = "fp32",
        device: str = "cpu",
        threads: int | None = None,
        weights: str = "trained",
        min_score: float | None = None,
    ) -> FusedPipeline:
        """Fuses the models behind a name, once, and opens the file; see `PosePipeline.from_models`."""
        return cls(fused_file(models, precision, weights), backend, device, threads, min_score)

    def __call__(self, image: np.ndarray) -> Poses:
        """Finds the persons of one image, uint8 (h, w, 3) BGR; empty where nobody was found."""
        boxes, box_scores, keypoints, scores = self._run(check_image(image)[None])
        return Poses(keypoints, scores, boxes, box_scores)

    def timed(self, image: np.ndarray) -> tuple[Poses, StageTimes]:
        """Does the same; all time is booked under detect, because one call does everything."""
        start = time.perf_counter()
        poses = self(image)
        return poses, StageTimes(detect=(time.perf_counter() - start) * 1000)

    def _open_onnxruntime(self, model: Path | bytes, device: str, threads: int) -> None:
        from pose_utils.runtime.backends.onnxruntime import PROVIDERS, open_session

        session = open_session(model, PROVIDERS[device], threads)
        self.provider_used = PROVIDERS[device]
        self._run = lambda frame: session.run(list(OUTPUTS), {"frame": frame})

    def _open_openvino(self, model: Path | bytes, device: str, threads: int) -> None:
        from pose_utils.runtime.backends.openvino import compile_model

        if device != "cpu":
            raise Unavailable("this project runs OpenVINO on CPUs")
        compiled, used = compile_model(model, "fp32", threads)
        request = compiled.create_infer_request()
        self.provider_used = f"CPU, {used}, {threads} threads"

        def run(frame: np.ndarray) -> list[np.ndarray]:
            request.infer([np.ascontiguousarray(frame)])
            return [request.get_tensor(name).data.copy() for name in OUTPUTS]

        self._run = run


def fused_file(models: str, precision: str = "fp32", weights: str = "auto") -> Path:
    """Returns the fused file of "detector+pose" from the cache, made now where it is not there.

    Raises:
        UsageError, AssetError, Unavailable: As `zoo.artifacts.find_artifact`.
    """
    specs = parse_models(models)
    if len(specs) != 2:
        raise UsageError(f"{models!r}: a fused file needs DETECTOR+POSE")
    detector, pose = (find_artifact(spec, "onnx", weights) for spec in specs)
    files = tuple(onnx_variant(artifact, precision) for artifact in (detector, pose))
    return cached_fused(detector, pose, precision, files)
