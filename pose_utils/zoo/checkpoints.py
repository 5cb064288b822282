"""An mmdet or mmpose nn.Module with its weights, loaded without running code from the file."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pose_utils.errors import AssetError, Unavailable
from pose_utils.zoo.specs import ModelSpec

if TYPE_CHECKING:
    import mmengine
    import torch


def config_path(spec: ModelSpec) -> Path:
    """Returns the config of `spec` inside the installed mmdet or mmpose.

    Raises:
        Unavailable: The model has no PyTorch module, or the package is not installed.
    """
    if spec.config is None:
        raise Unavailable(f"{spec.name} has no PyTorch module")
    package, _, relative = spec.config.partition(":")
    try:
        root = Path(importlib.import_module(package).__file__).parent
    except ImportError as error:
        raise Unavailable(f"{package} cannot be imported ({error}); run `make setup`") from error
    return root / ".mim" / relative


def load_config(spec: ModelSpec) -> mmengine.Config:
    """Returns the config of `spec` with every pretrained download taken out."""
    from mmengine.config import Config

    config = Config.fromfile(config_path(spec))
    if "pretrained" in config.model:
        config.model.pretrained = None
    config.model.backbone.init_cfg = None
    config.model.train_cfg = None
    return config


def load_module(spec: ModelSpec, checkpoint: Path | None, seed: int = 0) -> torch.nn.Module:
    """Builds the detector or pose estimator of `spec` in evaluation mode.

    Args:
        spec: A model with a config.
        checkpoint: A verified OpenMMLab checkpoint, or None for seeded random weights.
        seed: Decides the random weights; the same seed gives the same weights on one version of torch.

    Returns:
        The mmdet or mmpose module, `cfg` attached as their own `init_detector`/`init_model` do.

    Raises:
        AssetError: The checkpoint is damaged, holds code, or does not fit the model.
        Unavailable: mmdet or mmpose is missing.
    """
    import torch
    from mmengine.registry import DefaultScope

    config = load_config(spec)
    package = spec.config.partition(":")[0] if spec.kind == "pose" else "mmdet"
    registry = importlib.import_module(f"{package}.registry")
    importlib.import_module(f"{package}.utils").register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope(package), _quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = registry.MODELS.build(config.model)
        if spec.kind == "detector":
            # Starts every score near .01 (the head's own rule); with PyTorch's default all 8400
            # priors would be candidates and a benchmark would time the suppression of noise.
            module.bbox_head.init_weights()
            if checkpoint is None:
                _settle_batch_norms(module, spec)
    if checkpoint is not None:
        _load_weights(module, checkpoint, spec)
    module.cfg = config
    module.dataset_meta = _dataset_meta(spec)
    return module.eval()


def _settle_batch_norms(module: torch.nn.Module, spec: ModelSpec) -> None:
    """Gives the batch norms of random weights the statistics of random pictures, as training would.

    With mean 0 and variance 1 the signal dies on its way through a detector this deep: every output would be
    its bias whatever the picture, and no comparison of runtimes could fail.
    """
    import torch

    norms = [part for part in module.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # A plain mean over what it sees from here on.
        norm.reset_running_stats()
    # From fine noise to large areas, at half the size, which is enough for statistics.
    size = [side // 2 for side in spec.input_size[::-1]]
    grains = [torch.randn(1, 3, size[0] // grain, size[1] // grain) for grain in (1, 4, 16, 40)]
    pictures = torch.cat([torch.nn.functional.interpolate(grain, size, mode="bilinear") for grain in grains])
    with torch.no_grad():
        raw_network(module, spec).train()(pictures)
        for scores in module.bbox_head.rtm_cls:
            scores.weight *= 0.1  # Scores stay near .01, where the head starts them.
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def read_state_dict(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Reads the tensors of a checkpoint with `weights_only`, so that a pickle cannot run code.

    A `.safetensors` file holds nothing but tensors; halves are widened, for modules compute in FP32.

    Raises:
        AssetError: The file is missing, damaged, or holds objects other than tensors and numbers.
    """
    import torch

    if checkpoint.suffix == ".safetensors":
        return _read_safetensors(checkpoint)
    try:
        with torch.serialization.safe_globals(_harmless_globals()):
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AssetError(f"{checkpoint} is no checkpoint that can be loaded safely: {reason}") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, torch.Tensor) for value in state.values())
    ):
        raise AssetError(f"{checkpoint} holds no state_dict of tensors")
    return state


def _read_safetensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: value.float() for name, value in load_file(checkpoint).items()}
    except (SafetensorError, OSError) as error:
        raise AssetError(f"{checkpoint} is no checkpoint that can be loaded safely: {error}") from error


def _load_weights(module: torch.nn.Module, checkpoint: Path, spec: ModelSpec) -> None:
    state = read_state_dict(checkpoint)
    try:
        result = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise AssetError(f"{checkpoint} does not fit {spec.name}: {error}") from error
    # Means and deviations of the preprocessor are buffers that a checkpoint may leave out.
    missing = [name for name in result.missing_keys if not name.startswith("data_preprocessor.")]
    if missing:
        raise AssetError(
            f"{checkpoint} does not fit {spec.name}: {len(missing)} tensors missing, such as {missing[0]}"
        )


def _harmless_globals() -> list:
    """Classes that OpenMMLab's checkpoints carry in their `meta`: plain data, no behaviour on load."""
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    def history_method(owner: object, name: str) -> object:
        # A pickled HistoryBuffer refers to its own statistics through getattr; nothing else may.
        if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
            raise pickle.UnpicklingError(f"getattr of {name!r} is not allowed")
        return getattr(HistoryBuffer, name)

    multiarray = importlib.import_module("numpy._core.multiarray")
    dtypes = [
        type(np.dtype(kind)) for kind in ("float16", "float32", "float64", "int64", "int32", "uint8", "bool")
    ]
    functions = [
        # The released files were written with NumPy 1, which called this module by its old name.
        (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
        for name in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    lookups = [(history_method, f"{module}.getattr") for module in ("__builtin__", "builtins")]
    return [*functions, *lookups, np.ndarray, np.dtype, HistoryBuffer, *dtypes]


def _dataset_meta(spec: ModelSpec) -> dict:
    if spec.kind == "detector":
        return {"classes": ("person",)}
    from mmpose.apis.inference import dataset_meta_from_config

    with _quiet():
        return dataset_meta_from_config(load_config(spec), dataset_mode="val")


def raw_network(module: torch.nn.Module, spec: ModelSpec) -> torch.nn.Module:
    """Wraps an mmdet or mmpose module so that it maps its input tensor to raw head outputs only.

    Returns:
        A module from float32 (n, 3, h, w) to a tuple: for a detector the class logits and the
        distances of strides 8, 16, 32; for SimCC the x and y vectors; for heatmaps the maps.
        Its outputs are called `output_names(spec)`.
    """
    import torch

    class RawDetector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits, distances = self.network.bbox_head(self.network.extract_feat(pixels))
            return (*logits, *distances)

    class RawPoseEstimator(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
            outputs = self.network.head(self.network.extract_feat(crops))
            return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)

    return (RawDetector() if spec.kind == "detector" else RawPoseEstimator()).eval()


def output_names(spec: ModelSpec) -> tuple[str, ...]:
    """Returns the names of the raw outputs of `spec`, in their order."""
    names = {
        "rtmdet": ("logits_8", "logits_16", "logits_32", "distances_8", "distances_16", "distances_32"),
        "simcc": ("simcc_x", "simcc_y"),
        "heatmap": ("heatmaps",),
    }
    return names[spec.codec]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
