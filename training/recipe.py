"""A config made to run: its phases one after the other, each in a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from pose_utils.errors import UsageError
from pose_utils.zoo import assets
from pose_utils.zoo.export import export_onnx
from pose_utils.zoo.specs import get_spec
from training.crops import NONE, Augmentation, CropSource
from training.detector import DetectorTask
from training.loop import CHECKPOINT, Schedule, Task, Training
from training.material import Material, find_labels
from training.pictures import split
from training.pose import PoseTask
from training.publish import publish, published_state, read_state


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
        begin: Path | None = None,
    ) -> None:
        """Trains every phase that is not done yet.

        Args:
            found: The pictures.
            device: cpu or cuda.
            bf16: Autocast.
            corrupt: Share of pictures that get a corruption.
            until: Stop after so many steps of the phase in hand.
            begin: A file that `keep` wrote: phases before its own are left out, and its own begins with its
                weights, unless there is a checkpoint already.
        """
        start, first = None, 0
        if begin is not None:
            start, facts = read_state(begin)
            names = [phase.name for phase in self.config.phases]
            if (facts.get("model"), facts["phase"]) not in {(self.config.model, name) for name in names}:
                raise UsageError(f"{begin} is of {facts.get('model')}, {facts['phase']}, not of {self.name}")
            first = names.index(facts["phase"])
        for index, phase in list(enumerate(self.config.phases))[first:]:
            task = self._task(found, phase, index, device, corrupt, start)
            training = self._trained(task, phase, self.steps[index], self.place(index), bf16, until)
            if training.step < self.steps[index]:
                return
            start = training.average.state_dict()

    def run_pair(
        self, found: Material, share: float, steps: int, device: str = "cpu", bf16: bool = False
    ) -> None:
        """Fine-tunes the trained model twice, with corruptions and without, to tell what they buy.

        Both start from the last phase's averaged weights, see the same pictures in the same order, and take
        the same number of steps; they lie in `pair-corrupted` and `pair-plain`.

        Args:
            found: The pictures.
            share: Share of pictures that get a corruption in the one run.
            steps: Of each.
            device: cpu or cuda.
            bf16: Autocast.
        """
        start = self._average(-1)
        phase, index = self.config.phases[-1], len(self.config.phases)
        for name, corrupt in (("pair-plain", 0.0), ("pair-corrupted", share)):
            task = self._task(found, phase, index, device, corrupt, start)
            self._trained(task, phase, steps, self.folder / self.name / name, bf16, None)

    def _trained(
        self, task: Task, phase: Config, steps: int, folder: Path, bf16: bool, until: int | None
    ) -> Training:
        training = Training(task, Schedule(**{**phase.schedule, "steps": steps}), folder, bf16)
        if training.step < steps:
            training.run(until, validate_every=phase.validate_every)
        return training

    def _average(self, phase: int) -> dict[str, torch.Tensor]:
        """Returns the averaged weights of a phase; raises UsageError where it is not done."""
        checkpoint = self.place(phase) / CHECKPOINT
        state = (
            torch.load(checkpoint, map_location="cpu", weights_only=True)
            if checkpoint.exists()
            else {"step": 0}
        )
        if state["step"] < self.steps[phase]:
            raise UsageError(
                f"{checkpoint} is at step {state['step']} of {self.steps[phase]}: finish the training first"
            )
        return state["average"]

    def _task(
        self, found: Material, phase: Config, index: int, device: str, corrupt: float, start: dict | None
    ) -> Task:
        config = self.config
        shared = {"model": config.model, "seed": config.seed, "device": device, "corrupt": corrupt}
        if config.task == "detector":
            scenes, held_out = split(found.scenes, config.data.hold_out_every)
            pictures = {"scenes": scenes, "sports": found.sports}
            teacher = assets.fetch(config.teacher)
            return DetectorTask(pictures, held_out, teacher, start=start, **phase.options, **shared)
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

    def keep(self, target: Path) -> str:
        """Writes what training has come to, heads that only train included, to go on from elsewhere.

        Returns:
            The phase and its step.

        Raises:
            UsageError: Nothing was trained yet.
        """
        for index in reversed(range(len(self.steps))):
            checkpoint = self.place(index) / CHECKPOINT
            if checkpoint.exists():
                state = torch.load(checkpoint, map_location="cpu", weights_only=True)
                phase, step = self.config.phases[index].name, str(state["step"])
                facts = {"model": self.config.model, "phase": phase, "step": step}
                publish(published_state(state["average"]), target, facts)
                return f"{phase}, step {step}"
        raise UsageError(f"{self.folder / self.name} holds no checkpoint: `python -m training run` first")

    def publish(self, target: Path, run: str | None = None) -> str:
        """Writes averaged weights to `target` and returns their sha256.

        Args:
            target: A .safetensors file, or an .onnx file for `pose_utils evaluate` and `robustness`.
            run: Folder of the run, such as pair-plain; None for the last phase.

        Raises:
            UsageError: The training is not done, or `target` is of another kind.
        """
        if target.suffix not in (".safetensors", ".onnx"):
            raise UsageError(f"{target.name}: give a .safetensors or an .onnx file")
        if run is None:
            average = self._average(-1)
        else:
            checkpoint = self.folder / self.name / run / CHECKPOINT
            if not checkpoint.exists():
                raise UsageError(f"{checkpoint} does not exist: train the pair first")
            average = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
        state = published_state(average, "pose." if self.config.task == "pose" else "")
        about = {"model": self.config.model, "trained by": f"training/configs/{self.name}.py"}
        weights = target.with_suffix(".safetensors")
        digest = publish(state, weights, about)
        if target.suffix == ".onnx":
            export_onnx(get_spec(self.config.model), weights, target, digest)
        return digest


def hold_out(files: np.ndarray, every: int) -> np.ndarray:
    """Marks, bool (n,), the persons of every `every`-th picture: it is held out whole or not at all."""
    return np.isin(files, np.unique(files)[::every])
