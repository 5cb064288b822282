"""What notebooks 05 and 06 do, as one function each over the run folder that they share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pose_utils.study.chapters import finder_of
from pose_utils.study.failures import run_failures
from pose_utils.study.material import Material, choose_material
from pose_utils.study.plan import get_plan
from pose_utils.study.precision_study import study_precisions
from pose_utils.study.records import RunFolder
from pose_utils.study.remedy_study import study_remedies
from pose_utils.study.robustness import picture_names, run_robustness
from pose_utils.study.video_remedies import study_video
from pose_utils.zoo.samples import sample_clip


def study_conditions(
    run: RunFolder, profile: str, seed: int, device: str, images: str, annotations: str, conditions: str
) -> Material:
    """Runs the robustness study (conditions "": the plan's), and returns the pictures it ran on."""
    plan = get_plan(profile)
    material = choose_material(images, annotations, plan.pictures)
    run.update_info(material={"origin": material.origin, "images": images, "annotations": annotations})
    run_robustness(
        finder_of(run, device, for_ap=material.truth is not None),
        material.paths,
        conditions.split(",") if conditions else plan.conditions,
        truth=material.truth,
        seed=seed,
        run=run,
        bootstrap=plan.bootstrap,
    )
    return material


def study_failures(run: RunFolder, profile: str) -> pd.DataFrame:
    """Classifies what the robustness study predicted and writes failures.csv."""
    material = material_of(run, profile)
    return run_failures(run, truth=material.truth, names=list(picture_names(material.paths)))


def try_remedies(run: RunFolder, profile: str, seed: int, device: str = "cpu") -> pd.DataFrame:
    """Tries every remedy on some of the pictures of the robustness study and writes remedies.csv."""
    plan, material = get_plan(profile), material_of(run, profile)
    return study_remedies(
        finder_of(run, device, for_ap=material.truth is not None),
        _spread(material.paths, plan.remedy_pictures),
        plan.remedy_conditions,
        truth=material.truth,
        seed=seed,
        run=run,
        bootstrap=plan.bootstrap,
    )


def compare_precisions(run: RunFolder, profile: str, seed: int, device: str = "cpu") -> pd.DataFrame:
    """Runs every precision in the dark and under noise on some of the pictures; writes precisions.csv."""
    plan, material = get_plan(profile), material_of(run, profile)
    return study_precisions(
        finder_of(run, device, for_ap=material.truth is not None),
        _spread(material.paths, plan.precision_pictures),
        plan.precision_conditions,
        plan.precisions,
        truth=material.truth,
        seed=seed,
        run=run,
        bootstrap=plan.bootstrap,
    )


def try_video(run: RunFolder, profile: str, seed: int, device: str = "cpu") -> pd.DataFrame:
    """Tries what memory between frames buys on the sample clip and writes video_remedies.csv."""
    plan = get_plan(profile)
    return study_video(
        finder_of(run, device),
        sample_clip(),
        plan.video_frames,
        plan.remedy_conditions,
        seed=seed,
        run=run,
        bootstrap=plan.bootstrap,
    )


def material_of(run: RunFolder, profile: str) -> Material:
    """Returns the pictures that the robustness study of this run used."""
    chosen = run.info().get("material", {})
    return choose_material(
        chosen.get("images", ""), chosen.get("annotations", ""), get_plan(profile).pictures
    )


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    """Returns `count` of the files at most, spread over all of them."""
    places = np.linspace(0, len(files) - 1, min(count, len(files)))
    return [files[index] for index in places.round().astype(int)]
