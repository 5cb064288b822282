"""Keypoint AP of the very files and precisions that the benchmark times, on a bounded number of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from pose_utils.errors import AssetError, InputError, Unavailable
from pose_utils.runtime.media import read_image
from pose_utils.study.accuracy import figures, match_keypoints
from pose_utils.study.annotations import GroundTruth
from pose_utils.study.configurations import FULL, FUSED, POSE_ONLY, VIDEO, Config
from pose_utils.study.intervals import Estimate, estimate, resampling_weights
from pose_utils.study.records import RunFolder
from pose_utils.study.timed_frames import FusedRow, Opened, load

RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class _Measured:
    ap: Estimate
    persons: int
    images: int


def measure_accuracy(
    configs: Sequence[Config],
    run: RunFolder,
    truth: GroundTruth | None,
    seed: int = 0,
    threads: int | None = None,
) -> pd.DataFrame:
    """Measures AP of every configuration that configs.csv says ran, and writes accuracy.csv.

    Pose-only configurations get the annotated boxes, the others find their own.

    Args:
        configs: The configurations of the benchmark.
        run: Holds configs.csv, whose digests the figures are of; accuracy.csv goes there.
        truth: Pictures with annotated persons; None where there are none.
        seed: Of the resampling of pictures, shared by all configurations so that losses are paired.
        threads: CPU threads; None for all cores this process may use.
    """
    timed = run.read("configs.csv").set_index("config")
    measured: dict[str, _Measured] = {}
    rows = []
    for config in tqdm(configs, desc="accuracy", unit="configuration"):
        row = _row(config, timed.loc[config.name])
        if row["status"] == "ok" and truth is None:
            row |= {"status": "skipped", "reason": "no annotated pictures here"}
        if row["status"] == "ok":
            try:
                found = _measure(load(config, threads), config, truth, seed)
                measured[config.name] = found
                low, high = found.ap.interval()
                row |= {"images": found.images, "persons": found.persons, "ap": found.ap.value,
                        "ap_low": low, "ap_high": high}  # fmt: skip
            except (Unavailable, AssetError, InputError) as error:
                row |= {"status": "skipped", "reason": str(error).splitlines()[0]}
            except Exception as error:
                row |= {"status": "failed", "reason": f"{type(error).__name__}: {str(error)[:200]}"}
        rows.append(row)
    for config, row in zip(configs, rows, strict=True):
        reference = _reference(config, [each for each in configs if each.name in measured])
        if config.name in measured and reference:
            loss = measured[reference].ap - measured[config.name].ap
            low, high = loss.interval()
            row |= {"against": reference, "loss": loss.value, "loss_low": low, "loss_high": high}
    return run.write("accuracy.csv", rows)


def _reference(config: Config, measured: Sequence[Config]) -> str | None:
    """The first FP32 configuration of the same models and pipeline: PyTorch where it runs, as listed.

    A fused file does what the two files do, and is held against them.
    """
    job = (config.models, FULL if config.pipeline == FUSED else config.pipeline)
    same = (each for each in measured if each.precision == "fp32" and (each.models, each.pipeline) == job)
    return next((each.name for each in same), None)


def _row(config: Config, timed: pd.Series) -> dict:
    row = {
        "config": config.name, "models": config.models, "pipeline": config.pipeline, "status": "ok",
        "reason": "", "digest": timed["digest"], "images": 0, "persons": 0,
        "boxes": "truth" if config.pipeline == POSE_ONLY else "detected",
        "ap": np.nan, "ap_low": np.nan, "ap_high": np.nan, "against": "", "loss": np.nan,
        "loss_low": np.nan, "loss_high": np.nan,
    }  # fmt: skip
    if timed["status"] != "ok":
        return row | {"status": "skipped", "reason": f"did not run: {timed['reason']}"}
    if timed["weights"] != "trained":
        return row | {"status": "skipped", "reason": "random weights have no accuracy"}
    if config.pipeline == VIDEO:
        return row | {"status": "skipped", "reason": "video has no annotated pictures one by one"}
    return row


def _measure(opened: Opened, config: Config, truth: GroundTruth, seed: int) -> _Measured:
    if isinstance(opened, FusedRow):
        find = opened.delivered()  # its own threshold is the one that AP is measured with
    else:
        find = opened
        find.min_score = (find.detector or find.pose).spec.ap_score
    results: list[dict] = []
    for image in truth.images:
        pixels = read_image(image.path)
        given = {"boxes": image.persons.boxes[image.persons.posed]} if config.pipeline == POSE_ONLY else {}
        results += find(pixels, **given).to_coco(image.id)
    matches = match_keypoints(truth, results)
    weights = resampling_weights(len(matches.image_ids), RESAMPLES, seed)
    return _Measured(estimate(figures(matches, weights)["ap"]), truth.persons, len(truth.images))
