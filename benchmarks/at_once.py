"""Several at once: the same work alone, one after the other, two and four at once, and next to a busy loop.

Each work is `dynvision make --force` in a root of its own, as several users of a machine call it. The time of two at
once is compared with that of one after the other. A ratio above 1 means that they hinder each other; with as many cores
as threads each, 1 is what sharing the cores fairly gives, and what one does while the other waits makes it less.
Set OMP_WAIT_POLICY=ACTIVE to see what spinning threads cost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.results import save_results
from dynvision.system.machine import usable_cores

PROJECT = Path(__file__).resolve().parent.parent
ROUNDS = 3
MOST = 4
WORKS = {
    "training": "models/rcnn/gratings:all_s0",
    "recording": "responses/contrast/rcnn_gratings",
    "writing a .beton": "processed/gratings:train_all",
}
NEEDED, AIM = 1.1, 0.7
"""The most that two at once may take of the time of one after the other, and what is aimed at."""


def run() -> None:
    """Measure every work in alternating rounds, print a table, and write the times as JSON."""
    results: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        roots = _prepare(Path(folder))
        for work, target in WORKS.items():
            times = results[work] = {}
            for _ in range(ROUNDS):
                for case, seconds in _measure(roots, target).items():
                    times.setdefault(case, []).append(seconds)
            _check_versions(roots, target)
    _print(results)
    save_results("at_once", results)


def _measure(roots: list[Path], target: str) -> dict[str, float]:
    """Return the seconds of each case."""
    times = {"alone": _make(roots[:1], target)}
    times["one after the other"] = sum(_make([root], target) for root in roots[:2])
    times["two at once"] = _make(roots[:2], target)
    times["four at once"] = _make(roots[:4], target)
    with _busy_loop():
        times["next to a busy loop"] = _make(roots[:1], target)
    return times


def _make(roots: list[Path], target: str) -> float:
    """Make a target in several roots at once; return the seconds until the last is done."""
    command = [sys.executable, "-P", "-m", "dynvision_assets.command_line", "make", "--force", target]
    start = time.perf_counter()
    processes = [
        subprocess.Popen(command, env=_environment(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for root in roots
    ]
    codes = [process.wait() for process in processes]
    assert not any(codes), f"dynvision make {target} failed: {codes}"
    return time.perf_counter() - start


def _environment(root: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "DYNVISION_"))}
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return {**kept, "PYTHONPATH": path, "DYNVISION_ROOT": str(root), "DYNVISION_CONFIG": str(root / "config")}


def _prepare(folder: Path) -> list[Path]:
    """Make one root in which all works are done, and copy it."""
    first = folder / "0"
    shutil.copytree(PROJECT / "config", first / "config")
    path = first / "config/config_models.yaml"
    models = yaml.safe_load(path.read_text())
    models["models"]["rcnn"]["training"]["datasets"]["gratings"]["epochs"] = 3
    path.write_text(yaml.safe_dump(models))
    for target in WORKS.values():
        _make([first], target)
    roots = [first, *(folder / str(number) for number in range(1, MOST))]
    for root in roots[1:]:
        shutil.copytree(first, root, symlinks=True)
    return roots


def _check_versions(roots: list[Path], target: str) -> None:
    """Check that every root contains the same numbers, whatever ran next to them."""
    from dynvision.workspace import Workspace
    from dynvision.workspace.addresses import parse_target

    versions = []
    for root in roots:
        workspace = Workspace.open(root, root / "config")
        records = [workspace.stage(t).read_record(t) for t in parse_target(workspace, target)]
        versions.append([record and record.data_version for record in records])
    assert all(version == versions[0] for version in versions), f"{target}: the numbers depend on what runs at once"


@contextlib.contextmanager
def _busy_loop() -> Iterator[None]:
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def _print(results: dict[str, dict[str, list[float]]]) -> None:
    print(f"several at once on {usable_cores()} cores, medians of {ROUNDS} rounds; all numbers are the same\n")
    cases = list(next(iter(results.values())))
    print("| seconds | " + " | ".join(cases) + f" | two at once ÷ one after the other (≤ {NEEDED}, aim {AIM}) |")
    print("| --- |" + " --- |" * (len(cases) + 1))
    for work, times in results.items():
        medians = {case: statistics.median(values) for case, values in times.items()}
        ratio = medians["two at once"] / medians["one after the other"]
        print(f"| {work} | " + " | ".join(f"{medians[case]:.1f}" for case in cases) + f" | {ratio:.2f} |")
