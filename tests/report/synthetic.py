"""Made-up records in the shape of real ones, for the tests of figures and of the page."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from pose_utils.study.schemas import SCHEMAS

CONDITIONS = ("clean", "motion_blur_light", "motion_blur_heavy", "low_light_moderate", "low_light_severe",
              "overexposure", "noise_moderate", "noise_heavy", "occlusion")  # fmt: skip

_STAGE_MS = {
    "decode": 2.1,
    "letterbox": 1.3,
    "detect": 1.0,
    "nms": 0.4,
    "crop": 0.5,
    "pose": 1.0,
    "keypoints": 0.2,
}

_CONFIGS = {  # config: backend, precision, milliseconds of the detector, of the pose model for one person
    "torch-fp32-cpu": ("torch", "fp32", 210.0, 41.0),
    "onnxruntime-fp32-cpu": ("onnxruntime", "fp32", 118.0, 18.0),
    "openvino-fp32-cpu": ("openvino", "fp32", 112.0, 17.0),
    "openvino-bf16-cpu": ("openvino", "bf16", 31.0, 5.7),
}


def _shaped(table, rows) -> pd.DataFrame:
    """Gives rows the columns of today's schema; what a test doesn't look at is empty."""
    empty = {"str": "", "int64": 0, "float64": np.nan}
    frame = pd.DataFrame(rows)
    return pd.DataFrame({name: frame.get(name, empty[kind]) for name, kind in SCHEMAS[table].items()})


def latency(persons=(1, 4, 8), blocks=5, repeats=6, weights="trained", configs=_CONFIGS) -> pd.DataFrame:
    """Rows of latency.parquet with a drift between blocks and a tail."""
    rng = np.random.default_rng(0)
    rows = []
    for config, (backend, precision, detect, pose) in configs.items():
        for count in persons:
            for block in range(blocks):
                drift = rng.normal(1, 0.02)
                for repeat in range(repeats):
                    noise = drift * (1 + rng.gamma(1.2, 0.01))
                    stages = _STAGE_MS | {"detect": detect, "pose": pose * count, "crop": 0.5 * count}
                    stages = {name: ms * noise for name, ms in stages.items()}
                    stages["total"] = sum(stages.values())
                    rows += [
                        {"config": config, "models": "rtmdet-m+rtmpose-m", "backend": backend,
                         "precision": precision, "device": "cpu", "pipeline": "detect+pose", "stage": name,
                         "persons": count, "block": block, "repeat": repeat, "ms": ms,
                         "weights": weights}
                        for name, ms in stages.items()
                    ]  # fmt: skip
    return _shaped("latency.parquet", rows)


def configs(**override) -> pd.DataFrame:
    """Rows of configs.csv: four that ran and two that could not."""
    rows = [
        {"config": name, "models": "rtmdet-m+rtmpose-m", "backend": backend, "precision": precision,
         "pipeline": "detect+pose", "status": "ok", "reason": "", "weights": "trained",
         "provider_used": "CPUExecutionProvider", "threads": 2.0, "size_bytes": 1.5e8, "load_s": 1.2,
         "first_call_ms": 420.0}
        for name, (backend, precision, *_) in _CONFIGS.items()
    ]  # fmt: skip
    for name, reason in (("onnxruntime-fp32-cuda", "no NVIDIA GPU answers"),
                         ("tensorrt-fp16-cuda", "libnvinfer.so.10 is not installed")):  # fmt: skip
        rows.append(
            rows[0] | {"config": name, "backend": name.split("-")[0], "status": "skipped", "reason": reason}
        )
    return _shaped("configs.csv", rows).assign(**override)


def accuracy(**losses) -> pd.DataFrame:
    """Rows of accuracy.csv: AP .7 less what `losses` takes from a back end or precision."""
    rows = [
        {"config": name, "models": "rtmdet-m+rtmpose-m", "pipeline": "detect+pose", "status": "ok",
         "reason": "", "digest": "a+b", "boxes": "detected", "images": 24, "persons": 60, "ap": 0.7 - loss,
         "ap_low": 0.6 - loss, "ap_high": 0.8 - loss, "against": "torch-fp32-cpu", "loss": loss,
         "loss_low": loss - 0.004, "loss_high": loss + 0.004}
        for name, (backend, precision, *_) in _CONFIGS.items()
        for loss in [losses.get(precision, losses.get(backend, 0.0))]
    ]  # fmt: skip
    lost = {"config": "tensorrt-fp16-cuda", "status": "skipped", "reason": "did not run: no driver"}
    return _shaped("accuracy.csv", [*rows, rows[0] | lost])


def machine(**override) -> pd.DataFrame:
    """Rows of machine.csv of a machine that tells nothing but how busy it was."""
    row = {"config": "torch-fp32-cpu", "persons": 1, "block": 0, "calls": 6, "seconds": 2.0,
           "governor": "not told", "others_cores": 0.25, "stolen_share": 0.0}  # fmt: skip
    return _shaped("machine.csv", [row, row | {"block": 1}]).assign(**override)


def backends(**override) -> pd.DataFrame:
    """Rows of backends.csv, one of each status."""
    ok = {"model": "rtmpose-m", "backend": "onnxruntime", "precision": "fp32", "device": "cpu",
          "status": "ok", "reason": "", "provider_used": "CPUExecutionProvider", "weights": "trained",
          "artifact": "rtmpose-m.onnx", "size_bytes": 5.4e7, "build_s": 3.1}  # fmt: skip
    rows = [
        ok, ok | {"model": "rtmdet-m", "size_bytes": 9.9e7},
        ok | {"backend": "openvino", "precision": "bf16"},
        ok | {"backend": "tensorrt_rtx", "precision": "fp16", "device": "sm86", "size_bytes": 3.1e7},
        ok | {"backend": "tensorrt", "precision": "fp16", "device": "cuda", "status": "skipped",
              "reason": "libnvinfer.so.10 is not installed", "size_bytes": None, "build_s": None},
        ok | {"backend": "litert", "status": "failed", "reason": "no model in it", "size_bytes": None},
    ]  # fmt: skip
    return _shaped("backends.csv", rows).assign(**override)


def parity() -> pd.DataFrame:
    """Rows of parity.csv: two quantities, one random model, one row that did not run."""
    ok = {"model": "rtmdet-nano", "backend": "onnxruntime", "precision": "fp32", "status": "ok", "reason": "",
          "reference": "mmdet", "quantity": "boxes", "unit": "px", "n": 812, "max_diff": 0.02,
          "p999_diff": 0.01, "share_within": 1.0,
          "tolerance": 0.5, "passed": "yes", "weights": "trained"}  # fmt: skip
    pose = ok | {"model": "rtmpose-m", "reference": "mmpose", "quantity": "keypoints", "weights": "random"}
    rows = [
        ok, ok | {"backend": "openvino", "max_diff": 0.004}, ok | {"backend": "torch", "max_diff": 0.0},
        pose | {"max_diff": 0.11},
        pose | {"backend": "openvino", "precision": "bf16", "max_diff": 0.9, "passed": "no"},
        pose | {"backend": "tensorrt", "status": "skipped", "reason": "libnvinfer.so.10 is not installed",
                "max_diff": None, "n": 0, "passed": ""},
    ]  # fmt: skip
    return _shaped("parity.csv", rows)


def layers() -> pd.DataFrame:
    """Rows of layers.csv: a detector in two precisions, and a random model without layers."""
    ok = {"model": "rtmdet-nano", "status": "ok", "reason": "", "weights": "trained"}
    kinds = {"Conv": 52.0, "MatMul": 31.0, "Sqrt": 90.0}
    rows = [
        ok | {"precision": precision, "layer": f"/{kind.lower()}_{place}", "kind": kind, "place": place,
              "signal_db": decibels + place - drop, "stays": "yes" if decibels - drop < 40 else "no"}
        for precision, drop in (("fp16", 0), ("int8", 20))
        for place, (kind, decibels) in enumerate([*kinds.items(), *kinds.items()], 1)
    ]  # fmt: skip
    random = ok | {"model": "rtmpose-t", "precision": "fp16", "status": "skipped", "weights": "random",
                   "reason": "random weights", "layer": "", "kind": "", "place": 0, "stays": ""}  # fmt: skip
    return _shaped("layers.csv", [*rows, random])


def metrics(severities=(0,), conditions=CONDITIONS) -> pd.DataFrame:
    """Rows of metrics.csv: keypoint AP with three kinds of boxes, and the detection rate."""
    rng = np.random.default_rng(1)
    rows = []
    for step, condition in enumerate(conditions):
        for severity in severities if condition != "clean" else (0,):
            loss = (0 if condition == "clean" else 0.04 + 0.03 * (step % 4)) * (1 + severity)
            for boxes, base in (("detected", 0.58), ("truth", 0.67), ("clean", 0.62)):
                value = max(0.02, base - loss * (1 if boxes == "detected" else 0.6))
                rows.append(
                    _metric(condition, severity, boxes, "keypoint_ap", value, 0.03 + 0.01 * rng.random())
                )
            rows.append(
                _metric(condition, severity, "detected", "detection_rate", max(0.1, 0.96 - loss), 0.025)
            )
    return _shaped("metrics.csv", rows)


def _metric(condition, severity, boxes, metric, value, half):
    return {"models": "rtmdet-nano+pp-tinypose", "backend": "onnxruntime", "precision": "fp32",
            "condition": condition,
            "severity": severity, "boxes": boxes, "metric": metric, "value": value, "low": value - half,
            "high": min(1, value + half), "n": 75, "unit": "share", "reference": "truth"}  # fmt: skip


def precisions() -> pd.DataFrame:
    """Rows of precisions.csv: the run's own precision, and INT8 that loses a little more in the dark."""
    rows = []
    for condition, lost in (("clean", 0.02), ("low_light_severe", 0.05)):
        for backend, precision, factor in (("openvino", "fp32", 0), ("openvino", "int8", -1)):
            row = {"models": "rtmdet-nano+pp-tinypose", "backend": backend, "precision": precision,
                   "status": "ok", "reason": "", "condition": condition, "severity": 0, "boxes": "detected",
                   "n": 75, "unit": "share"}  # fmt: skip
            for metric, value in (("keypoint_ap", 0.5 + factor * lost), ("change", factor * lost)):
                rows.append(
                    row | {"metric": metric, "value": value, "low": value - 0.01, "high": value + 0.01}
                )
    return _shaped("precisions.csv", rows)


def failures(conditions=CONDITIONS) -> pd.DataFrame:
    """Rows of failures.csv: 204 persons per condition in six categories."""
    rng = np.random.default_rng(2)
    names = ["found", "missed_no_box", "missed_below_threshold", "box_poor", "jitter", "swap"]
    rows = []
    for step, condition in enumerate(conditions):
        weights = np.array([0.75 - 0.05 * step, 0.08 + 0.03 * step, 0.06, 0.05 + 0.02 * step, 0.04, 0.02])
        for person, category in enumerate(rng.choice(names, 204, p=weights / weights.sum())):
            rows.append({"models": "rtmdet-nano+pp-tinypose", "image": f"{person // 3:06d}.jpg",
                         "condition": condition, "severity": 0, "person": person % 3, "category": category,
                         "iou": 0.7, "oks": 0.6, "score": 0.5, "area": 9000.0, "visible_keypoints": 12,
                         "reference": "truth"})  # fmt: skip
    return _shaped("failures.csv", rows)


def split() -> pd.DataFrame:
    """What two conditions cost and whom, as attribution.attribution_table returns it."""
    rows = []
    for condition, severity, verdict, difference in (
        ("low_light_severe", 0, "detector", 0.1), ("defocus", 3, "undecided", 0.01),
    ):  # fmt: skip
        row = {"condition": condition, "severity": severity, "metric": "keypoint_ap", "verdict": verdict}
        for part, value in (("loss", 0.3), ("detector", 0.2), ("pose", 0.1), ("difference", difference)):
            row |= {part: value, f"{part}_low": value - 0.05, f"{part}_high": value + 0.05}
        rows.append(row)
    return pd.DataFrame(rows)


def flow() -> pd.DataFrame:
    """How 100 persons moved, as failure_groups.flow_from_clean returns it."""
    ends, persons = ("found", "no box"), (25, 35, 10, 30)
    moved = [(*pair, count) for pair, count in zip(itertools.product(ends, ends), persons, strict=True)]
    return pd.DataFrame(moved, columns=["before", "after", "persons"])


def groups() -> pd.DataFrame:
    """Losses of two groups, as failure_groups.losses_by_group returns them."""
    rows = [("size", value, kind, 100, 20, share, share - 0.1, share + 0.1)
            for value in ("small, below 32² px", "medium")
            for kind, share in (("clean", 0.2), ("corrupted", 0.5))]  # fmt: skip
    columns = ["group", "value", "pictures", "persons", "lost", "share", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def bins() -> pd.DataFrame:
    """Scores against how often they are right, as calibration.calibrate returns them."""
    factors = (("clean", 1.2), ("noise_heavy", 0.8))
    rows = [(name, score, 20, score * factor) for name, factor in factors for score in (0.1, 0.4, 0.8)]
    return pd.DataFrame(rows, columns=["condition", "score", "boxes", "right"])


def joint_losses() -> pd.DataFrame:
    """One number per joint: largest at the ankles and wrists."""
    from pose_utils.types import KEYPOINT_NAMES

    return pd.DataFrame({"keypoint": KEYPOINT_NAMES, "value": np.linspace(0.05, 0.4, len(KEYPOINT_NAMES))})


def simcc(width=192, height=256, x=70.5, y=160.0) -> tuple[np.ndarray, np.ndarray]:
    """Two SimCC vectors with their peaks at (x, y) of the crop."""
    across, down = np.arange(width * 2) / 2, np.arange(height * 2) / 2
    return np.exp(-(((across - x) / 4) ** 2)) * 0.8, np.exp(-(((down - y) / 5) ** 2)) * 0.7
