"""Makes the project's environment with plain pip; `make setup` calls it. Standard library only.

Order matters: build tools, torch, requirements.txt, then mmcv and xtcocotools compiled against what is there.
Compiled wheels are kept in the user's cache in a folder named after everything they depend on, so that a
second clone, or a run after an interruption, doesn't compile again. A stamp in the environment makes a repeat
free.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import environment as facts
from environment import SetupError
from steps import COMPILED, Installer

BUILD_TOOLS = ("setuptools", "wheel", "ninja", "cython", "psutil")
# Packages that write the same folder: the later one silently wins.
RIVALS = (
    ("onnxruntime", "onnxruntime-gpu"),
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
)


def finish_interrupted(environment: Path) -> None:
    """Removes half-written packages: pip writes RECORD last, yet takes one without it for installed."""
    for record in environment.glob("lib/python*/site-packages/*.dist-info"):
        if not (record / "RECORD").exists():
            shutil.rmtree(record)


def make_environment(environment: Path) -> None:
    """Makes the virtual environment, or keeps a working one (conda's as well).

    Raises:
        SetupError: The one that is there is of another Python than the one that runs this.
    """
    python = environment / "bin" / "python"
    if facts.answers([str(python), "-c", "import pip"]):
        asked = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = subprocess.run([str(python), "-c", asked], capture_output=True, text=True).stdout.strip()
        if version != f"{sys.version_info[0]}.{sys.version_info[1]}":
            raise SetupError(
                f"{environment} is of Python {version}. Remove it, or run set-up with PYTHON={python}."
            )
        if (environment / "pyvenv.cfg").exists():
            finish_interrupted(environment)
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)


def install(environment: Path, gpu: bool, cuda_ops: bool) -> str:
    """Runs every step; returns what became of the GPU extra: installed, failed or absent."""
    pins, own = facts.pins(facts.REQUIREMENTS), facts.pins(facts.OPENMMLAB)
    run = Installer(environment, steps=8 + gpu)
    run.title(f"Virtual environment {environment}")
    make_environment(environment)
    run.title("Build tools")
    run.pip("install", *(f"{name}=={pins[name]}" for name in BUILD_TOOLS))
    run.title(f"PyTorch {pins['torch']} with its CUDA libraries", "1 min, 5 GB")
    versions = ("-c", str(facts.REQUIREMENTS), "-c", str(facts.CONSTRAINTS))
    # --no-compile: Python compiles what is imported, when it is; all of it at once is a third of the time.
    run.pip("install", "--no-compile", "torch", "torchvision", *versions)
    run.title("The packages of requirements.txt", "1 min")
    run.pip("install", "--no-compile", "-r", str(facts.REQUIREMENTS), *versions)
    # Before what is compiled, because mmcv's trial imports mmengine.
    run.title("mmengine, mmdet, mmpose, and the project itself")
    run.pip("install", "--no-deps", *(f"{name}=={own[name]}" for name in ("mmengine", "mmdet", "mmpose")))
    run.pip("install", "--no-deps", "--no-build-isolation", "--editable", str(facts.ROOT))

    torch, cuda = json.loads(
        run.ask("import json, torch; print(json.dumps([torch.__version__, torch.version.cuda]))")
    )
    # A visible card would make mmcv look for a CUDA compiler; the project calls its CPU operators only.
    cuda_choice = {"FORCE_CUDA": "1"} if cuda_ops else {"FORCE_CUDA": "0", "CUDA_VISIBLE_DEVICES": ""}
    settings = {"MMCV_WITH_OPS": "1", "MAX_JOBS": str(os.cpu_count() or 1), **cuda_choice}
    for package, estimate in (("mmcv", "10 min on 2 cores"), ("xtcocotools", "10 s")):
        key = facts.wheel_key(package, torch, cuda, pins["numpy"], cuda_ops)
        kept = facts.find_wheel(facts.wheel_folder(key), package, own[package])
        run.title(f"{package} {own[package]}" + ("" if kept else ", compiled"), "" if kept else estimate)
        run.compiled(package, own[package], key, settings)

    extra = "absent"
    if gpu:
        run.title("The extra for NVIDIA cards", "2 min")
        extra = install_gpu_extra(run)
    run.title("Trying it")
    check(run)
    seconds = int(time.monotonic() - run.started)
    print(f"Set up in {seconds // 60} min {seconds % 60:02d} s.", flush=True)
    return extra


def install_gpu_extra(run: Installer) -> str:
    """Installs requirements/gpu.txt; a failure is a warning, because everything else runs without it."""
    arguments = ("-r", str(facts.GPU), "-c", str(facts.REQUIREMENTS), "-c", str(facts.CONSTRAINTS))
    try:
        run.pip("install", *arguments, limit=900, extra={"PIP_RETRIES": "1"})
    except SetupError as error:
        print(f"      warning: not installed, TensorRT is skipped.\n      {str(error).splitlines()[-1]}")
        return "failed"
    return "installed"


def check(run: Installer) -> None:
    """Imports what is most easily broken, and has pip look for requirements that don't fit.

    Raises:
        SetupError: An import failed, or two packages write the same folder.
    """
    run.ask("import torchvision, mmcv.ops, mmdet.apis, mmpose.apis, cv2, onnxruntime, openvino")
    listed = json.loads(
        run.ask(
            "import json, importlib.metadata as m; "
            "print(json.dumps(sorted({d.name.lower() for d in m.distributions() if d.name})))"
        )
    )
    for family in RIVALS:
        twins = [name for name in family if name in listed]
        if len(twins) > 1:
            raise SetupError(
                f"{' and '.join(twins)} write the same folder: remove {run.environment}, set up anew."
            )
    done = subprocess.run([str(run.python), "-m", "pip", "check"], capture_output=True, text=True)
    for complaint in facts.unexpected(done.stdout):
        print(f"      warning: {complaint}")


def main() -> int:
    """Sets up what is not set up yet; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the project's environment (see `make help`).")
    parser.add_argument("--env", type=Path, default=facts.ROOT / ".venv", help="folder of the environment")
    parser.add_argument(
        "--gpu", choices=("0", "1", ""), default="", help="the NVIDIA extra: 1, 0, or by nvidia-smi"
    )
    parser.add_argument("--cuda-ops", action="store_true", help="compile mmcv for CUDA (needs nvcc)")
    chosen = parser.parse_args()
    environment = Path(os.path.abspath(chosen.env))
    stamp, wanted = environment / facts.STAMP, facts.digest(environment, chosen.cuda_ops)
    if facts.is_done(facts.read_stamp(environment), wanted, chosen.gpu):
        stamp.touch()  # make compares its time with that of the requirements
        print(f"{environment} is up to date.")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    try:
        kept = all(facts.is_kept(name, facts.pins(facts.OPENMMLAB)[name]) for name in COMPILED)
        facts.check_machine(environment, compiles=chosen.cuda_ops or not kept)
        stamp.unlink(missing_ok=True)
        gpu = chosen.gpu == "1" or (chosen.gpu == "" and facts.answers(["nvidia-smi", "-L"]))
        extra = install(environment, gpu, chosen.cuda_ops)
    except SetupError as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. `make setup` goes on where this stopped.", file=sys.stderr)
        return 130
    partial = stamp.with_suffix(".part")
    partial.write_text(json.dumps({"digest": wanted, "gpu": extra}))
    partial.replace(stamp)
    return 0


if __name__ == "__main__":
    sys.exit(main())
