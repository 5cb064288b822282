"""One set-up run: numbered steps, their progress, and packages compiled into wheels that are kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import environment as facts
from environment import SetupError

# What each compiled package is tried with: a line that fails when its wheel is for another torch or numpy.
COMPILED = {"mmcv": "import torch, mmcv.ops", "xtcocotools": "import xtcocotools.mask"}


class Installer:
    """One set-up run: numbered steps, each a child process whose last line of output is shown."""

    def __init__(self, environment: Path, steps: int) -> None:
        self.environment, self.steps, self.step = environment, steps, 0
        self.python = environment / "bin" / "python"
        self.log = environment / "setup.log"
        self.started = time.monotonic()

    def title(self, what: str, estimate: str = "") -> None:
        """Prints the heading of the next step: its number, what it does, how long it may take."""
        self.step += 1
        print(f"[{self.step}/{self.steps}] {what}{f' (about {estimate})' if estimate else ''}", flush=True)

    def run(
        self,
        *command: str,
        status: Callable[[], str] | None = None,
        extra: dict[str, str] | None = None,
        limit: float = float("inf"),
    ) -> None:
        """Runs a command into the log; shows a moving line of progress, or one a minute without terminal.

        Raises:
            SetupError: The command failed or took longer than `limit` seconds.
        """
        terminal, began, shown = sys.stdout.isatty(), time.monotonic(), time.monotonic()
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=facts.ROOT,
                start_new_session=True,
                env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(extra or {})},
            )
        try:
            while child.poll() is None and time.monotonic() - began < limit:
                if time.monotonic() - shown >= (0.5 if terminal else 60):
                    shown = time.monotonic()
                    seconds = int(shown - began)
                    news = status() if status else self.last_line()
                    line = f"      {seconds // 60}:{seconds % 60:02d}  {news}"
                    width = shutil.get_terminal_size().columns - 1
                    print(
                        f"\r\033[K{line[:width]}" if terminal else line[:110],
                        end="" if terminal else "\n",
                        flush=True,
                    )
                time.sleep(0.1)
        finally:
            if terminal:
                print("\r\033[K", end="", flush=True)
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
                child.wait()
        if child.returncode:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
            raise SetupError(f"{tail}\n\nThis failed: {' '.join(command)}\nThe whole output: {self.log}")

    def last_line(self) -> str:
        """Returns the last telling line of the log, or what is in place while pip silently copies files."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 20_000))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        telling = [line for line in lines if line and not line.startswith(("WARNING", "Attempting", "Found"))]
        if any(line.startswith("Installing collected packages") for line in telling[-1:]):
            packages = sum(1 for _ in self.environment.glob("lib/python*/site-packages/*.dist-info"))
            return f"copying files; {packages} packages are in place"
        return telling[-1] if telling else ""

    def pip(self, *arguments: str, **how) -> None:
        """Runs the environment's pip."""
        self.run(str(self.python), "-m", "pip", *arguments, **how)

    def ask(self, code: str) -> str:
        """Runs a line of Python in the environment and returns what it printed; SetupError where it fails."""
        done = subprocess.run([str(self.python), "-c", code], capture_output=True, text=True, cwd=facts.ROOT)
        if done.returncode:
            raise SetupError(f"{done.stderr[-1500:]}\nThis failed in {self.environment}: {code}")
        return done.stdout.strip()

    def compiled(self, package: str, version: str, key: str, settings: dict[str, str]) -> None:
        """Installs a package from its kept wheel; compiles it where none is kept or that doesn't load."""
        folder = facts.wheel_folder(key)
        with facts.locked(folder):
            kept = facts.find_wheel(folder, package, version)
            if kept:
                print(f"      the wheel of an earlier set-up: {kept}", flush=True)
                if self.loads(package, kept):
                    return
                print(f"      it doesn't load here (why: {self.log}); compiling anew", flush=True)
                kept.unlink()
            made = self.build(package, version, folder, settings)
            if not self.loads(package, made):
                made.unlink()
                trial = f"{self.python} -c '{COMPILED[package]}'"
                raise SetupError(f"{package} {version} was compiled but doesn't load. Try: {trial}")

    def loads(self, package: str, wheel: Path) -> bool:
        """Installs a compiled wheel and tells whether it loads beside the installed torch and numpy."""
        self.pip("install", "--no-index", "--no-deps", "--force-reinstall", str(wheel))
        try:
            self.run(str(self.python), "-c", COMPILED[package])
        except SetupError:
            return False
        return True

    def build(self, package: str, version: str, folder: Path, settings: dict[str, str]) -> Path:
        """Compiles a wheel in a folder that outlives an interruption: ninja goes on where it stopped."""
        build = folder / "build" / f"{package}-{version}"
        if not (build / "setup.py").exists():
            shutil.rmtree(build.parent, ignore_errors=True)
            self.pip(
                "download",
                "--no-deps",
                "--no-cache-dir",
                "--no-build-isolation",
                "--no-binary",
                package,
                "--dest",
                str(build.parent),
                f"{package}=={version}",
                extra=settings,
            )
            with tarfile.open(next(build.parent.glob("*.tar.gz"))) as source:
                safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                source.extractall(build.parent / "unpacked", **safely)
            (build.parent / "unpacked" / build.name).rename(build)
        began, already = time.monotonic(), facts.counted_objects(build)[0]

        def status() -> str:
            done, total = facts.counted_objects(build)
            rate = (done - already) / (time.monotonic() - began)
            left = f", about {(total - done) / rate / 60:.0f} min left" if rate > 0 else ""
            return f"compiled {done} of {total} files{left}" if total else "preparing"

        self.pip(
            "wheel",
            "--no-deps",
            "--no-cache-dir",
            "--no-build-isolation",
            "--wheel-dir",
            str(build.parent / "made"),
            str(build),
            status=status,
            extra=settings,
        )
        (made,) = (build.parent / "made").glob(f"{package}-{version}-*.whl")
        wheel = made.replace(folder / made.name)
        shutil.rmtree(build.parent)
        return wheel
