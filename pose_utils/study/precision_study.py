"""Does a lower precision break first where pictures are bad? The same pictures in every precision, paired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.backends import open_backend
from pose_utils.runtime.backends.base import Backend
from pose_utils.runtime.pipeline import Detector, PoseEstimator, PosePipeline
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.condition_pass import skipped_pictures
from pose_utils.study.headline import headline, headline_metric
from pose_utils.study.intervals import resampling_weights
from pose_utils.study.predictions import Maker, Setting, poses_of
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import picture_names, run_robustness

FOLDER = "precisions"
"""Where the predictions lie, below the run's own folder: its other records are of one precision."""

MODES = ("detected", "truth")


def study_precisions(
    base: PosePipeline,
    images: Sequence[Path],
    conditions: Sequence[str],
    variants: Sequence[tuple[str, str]],
    *,
    truth: GroundTruth | None,
    seed: int,
    run: RunFolder,
    bootstrap: int = 1000,
    progress: bool = True,
) -> pd.DataFrame:
    """Runs every precision under the conditions and writes precisions.csv.

    For each: keypoint AP (without truth: OKS with the clean prediction of `base`); `change`, that minus the
    figure of `base` under the same condition; and `extra_change`, the change minus the change on the clean
    pictures, which is below 0 where a precision breaks under the condition more than it does anyway.

    Args:
        base: What the others are compared with, FP32.
        images: Pictures.
        conditions: As `conditions.expand` takes them; clean is added.
        variants: (back end, precision) to compare.
        truth: Annotations of the pictures, or None.
        seed: Of corruptions and resamples.
        run: Where precisions.csv goes; a killed study goes on from the parts below it.
        bootstrap: Resamples of the pictures.
        progress: Shows bars.
    """
    own = Maker(base.models, base.backend, base.precision)
    rows, opened = [], {own: base}
    for maker in [Maker(base.models, *variant) for variant in variants]:
        try:
            if maker != own:
                opened[maker] = in_precision(base, maker.backend, maker.precision)
        except (Unavailable, AssetError) as error:
            rows.append(_row(maker, status="skipped", reason=str(error).splitlines()[0]))
    if len(opened) > 1:
        folder = run.path / FOLDER
        inner = RunFolder(folder) if (folder / "run.json").is_file() else RunFolder.create({}, folder)
        for pipeline in opened.values():
            run_robustness(pipeline, images, conditions, truth=truth, seed=seed, run=inner, boxes=MODES,
                           bootstrap=2, progress=progress)  # fmt: skip
        rows += _compare(inner, list(opened), images, truth, seed, bootstrap)
    return run.write("precisions.csv", pd.DataFrame(rows))


def in_precision(base: PosePipeline, backend: str, precision: str) -> PosePipeline:
    """Opens the same weights on another back end or in another precision.

    Raises:
        Unavailable, AssetError: This machine or this model does not permit it.
    """
    if base.detector is None or not base.takes_boxes:
        raise Unavailable(f"{base.models} exists in one precision, on {base.backend} only")

    def again(used: Backend) -> Backend:
        artifact = used.artifact
        model = artifact if artifact.format == "onnx" else artifact.spec
        return open_backend(backend, model, precision, used.device, used.threads, artifact.weights)

    detector, pose = again(base.detector.backend), again(base.pose.backend)
    return PosePipeline(Detector(detector), PoseEstimator(pose), base.min_score, base.max_persons)


def _compare(
    inner: RunFolder,
    makers: Sequence[Maker],
    images: Sequence[Path],
    truth: GroundTruth | None,
    seed: int,
    bootstrap: int,
) -> list[dict]:
    persons, joints = inner.read("persons.parquet"), inner.read("poses.parquet")
    metrics = inner.read("metrics.csv")
    ran = metrics.loc[metrics["metric"] == "fps", ["condition", "severity", "boxes"]].drop_duplicates()
    skipped = skipped_pictures(inner)
    names = [name for name in picture_names(images) if name not in skipped]
    weights = resampling_weights(len(names), bootstrap, seed)

    def found(maker: Maker, setting: Setting) -> list:
        return poses_of(persons[maker.of(persons)], joints[maker.of(joints)], setting, names)

    reference = found(makers[0], Setting("clean", 0, "detected"))
    figures = {
        (maker, *key): headline(found(maker, Setting(*key)), names, truth, reference, weights)
        for key in ran.itertuples(index=False, name=None) for maker in makers
    }  # fmt: skip
    rows = []
    for (maker, condition, severity, mode), figure in figures.items():
        change = figure - figures[makers[0], condition, severity, mode]
        clean = figures[maker, "clean", 0, mode] - figures[makers[0], "clean", 0, mode]
        values = {headline_metric(truth): figure, "change": change, "extra_change": change - clean}
        for metric, value in values.items():
            low, high = value.interval()
            rows.append(_row(maker, condition=condition, severity=severity, boxes=mode, metric=metric,
                             value=value.value, low=low, high=high, n=len(names)))  # fmt: skip
    return rows


def _row(maker: Maker, **values: object) -> dict:
    return maker.columns() | {
        "status": "ok", "reason": "", "condition": "", "severity": 0, "boxes": "", "metric": "",
        "value": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0, "unit": "share",
    } | values  # fmt: skip
