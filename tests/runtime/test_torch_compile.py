"""torch.compile is asked for the module that eager PyTorch runs, and only by the back end of that name."""

import numpy as np
import pytest
import torch

from pose_utils.errors import Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.zoo.specs import SPECS

POSE = SPECS["rtmpose-t"]


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def compile(module, **options):
        calls.append(options)
        return module

    monkeypatch.setattr(torch, "compile", compile)
    return calls


def test_the_compiled_back_end_runs_the_module_that_eager_runs(asked):
    eager = open_backend("torch", POSE, weights="random")
    assert asked == []
    compiled = open_backend("torch-compile", POSE, weights="random")
    assert len(asked) == 1 and compiled.name == "torch-compile"
    pixels = np.random.default_rng(0).normal(0, 1, (2, 3, 256, 192)).astype("float32")
    for one, other in zip(eager.run(pixels), compiled.run(pixels), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_it_is_refused_where_eager_pytorch_would_be(asked):
    with pytest.raises(Unavailable, match="torch-compile fp16 on cpu"):
        open_backend("torch-compile", POSE, "fp16", weights="random")
    assert asked == []
