"""The columns of every table that a run writes, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

STR, INT, FLOAT = "str", "int64", "float64"

_REMEDIES = {
    "models": STR, "backend": STR, "precision": STR, "remedy": STR, "condition": STR, "severity": INT,
    "metric": STR, "value": FLOAT, "low": FLOAT, "high": FLOAT, "n": INT, "unit": STR,
}  # fmt: skip

SCHEMAS: Mapping[str, Mapping[str, str]] = {
    # One row for each model on each back end and precision. `weights` is trained or random.
    "backends.csv": {
        "model": STR, "backend": STR, "precision": STR, "device": STR, "status": STR, "reason": STR,
        "provider_used": STR, "weights": STR, "artifact": STR, "size_bytes": FLOAT, "build_s": FLOAT,
    },
    # One row for each quantity compared with mmdet or mmpose. Differences are in `unit`.
    "parity.csv": {
        "model": STR, "backend": STR, "precision": STR, "status": STR, "reason": STR, "reference": STR,
        "quantity": STR, "unit": STR, "n": INT, "max_diff": FLOAT, "p999_diff": FLOAT,
        "share_within": FLOAT, "tolerance": FLOAT, "passed": STR, "weights": STR,
    },
    # One row for each artefact (`files`: two files or fused), back end and precision against FP32: pixels on
    # the same pictures, and the change of AP (0..1) with its 95 % interval where there is ground truth.
    "proof.csv": {
        "models": STR, "files": STR, "backend": STR, "precision": STR, "status": STR, "reason": STR,
        "passed": STR, "weights": STR, "reference": STR, "images": INT, "boxes": INT, "unpaired": INT,
        "keypoints": INT, "box_max_px": FLOAT, "keypoint_max_px": FLOAT, "keypoint_p999_px": FLOAT,
        "share_within": FLOAT, "size_bytes": FLOAT, "keypoint_ap": FLOAT, "keypoint_change": FLOAT,
        "keypoint_low": FLOAT, "keypoint_high": FLOAT, "person_ap": FLOAT, "person_change": FLOAT,
        "person_low": FLOAT, "person_high": FLOAT,
    },
    # One row for each layer that could lose precision in a file: what it alone does to the outputs, in
    # decibels of signal over noise, its place in the network, and whether it stays FP32. A model without
    # such a file has one row with its reason.
    "layers.csv": {
        "model": STR, "precision": STR, "status": STR, "reason": STR, "weights": STR, "layer": STR,
        "kind": STR, "place": INT, "signal_db": FLOAT, "stays": STR,
    },
    # One row for each timed call and stage; stage "total" is the whole call.
    "latency.parquet": {
        "config": STR, "models": STR, "backend": STR, "precision": STR, "device": STR,
        "pipeline": STR, "stage": STR,
        "persons": INT, "block": INT, "repeat": INT, "ms": FLOAT, "weights": STR,
    },
    # One row for each configuration of the benchmark, those that could not run included.
    "configs.csv": {
        "config": STR, "models": STR, "backend": STR, "precision": STR, "device": STR,
        "pipeline": STR, "status": STR,
        "reason": STR, "weights": STR, "provider_used": STR, "threads": FLOAT, "size_bytes": FLOAT,
        "load_s": FLOAT, "first_call_ms": FLOAT, "digest": STR, "cold_start": STR,
        "peak_memory_mb": FLOAT, "gpu_memory_mb": FLOAT,
    },
    # One row for each block of timed calls: what the machine was doing meanwhile. NaN where it does not tell.
    "machine.csv": {
        "config": STR, "persons": INT, "block": INT, "calls": INT, "seconds": FLOAT, "clock_mhz": FLOAT,
        "governor": STR, "temperature_c": FLOAT, "others_cores": FLOAT, "stolen_share": FLOAT,
        "throttled": FLOAT, "cpu_joules": FLOAT, "gpu_joules": FLOAT, "gpu_clock_mhz": FLOAT,
        "gpu_temperature_c": FLOAT,
    },
    # Keypoint AP of the very files that were timed (`digest`), 0..1; `loss` is what it gives up against
    # `against`, paired picture by picture, also 0..1. low and high bound 95 % intervals.
    "accuracy.csv": {
        "config": STR, "models": STR, "pipeline": STR, "status": STR, "reason": STR, "digest": STR,
        "boxes": STR, "images": INT, "persons": INT, "ap": FLOAT, "ap_low": FLOAT, "ap_high": FLOAT,
        "against": STR, "loss": FLOAT, "loss_low": FLOAT, "loss_high": FLOAT,
    },
    # One row for each keypoint that was predicted, in image pixels.
    "poses.parquet": {
        "models": STR, "backend": STR, "precision": STR, "image": STR, "condition": STR,
        "severity": INT, "boxes": STR, "person": INT, "keypoint": STR, "x": FLOAT, "y": FLOAT,
        "score": FLOAT,
    },
    # One row for each predicted person: its box in image pixels. Where boxes is "candidate", the row is
    # a box that the detector scored too low for a pose (.05 to its threshold); instance_score is then NaN.
    # Where it is "whole_picture", nobody was found and the picture itself was posed, for comparison only.
    "persons.parquet": {
        "models": STR, "backend": STR, "precision": STR, "image": STR, "condition": STR,
        "severity": INT, "boxes": STR, "person": INT, "x1": FLOAT, "y1": FLOAT, "x2": FLOAT,
        "y2": FLOAT, "box_score": FLOAT, "instance_score": FLOAT,
    },
    # One row for each figure of the robustness study; low and high bound its 95 % interval. severity is 0
    # for the published conditions; condition "corrupted" is the mean over all but clean (mPC, rPC).
    "metrics.csv": {
        "models": STR, "backend": STR, "precision": STR, "condition": STR, "severity": INT,
        "boxes": STR, "metric": STR, "value": FLOAT, "low": FLOAT, "high": FLOAT, "n": INT,
        "unit": STR, "reference": STR,
    },
    # One row for each figure of a remedy under a condition; `gain` and `ms_added` are against the same
    # pipeline without it, paired picture by picture. "frame gate" has its own figures.
    "remedies.csv": _REMEDIES,
    # The same on video, where a remedy has memory; `gain` of OKS with the clean prediction, `kept_gain` of
    # persons kept; n counts frames.
    "video_remedies.csv": _REMEDIES,
    # One row for each figure of a precision under a condition; `change` is against the run's own precision,
    # `extra_change` that minus the change on the clean pictures, both paired picture by picture.
    "precisions.csv": {
        "models": STR, "backend": STR, "precision": STR, "status": STR, "reason": STR,
        "condition": STR, "severity": INT, "boxes": STR, "metric": STR, "value": FLOAT, "low": FLOAT,
        "high": FLOAT, "n": INT, "unit": STR,
    },
    # One row for each reference person (kind "person"), who ends in exactly one category, and for each
    # prediction that is nobody's (kind "extra"). person counts within image and kind. joints holds
    # one letter for each of the 17 keypoints: g good, j jitter, i inversion, s swap, m miss, x lost with
    # the person, - not labelled. overlap is the greatest box IoU with another reference person.
    "failures.csv": {
        "models": STR, "backend": STR, "precision": STR, "image": STR, "condition": STR,
        "severity": INT, "boxes": STR, "kind": STR, "person": INT, "category": STR, "iou": FLOAT,
        "oks": FLOAT, "score": FLOAT, "area": FLOAT, "visible_keypoints": INT, "overlap": FLOAT,
        "joints": STR, "reference": STR,
    },
}  # fmt: skip
"""Column name -> dtype of every table. `boxes` says where a person's box came from: detected,
truth, clean, or detected_on_clean (detected on the corrupted picture, posed on the clean one);
`reference` what a figure was compared with: truth or the clean prediction."""
