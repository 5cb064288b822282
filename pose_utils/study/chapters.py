"""What notebooks 00 to 04 do, as one function each over the run folder that they share."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pose_utils.errors import AssetError, Unavailable, UsageError, not_allowed
from pose_utils.runtime.backends import DEVICES, open_backend
from pose_utils.runtime.opening import open_pipeline
from pose_utils.runtime.pipeline import PosePipeline
from pose_utils.runtime.variants import onnx_variant
from pose_utils.study.artefact_accuracy import measure_accuracy
from pose_utils.study.benchmark import make_workloads, run_benchmark
from pose_utils.study.configurations import POSE_SIZES, standard_configs
from pose_utils.study.environment import describe_machine
from pose_utils.study.material import choose_material, find_people, people_workloads
from pose_utils.study.parity import run_parity
from pose_utils.study.plan import LEFT_OUT, get_plan
from pose_utils.study.records import RunFolder
from pose_utils.zoo.artifacts import Artifact, find_artifact
from pose_utils.zoo.choice import BUNDLED, ModelChoice, choose_models
from pose_utils.zoo.engines import OutOfPrecision, build_engine, load_library
from pose_utils.zoo.export import OPSET
from pose_utils.zoo.manifest import digest
from pose_utils.zoo.samples import sample_pictures
from pose_utils.zoo.specs import ModelSpec, get_spec, parse_models

PEOPLED_PICTURES = 8
"""Pictures searched for persons whose pose is then timed and compared."""

MATRIX = (
    ("torch", "fp32", "cpu"), ("torch", "bf16", "cpu"), ("onnxruntime", "fp32", "cpu"),
    ("openvino", "fp32", "cpu"), ("openvino", "bf16", "cpu"), ("litert", "fp32", "cpu"),
    ("torch", "fp32", "cuda"), ("onnxruntime", "fp32", "cuda"), ("onnxruntime", "fp16", "cuda"),
    ("onnxruntime-tensorrt", "fp16", "cuda"), ("tensorrt", "fp16", "cuda"), ("tensorrt-rtx", "fp16", "cuda"),
)  # fmt: skip
"""Every back end, precision and device that the status matrix asks for."""

COMPARED = (
    ("torch", "fp32"), ("torch", "bf16"), ("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"),
)  # fmt: skip
COMPARED_INT8 = (("onnxruntime", "int8"), ("openvino", "int8"))
"""What is held against mmdet and mmpose: (back end, precision)."""


def start_run(profile: str, models: str, device: str, seed: int, run_dir: str = "") -> RunFolder:
    """Settles the models, makes the run folder (or takes `run_dir`) and writes run.json.

    Raises:
        UsageError: An unknown profile, model or device, or a seed that is none.
    """
    plan = get_plan(profile)
    if device not in DEVICES:
        raise not_allowed("device", device, DEVICES)
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed is {seed!r}. Allowed: whole numbers from 0 on.")
    choice = choose_models(models, study=True)
    rtm = rtm_models(choice, plan.rtm_models)
    info = {
        "created": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "parameters": {"profile": profile, "models": models, "device": device, "seed": seed},
        "machine": describe_machine(),
        "models": choice.models,
        "models_reason": choice.reason,
        "trained_on": list(choice.trained_on),
        "rtm_models": rtm,
        "rtm_weights": choose_models(rtm).reason,
    }
    folder = Path(run_dir) if run_dir else None
    if folder is not None and (folder / "run.json").is_file():
        run = RunFolder(folder)
        run.update_info(**info)
        return run
    return RunFolder.create(info, folder)


def rtm_models(choice: ModelChoice, fallback: str) -> str:
    """Returns the pair whose PyTorch architecture is exported, compared, built and timed.

    The project's own demo pair is for accuracy: what it would cost to run is told of the published pair.
    """
    own = all(spec.config for spec in choice.specs) and choice.models not in BUNDLED
    return choice.models if own else fallback


def finder_of(run: RunFolder, device: str = "cpu", for_ap: bool = False) -> PosePipeline:
    """Opens the trained models of a run, which find the persons in its pictures."""
    return open_pipeline(run.info()["models"], device=device, for_ap=for_ap)


def check_backends(run: RunFolder) -> pd.DataFrame:
    """Opens every model of the run on every back end and writes backends.csv: ok, or why not."""
    info = run.info()
    names = dict.fromkeys([*info["rtm_models"].split("+"), *info["models"].split("+"), "movenet-multipose"])
    pairs = [(get_spec(name), *place) for name in names for place in MATRIX]
    rows = [_status_row(*pair) for pair in tqdm(pairs, desc="opening", unit="back end")]
    return run.write("backends.csv", rows)


def record_weights(run: RunFolder) -> pd.DataFrame:
    """Finds the weights of every model of the run and writes their digests into run.json.

    Returns:
        One row for each model: weights (trained, random or missing), sha256, file.
    """
    info = run.info()
    rows = []
    for name in dict.fromkeys([*info["models"].split("+"), *info["rtm_models"].split("+")]):
        spec = get_spec(name)
        row = {"model": name, "weights": "missing", "sha256": "", "file": ""}
        try:
            artifact = find_artifact(spec, _native(spec))
            row |= {"weights": artifact.weights, "sha256": artifact.digest, "file": artifact.name}
        except (AssetError, Unavailable) as error:
            row["file"] = str(error).splitlines()[0]
        rows.append(row)
    run.update_info(weights={row["model"]: row for row in rows})
    return pd.DataFrame(rows)


def export_models(run: RunFolder) -> pd.DataFrame:
    """Exports the RTM pair to ONNX and returns one row a file: size, opset, digest, weights."""
    rows = []
    for spec in parse_models(run.info()["rtm_models"]):
        artifact = find_artifact(spec, "onnx")
        rows.append(
            {
                "model": spec.name,
                "file": artifact.name,
                "megabytes": artifact.size_bytes / 1e6,
                "opset": OPSET,
                "batch": "dynamic",
                "weights": artifact.weights,
                "sha256": digest(artifact.path)[:16],
            }
        )
    return pd.DataFrame(rows)


def compare_backends(run: RunFolder, profile: str) -> pd.DataFrame:
    """Compares every CPU back end with mmdet and mmpose and writes parity.csv."""
    info = run.info()
    workloads = people_workloads(
        choose_material().paths, finder_of(run), max(PEOPLED_PICTURES, get_plan(profile).parity_pictures)
    )[: get_plan(profile).parity_pictures]
    names = dict.fromkeys([*info["rtm_models"].split("+"), *info["models"].split("+")])
    specs = [spec for spec in map(get_spec, names) if spec.kind != "one-stage"]
    backends = [*COMPARED, *(COMPARED_INT8 if get_plan(profile).int8 else ())]
    return run.write("parity.csv", run_parity(specs, backends, workloads))


def build_engines(run: RunFolder, profile: str) -> pd.DataFrame:
    """Builds TensorRT-RTX engines for every target, and adds rows to backends.csv, TensorRT's included."""
    jobs = [
        (spec, precision, target)
        for spec in parse_models(run.info()["rtm_models"])
        for precision in ("fp16", "fp32")
        for target in get_plan(profile).engine_targets
    ]
    rows = [_engine_row(*job) for job in tqdm(jobs, desc="building", unit="engine")]
    try:
        reason = (
            f"TensorRT {load_library('tensorrt').__version__} builds for the GPU of the machine it runs on"
        )
    except Unavailable as error:
        reason = str(error)
    rows += [
        _row(spec, "tensorrt", "fp16", "this GPU", reason=reason)
        for spec in parse_models(run.info()["rtm_models"])
    ]
    built = pd.DataFrame(rows)
    if run.has("backends.csv"):
        held = run.read("backends.csv")
        again = held.set_index(["backend", "device"]).index.isin(
            list(zip(built.backend, built.device, strict=True))
        )
        run.write("backends.csv", pd.concat([held[~again], built], ignore_index=True))
    else:
        run.write("backends.csv", built)
    return built


def time_backends(run: RunFolder, profile: str, seed: int) -> None:
    """Times the RTM pair on every back end, and MoveNet, and measures the AP of what was timed.

    Writes configs.csv, latency.parquet, machine.csv and accuracy.csv.
    """
    plan = get_plan(profile)
    # The sample pictures, so that everybody times the same frames.
    people = find_people(sample_pictures(), finder_of(run), PEOPLED_PICTURES)
    info = run.info()
    own = [info["models"]] if "+" in info["models"] else []
    configs = standard_configs(
        info["rtm_models"],
        others=[*own, *plan.other_models],
        compiled=plan.compiled,
        sizes=POSE_SIZES if plan.other_models else (),
    )
    run_benchmark(
        configs,
        make_workloads(people, plan.persons),
        run,
        runs=plan.runs,
        warmup=plan.warmup,
        blocks=plan.blocks,
        seed=seed,
        cold_start=plan.cold_start,
        left_out={} if plan.int8 else {"int8": LEFT_OUT},
    )
    measure_accuracy(configs, run, choose_material(limit=plan.ap_pictures).truth, seed)


def _native(spec: ModelSpec) -> str:
    return next((kind for kind in ("torch", "onnx", "tflite") if kind in spec.assets), "torch")


def _row(spec: ModelSpec, backend: str, precision: str, device: str, **values: object) -> dict:
    return {
        "model": spec.name, "backend": backend, "precision": precision, "device": device,
        "status": "skipped", "reason": "", "provider_used": "", "weights": "", "artifact": "",
        "size_bytes": np.nan, "build_s": np.nan,
    } | values  # fmt: skip


def _ok(artifact: Artifact, size: float, seconds: float, provider: str) -> dict:
    return {
        "status": "ok", "provider_used": provider, "weights": artifact.weights, "artifact": artifact.name,
        "size_bytes": size, "build_s": seconds,
    }  # fmt: skip


def _status_row(spec: ModelSpec, backend: str, precision: str, device: str) -> dict:
    if (spec.kind == "one-stage") != (backend == "litert"):
        reason = "LiteRT reads TFLite files; this model has none" if backend == "litert" else "a TFLite model"
        return _row(spec, backend, precision, device, reason=f"{spec.name}: {reason}")
    start = time.perf_counter()
    try:
        opened = open_backend(backend, spec, precision, device)
    except (Unavailable, AssetError) as error:
        return _row(spec, backend, precision, device, reason=str(error).splitlines()[0])
    seconds = time.perf_counter() - start
    artifact = opened.artifact
    return _row(spec, backend, precision, device) | _ok(
        artifact, artifact.size_bytes, seconds, opened.provider_used
    )


def _engine_row(spec: ModelSpec, precision: str, target: str) -> dict:
    try:
        artifact = find_artifact(spec, "onnx")
        engine = build_engine(artifact, precision, target, source=onnx_variant(artifact, precision))
    except OutOfPrecision as error:
        return _row(spec, "tensorrt-rtx", precision, target, status="failed", reason=str(error))
    except (Unavailable, AssetError) as error:
        return _row(spec, "tensorrt-rtx", precision, target, reason=str(error).splitlines()[0])
    return _row(spec, "tensorrt-rtx", precision, target) | _ok(
        artifact,
        float(engine.path.stat().st_size),
        engine.build_s,
        f"built for {target}, not run here; {_layer_types(engine.layers)}",
    )


def _layer_types(layers: dict[str, int]) -> str:
    return ", ".join(f"{count} layers {kind}" for kind, count in layers.items())
