"""`python -m training run CONFIG`: one command a model. See README.md in this folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import torch

from pose_utils.errors import PoseUtilsError, UsageError
from pose_utils.study.annotations import load_coco_keypoints
from pose_utils.study.records import RunFolder, write_atomic
from training import material
from training.gains import compare_runs
from training.recipe import Recipe


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train, or go on where an earlier run stopped")
    publish = commands.add_parser("publish", help="write the averaged weights as FP16 safetensors")
    pair = commands.add_parser("pair", help="fine-tune twice, with corruptions and without")
    keep = commands.add_parser("keep", help="write what training has come to, to go on from elsewhere")
    gains = commands.add_parser("gains", help="compare two robustness runs, such as those of the pair")
    for command in (run, pair, publish, keep):
        command.add_argument("config", type=Path, help="such as training/configs/rtmpose_t_demo.py")
        command.add_argument(
            "--folder", type=Path, default=material.FOLDER, help="labels, checkpoints, curves"
        )
    for command in (run, pair):
        command.add_argument("--images", type=Path, help="pictures of your own, not POSE_ASSETS_DIR/train")
        command.add_argument("--annotations", type=Path, help="their COCO keypoint annotations")
        command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        command.add_argument("--threads", type=int, help="CPU threads")
        command.add_argument("--bf16", action="store_true", help="autocast, where BF16 is fast")
        command.add_argument("--corrupt", type=float, default=0.0 if command is run else 0.5, metavar="SHARE",
                             help="share of pictures with motion blur, noise or darkness")  # fmt: skip
    run.add_argument("--steps", type=int, nargs="+", help="steps of every phase in place of the config's")
    run.add_argument("--begin", type=Path, metavar="FILE", help="go on from what `keep` wrote")
    run.add_argument("--until", type=int, help="stop after so many steps of the phase in hand")
    pair.add_argument("--pair-steps", type=int, default=500, help="steps of each of the two")
    for command in (pair, publish, keep):
        command.add_argument("--steps", type=int, nargs="+", help="as given to `run`")
    publish.add_argument("target", type=Path, help="a .safetensors or .onnx file")
    keep.add_argument("target", type=Path, help="a .safetensors file")
    publish.add_argument("--run", help="pair-plain or pair-corrupted in place of the last phase")
    gains.add_argument("before", help="run folder of `python -m pose_utils robustness`")
    gains.add_argument("after", help="the other one's")
    gains.add_argument("--annotations", type=Path, required=True, help="COCO keypoints of their pictures")
    gains.add_argument("--csv", type=Path, help="also keep the table")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "gains":
            return _print_gains(chosen)
        recipe = Recipe.read(chosen.config, chosen.folder, chosen.steps)
        if chosen.command == "publish":
            print(recipe.publish(chosen.target, chosen.run))
            return 0
        if chosen.command == "keep":
            print(recipe.keep(chosen.target))
            return 0
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
            cv2.setNumThreads(chosen.threads)
        found = material.find_material(chosen.images, chosen.annotations, chosen.folder)
        print(f"{len(found.scenes)} scenes, {len(found.sports)} sports pictures, "
              f"{len(found.left_out)} near copies of test pictures left out", file=sys.stderr)  # fmt: skip
        if chosen.command == "pair":
            recipe.run_pair(found, chosen.corrupt, chosen.pair_steps, chosen.device, chosen.bf16)
        else:
            recipe.run(found, chosen.device, chosen.bf16, chosen.corrupt, chosen.until, chosen.begin)
    except PoseUtilsError as error:
        print(error, file=sys.stderr)
        return 64 if isinstance(error, UsageError) else 2
    return 0


def _print_gains(chosen: argparse.Namespace) -> int:
    truth = load_coco_keypoints(chosen.annotations)
    table = compare_runs(RunFolder.open(chosen.before), RunFolder.open(chosen.after), truth)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    if chosen.csv:
        write_atomic(chosen.csv, lambda target: table.round(4).to_csv(target, index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
