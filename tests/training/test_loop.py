"""The loop: interrupted and resumed is uninterrupted; rate, average and curve are as documented."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pose_utils.errors import UsageError
from training.curves import learning_curves, read_curves, thinned
from training.loop import CHECKPOINT, CURVE, Schedule, Training, update_average
from training.publish import completed, publish, published_state


class Line:
    """Fits a line with a batch norm in it; every batch is a function of the step."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def losses(self, step, progress):
        values = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return {"fit": (self.network(values)[:, 0] - values.sum(1)).square().mean()}

    def validate(self, network):
        return {"held-out error": float((network(torch.eye(3))[:, 0] - 1).abs().mean())}


def trained(folder, *stops):
    for stop in (*stops, None):
        training = Training(Line(), Schedule(steps=40, lr=1e-2, warmup=4), folder)
        training.run(until=stop, log_every=10, validate_every=20, progress=False)
    return training


def test_interrupted_and_resumed_ends_with_the_weights_of_one_that_was_not(tmp_path):
    whole, parts = trained(tmp_path / "whole"), trained(tmp_path / "parts", 7, 25)
    assert whole.step == parts.step == 40
    for one, other in ((whole.task.network, parts.task.network), (whole.average, parts.average)):
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(whole.average[0].weight, whole.task.network[0].weight)


def test_it_learns_and_writes_its_curve(tmp_path):
    trained(tmp_path)
    curve = read_curves({"line": tmp_path / CURVE})
    fit = curve[curve["name"] == "fit"]
    assert fit["step"].tolist() == [10, 20, 30, 40] and fit["value"].iloc[-1] < fit["value"].iloc[0]
    assert curve[curve["name"] == "held-out error"]["step"].tolist() == [20, 40, 40]
    assert learning_curves(curve, "line").axes[0].get_yscale() == "log"
    assert "no learning curve" in learning_curves(curve, "other").texts[0].get_text()
    assert len(thinned(pd.concat([fit] * 100).assign(run="x"), 10)) <= 10


def test_an_interrupt_saves_and_the_next_run_goes_on(tmp_path):
    task = Line()
    whole = task.losses

    def interrupted(step, progress):
        if step == 9:
            raise KeyboardInterrupt
        return whole(step, progress)

    task.losses = interrupted
    Training(task, Schedule(steps=40, lr=1e-2), tmp_path).run(progress=False)
    assert Training(Line(), Schedule(steps=40, lr=1e-2), tmp_path).step == 9
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_the_rate_rises_stays_and_falls():
    schedule = Schedule(steps=100, lr=1.0, warmup=10, decay=0.2)
    assert [schedule.rate(step) for step in (0, 4, 9, 50, 80, 90, 99)] == pytest.approx(
        [0.1, 0.5, 1, 1, 1, 0.5, 0.05]
    )


def test_the_average_follows_weights_and_norm_statistics():
    one, other = Line().network, Line().network
    with torch.no_grad():
        for value in other.parameters():
            value.add_(1.0)
        other[1].running_mean.fill_(2.0)
        other[1].num_batches_tracked.fill_(9)
    before = one[0].weight.clone()
    update_average(one, other, step=10_000, limit=0.75)
    assert torch.allclose(one[0].weight, before + 0.25)
    assert one[1].running_mean.tolist() == pytest.approx([0.5] * 4) and int(one[1].num_batches_tracked) == 9


def test_a_gradient_that_is_no_number_changes_nothing(tmp_path):
    task = Line()
    task.losses = lambda step, progress: {"fit": task.network(torch.full((4, 3), np.nan)).sum()}
    before = task.network[0].weight.clone()
    Training(task, Schedule(steps=2, lr=1.0), tmp_path).run(progress=False)
    assert torch.equal(task.network[0].weight, before)


def test_published_weights_are_the_average_in_half_precision_without_training_heads(tmp_path):
    from safetensors.torch import load_file

    state = {"pose.a.weight": torch.tensor([1.0, 1e-3]), "pose.norm.num_batches_tracked": torch.tensor(3),
             "pose.data_preprocessor.mean": torch.ones(3), "side.weight": torch.ones(2)}  # fmt: skip
    made = published_state(state, "pose.")
    digest = publish(made, tmp_path / "weights.safetensors", {"model": "a"})
    read = load_file(tmp_path / "weights.safetensors")
    assert list(read) == ["a.weight"] and read["a.weight"].dtype == torch.float16 and len(digest) == 64
    with pytest.raises(ValueError, match="a does not fit FP16"):
        published_state({"a": torch.tensor([1e6])})


def test_a_state_that_lacks_a_weight_is_refused_and_counters_are_filled_in():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    whole = published_state(network.state_dict())
    assert "1.num_batches_tracked" not in whole
    assert set(completed(whole, network)) == set(network.state_dict())
    del whole["0.bias"]
    with pytest.raises(UsageError, match=r"1 are missing, such as 0\.bias"):
        completed(whole, network)
