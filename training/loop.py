"""The training loop of every model: schedule, EMA, checkpoints, resume, progress, learning curve.

A batch is a pure function of the seed and the step, and a checkpoint holds all else, so that a run which was
interrupted and resumed ends with the very weights of one that was not.
"""

from __future__ import annotations

import copy
import csv
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

CHECKPOINT = "checkpoint.pth"
CURVE = "curve.csv"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a model learns.

    Attributes:
        steps: Optimiser steps in all.
        lr: Learning rate after the warm-up; constant until it falls.
        warmup: Steps over which the rate rises linearly from 0.
        decay: Share (0..1) of the steps, at the end, over which the rate falls linearly to 0. Constant and
            then down, unlike a cosine, allows `steps` to be changed while a run is under way.
        weight_decay: AdamW's; not on biases and norms.
        ema: Largest decay of the moving average of the weights; smaller at first, (1 + n) / (10 + n).
        clip: Largest norm of the gradient.
    """

    steps: int
    lr: float
    warmup: int = 100
    decay: float = 0.3
    weight_decay: float = 0.05
    ema: float = 0.998
    clip: float = 10.0

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step, 0..steps-1."""
        falling = max(1.0, self.steps * self.decay)
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup), (self.steps - step) / falling)


class Task(Protocol):
    """What a model's own module brings to the loop."""

    network: nn.Module
    """All that is trained, heads that only help in training included."""

    def losses(self, step: int, progress: float) -> dict[str, Tensor]:
        """Returns named losses of the batch of `step`; their sum is minimised."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Returns figures on pictures kept out of training."""


def build_optimiser(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Returns AdamW with weight decay on matrices and kernels only."""
    decayed = [value for value in network.parameters() if value.ndim > 1]
    plain = [value for value in network.parameters() if value.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": schedule.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=schedule.lr, fused=True)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, limit: float) -> None:
    """Moves `average` towards `network`: weights and the statistics of batch norms, counters copied."""
    keep = min(limit, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)


class Training:
    """One run in one folder, resumable at any time."""

    def __init__(self, task: Task, schedule: Schedule, folder: Path, autocast: bool = False) -> None:
        """Takes up what `folder` holds, or starts anew.

        Args:
            task: The model and its losses.
            schedule: See `Schedule`.
            folder: Receives the checkpoint and the learning curve.
            autocast: Compute in BF16 where that is allowed; only worth it on processors that have it.
        """
        self.task, self.schedule, self.folder = task, schedule, folder
        self.autocast = autocast
        self.device = next(task.network.parameters()).device
        self.average = copy.deepcopy(task.network).eval().requires_grad_(False)
        self.optimiser = build_optimiser(task.network, schedule)
        self.step = 0
        self.seconds = 0.0
        self._stop = False
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.folder / CHECKPOINT, map_location=self.device, weights_only=True)
        self.task.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        state = {
            "network": self.task.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = self.folder / f".{CHECKPOINT}.{os.getpid()}"
        torch.save(state, temporary)
        temporary.replace(self.folder / CHECKPOINT)

    def run(
        self,
        until: int | None = None,
        save_seconds: float = 180.0,
        log_every: int = 50,
        validate_every: int = 500,
        progress: bool = True,
    ) -> None:
        """Trains up to step `until`, or to the end; an interrupt saves first.

        Args:
            until: Stop after so many steps in all, as an interruption would.
            save_seconds: Time between checkpoints.
            log_every: Steps between two rows of the learning curve.
            validate_every: Steps between two validations; 0 for none but the last.
            progress: Show a bar with an estimate.
        """
        end = min(until or self.schedule.steps, self.schedule.steps)
        previous = signal.signal(signal.SIGTERM, self._ask_to_stop)
        sums: dict[str, float] = {}
        saved = last = time.monotonic()
        bar = tqdm(total=self.schedule.steps, initial=self.step, unit="step", disable=not progress)
        try:
            while self.step < end and not self._stop:
                row = self._one_step()
                sums = {name: sums.get(name, 0.0) + value for name, value in row.items()}
                now = time.monotonic()
                self.seconds, last = self.seconds + now - last, now
                bar.update()
                if self.step % log_every == 0:
                    means = {name: value / log_every for name, value in sums.items()}
                    checked = validate_every and self.step % validate_every == 0
                    self._log(means, self.task.validate(self.average) if checked else {})
                    bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()})
                    sums = {}
                if now - saved > save_seconds:
                    self.save()
                    saved = now
            if self.step >= self.schedule.steps:
                self._log({}, self.task.validate(self.average))
        except KeyboardInterrupt:
            self._stop = True
        finally:
            bar.close()
            signal.signal(signal.SIGTERM, previous)
        self.save()

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self._stop = True

    def _one_step(self) -> dict[str, float]:
        rate = self.schedule.rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.task.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            losses = self.task.losses(self.step, self.step / self.schedule.steps)
            total = torch.stack(list(losses.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.task.network.parameters(), self.schedule.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        update_average(self.average, self.task.network, self.step, self.schedule.ema)
        return {name: float(value.detach()) for name, value in losses.items()} | {"gradient": float(norm)}

    def _log(self, losses: dict[str, float], figures: dict[str, float]) -> None:
        path = self.folder / CURVE
        new = not path.exists()
        with path.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(["step", "seconds", "name", "value"])
            for name, value in (losses | figures).items():
                writer.writerow([self.step, round(self.seconds, 1), name, f"{value:.6g}"])
