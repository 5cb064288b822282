"""Which layers FP16 and INT8 spoil, and which therefore stay FP32: read from the files that are deployed."""

from __future__ import annotations

import numpy as np
import onnx
import pandas as pd
from tqdm import tqdm

from pose_utils.errors import AssetError, Unavailable
from pose_utils.runtime.variants import onnx_variant
from pose_utils.study.plan import LEFT_OUT, get_plan
from pose_utils.study.records import RunFolder
from pose_utils.zoo.artifacts import find_artifact
from pose_utils.zoo.quantize import variant_layers
from pose_utils.zoo.specs import ModelSpec, get_spec

PRECISIONS = ("fp16", "int8")


def study_layers(run: RunFolder, profile: str) -> pd.DataFrame:
    """Makes the FP16 and INT8 file of every model of a run where they are missing; writes layers.csv.

    `signal_db` is what is left of the outputs when this layer alone loses precision; the file has as many of
    the quietest layers in lower precision as their noises together permit (`zoo.quantize.LEAST_SIGNAL_DB`).
    """
    info = run.info()
    names = dict.fromkeys([*info["models"].split("+"), *info["rtm_models"].split("+")])
    reason = "" if get_plan(profile).int8 else LEFT_OUT
    pairs = [(get_spec(name), precision) for name in names for precision in PRECISIONS]
    rows = [row for pair in tqdm(pairs, desc="layers", unit="file") for row in _rows(*pair, reason)]
    return run.write("layers.csv", rows)


def _rows(spec: ModelSpec, precision: str, left_out: str) -> list[dict]:
    row = {
        "model": spec.name, "precision": precision, "status": "skipped", "reason": left_out, "weights": "",
        "layer": "", "kind": "", "place": 0, "signal_db": np.nan, "stays": "",
    }  # fmt: skip
    if left_out:
        return [row]
    try:
        artifact = find_artifact(spec, "onnx")
        row["weights"] = artifact.weights
        if artifact.weights == "random":
            return [{**row, "reason": "random weights magnify any noise, so that no layer can be told apart"}]
        path = onnx_variant(artifact, precision)
    except (AssetError, Unavailable) as error:
        return [{**row, "reason": str(error).splitlines()[0]}]
    table = variant_layers(path)
    if table is None:
        return [{**row, "reason": "made without calibration pictures, so that no layer was looked at"}]
    places = {node.name: place for place, node in enumerate(onnx.load(path).graph.node)}
    order = table["layer"].map(places).rank(method="first").fillna(0).astype("int64")
    kept = np.where(table["stays"], "yes", "no")
    told = table[["layer", "kind", "signal_db"]].assign(place=order, stays=kept).to_dict("records")
    return [{**row, "status": "ok", "reason": "", **layer} for layer in told]
