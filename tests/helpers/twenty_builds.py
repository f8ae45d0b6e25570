"""Build a small chain many times, alone or several at once next to busy loops, and compare what comes of it.

    python -m tests.helpers.twenty_builds ROOT [--builds 20] [--at-once 4] [--busy 1]

Every build has a fresh root below ROOT and must end with 0, say nothing of a traceback, and leave the same data
versions as all others. The exit code is 1 if one did not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.chains import records
from tests.helpers.commands import environment
from tests.helpers.configuration import write_config

TARGET = "summary/contrast/rcnn_gratings"
NOISE = ("Traceback", "KeyboardInterrupt", "Exception ignored", "Aborted", "leaked")
PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Build:
    """What became of a build.

    Attributes:
        name: Its folder.
        code: Its exit code.
        seconds: How long it took.
        noise: Words on standard error that are no part of a message for users.
        versions: The data version of each target.
    """

    name: str
    code: int
    seconds: float
    noise: list[str]
    versions: dict[str, str]


def build_many(folder: Path, builds: int, at_once: int, busy: int, target: str = TARGET) -> list[Build]:
    """Build a target in fresh roots, `at_once` at a time, next to `busy` loops that use a core each."""
    done: list[Build] = []
    with _busy_loops(busy):
        for start in range(0, builds, at_once):
            roots = [folder / f"root_{number}" for number in range(start, min(start + at_once, builds))]
            done += _build(roots, target)
    return done


def faults(done: Sequence[Build]) -> list[str]:
    """Say what is wrong with the builds; nothing if all went well and have the same numbers."""
    wrong = []
    for build in done:
        if build.code or build.noise:
            wrong.append(f"{build.name}: exit code {build.code}, {', '.join(build.noise) or 'no noise'}")
        if build.versions != done[0].versions or not build.versions:
            wrong.append(f"{build.name}: other data versions than {done[0].name}")
    return wrong


def _build(roots: Sequence[Path], target: str) -> list[Build]:
    """Build in all roots at once; keep the output of those that went wrong."""
    command = [sys.executable, "-P", "-m", "dynvision_assets.command_line", "make", target]
    running = []
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)
        write_config(root)
        with (root / "output.txt").open("w") as output:
            running.append(
                subprocess.Popen(
                    command, cwd=root, env=_environment(root), stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            )
    start, ended = time.perf_counter(), {}
    while len(ended) < len(roots):
        for root, process in zip(roots, running, strict=True):
            if root not in ended and process.poll() is not None:
                ended[root] = (process.returncode, time.perf_counter() - start)
        time.sleep(0.05)
    done = []
    for root in roots:
        output_text = (root / "output.txt").read_text(errors="replace")
        noise = [word for word in NOISE if word in output_text]
        versions = {str(made): record.data_version for made, record in records(root).items()}
        done.append(Build(root.name, ended[root][0], ended[root][1], noise, versions))
        if not noise and not ended[root][0]:
            shutil.rmtree(root)
    return done


def _environment(root: Path) -> dict[str, str]:
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return {**environment(root), "PYTHONPATH": path}


@contextlib.contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    """Read the arguments, build, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--builds", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--busy", type=int, nargs="?", const=1, default=0, help="busy loops next to the builds")
    parser.add_argument("--target", default=TARGET)
    chosen = parser.parse_args()
    done = build_many(chosen.root.absolute(), chosen.builds, chosen.at_once, chosen.busy, chosen.target)
    print("| build | exit code | seconds | noise | targets |\n| --- | --- | --- | --- | --- |")
    for build in done:
        noise = ", ".join(build.noise) or "none"
        print(f"| {build.name} | {build.code} | {build.seconds:.1f} | {noise} | {len(build.versions)} |")
    wrong = faults(done)
    print("\n".join(wrong) if wrong else f"all {len(done)} builds ended with 0, without noise, with the same numbers")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
