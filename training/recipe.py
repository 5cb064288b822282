"""A config made to run: its phases one after the other, each in a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from pose_utils.errors import UsageError
from pose_utils.zoo import assets
from pose_utils.zoo.specs import get_spec
from training.crops import NONE, Augmentation, CropSource
from training.detector import DetectorTask
from training.loop import CHECKPOINT, Schedule, Task, Training
from training.material import Material, find_labels
from training.pictures import split
from training.pose import PoseTask
from training.publish import publish, published_state


@dataclass(frozen=True)
class Recipe:
    """A config file and the folder of its runs.

    Attributes:
        name: Of the config file.
        config: Its content.
        folder: Holds a folder for each phase in `name`/.
        steps: Steps of every phase.
    """

    name: str
    config: Config
    folder: Path
    steps: tuple[int, ...]

    @classmethod
    def read(cls, file: Path, folder: Path, steps: list[int] | None = None) -> Recipe:
        """Reads a config; raises UsageError where it is missing or `steps` does not fit its phases."""
        if not file.is_file():
            raise UsageError(f"{file} is no config; training/configs/ has them")
        config = Config.fromfile(file)
        counts = tuple(steps or (phase.schedule.steps for phase in config.phases))
        if len(counts) != len(config.phases):
            raise UsageError(f"{file.name} has {len(config.phases)} phases: give as many numbers of steps")
        return cls(file.stem, config, folder, counts)

    def place(self, phase: int) -> Path:
        """Returns the folder of a phase, 0 for the first and -1 for the last."""
        return self.folder / self.name / self.config.phases[phase].name

    def run(
        self,
        found: Material,
        device: str = "cpu",
        bf16: bool = False,
        corrupt: float = 0.0,
        until: int | None = None,
    ) -> None:
        """Trains every phase that is not done yet.

        Args:
            found: The pictures.
            device: cpu or cuda.
            bf16: Autocast.
            corrupt: Share of pictures that get a corruption.
            until: Stop after so many steps of the phase in hand.
        """
        start = None
        for index, phase in enumerate(self.config.phases):
            task = self._task(found, phase, index, device, corrupt, start)
            schedule = Schedule(**{**phase.schedule, "steps": self.steps[index]})
            training = Training(task, schedule, self.place(index), bf16)
            if training.step < schedule.steps:
                training.run(until, validate_every=phase.validate_every)
            if training.step < schedule.steps:
                return
            start = training.average.state_dict()

    def _task(
        self, found: Material, phase: Config, index: int, device: str, corrupt: float, start: dict | None
    ) -> Task:
        config = self.config
        shared = {"model": config.model, "seed": config.seed, "device": device, "corrupt": corrupt}
        if config.task == "detector":
            scenes, held_out = split(found.scenes, config.data.hold_out_every)
            pictures = {"scenes": scenes, "sports": found.sports}
            return DetectorTask(pictures, held_out, assets.fetch(config.teacher), **phase.options, **shared)
        labels = find_labels(found, self.folder)
        kept = hold_out(labels.files, config.data.hold_out_every)
        size = get_spec(config.model).input_size
        source, looked_at = (
            CropSource(labels.rows(rows), found.root, size, config.seed + index, how, shares)
            for rows, how, shares in (
                (~kept, Augmentation(**config.data.augmentation), config.data.shares),
                (kept, NONE, {}),
            )
        )
        return PoseTask(source, looked_at, start=start, **phase.options, **shared)

    def publish(self, target: Path) -> str:
        """Writes the last phase's averaged weights to `target` and returns their sha256.

        Raises:
            UsageError: The training is not done.
        """
        checkpoint = self.place(-1) / CHECKPOINT
        if not checkpoint.exists():
            raise UsageError(f"{checkpoint} does not exist: run the training first")
        done = torch.load(checkpoint, map_location="cpu", weights_only=True)["step"]
        if done < self.steps[-1]:
            raise UsageError(f"{checkpoint} is at step {done} of {self.steps[-1]}: finish the training first")
        state = published_state(checkpoint, "pose." if self.config.task == "pose" else "")
        about = {
            "model": self.config.model,
            "trained by": f"training/configs/{self.name}.py",
            "steps": str(done),
        }
        return publish(state, target, about)


def hold_out(files: np.ndarray, every: int) -> np.ndarray:
    """Marks, bool (n,), the persons of every `every`-th picture: it is held out whole or not at all."""
    return np.isin(files, np.unique(files)[::every])
