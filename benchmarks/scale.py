"""Scale: several targets at once, and what the engine itself costs.

The peer of `-j 2` is the same command without it: one target after the other, with all cores. The peer of Slurm is a
bare `sbatch` of the same function. Every command is a process of its own, and its start-up counts.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.responses import CONTRASTS, MODEL, PROJECT, SWEEP
from benchmarks.results import save_results
from dynvision.system.machine import usable_cores

ROUNDS = 3
SUBJECTS = 8
SHORT = {"images": 400, "idle": 0, "steps": {"tsteps": 10, "intro": 1, "stim": 6}, "contrast": [0.5], "needed": 1.6}
"""A glance: what surrounds the showing takes as long as the showing."""

LONG = {
    "images": 1000,
    "idle": 20,
    "steps": {"tsteps": 30, "intro": 1, "stim": 20},
    "contrast": CONTRASTS,
    "needed": 1.05,
}
SLEEPS = {"count": 1000, "seconds": 1.0, "workers": 2}
MANY = {"count": 600, "seconds": 5.0, "workers": 200}
WARM = {"count": 200, "seconds": 0.05, "workers": 1}


def run() -> None:
    """Measure everything, print it, and write the numbers as JSON."""
    print(f"scale on {usable_cores()} cores; sweeps: medians of {ROUNDS} alternating rounds\n")
    results: dict[str, Any] = {}
    for name, sweeps in (("short", SHORT), ("long", LONG)):
        with tempfile.TemporaryDirectory() as folder:
            results[name] = _measure_sweeps(Path(folder), sweeps)
        _print_sweeps(name, sweeps, results[name])
    results["start-up"] = _measure_startup()
    print(f"one target, no engine: modules of distributed imported: {results['start-up']['distributed']}")
    for name, sleeps in (("warm", WARM), ("sleeps", SLEEPS), ("many", MANY)):
        results[name] = _ask("sleeps", **sleeps)
        _print_sleeps(sleeps, results[name])
    if shutil.which("sbatch"):
        results["slurm"] = _measure_slurm()
        _print_slurm(results["slurm"])
    else:
        print("Slurm is not on this machine: not measured")
    save_results("scale", results)


def _measure_sweeps(root: Path, sweeps: dict[str, Any]) -> dict[str, list[float]]:
    """Time eight sweeps one after the other, and two at once."""
    _prepare(root, sweeps)
    targets = [f"responses/sweep/s{number}" for number in range(SUBJECTS)]
    _make(root, [*targets], [])  # images and networks are there then
    times: dict[str, list[float]] = {"one after the other": [], "-j 2": []}
    versions = _versions(root, targets)
    for _ in range(ROUNDS):
        for case, options in (("one after the other", []), ("-j 2", ["-j", "2"])):
            start = time.perf_counter()
            _make(root, ["--force", *targets], options)
            times[case].append(time.perf_counter() - start)
            assert _versions(root, targets) == versions, "the numbers depend on the engine"
    return times


def _prepare(root: Path, sweeps: dict[str, Any]) -> None:
    config = root / "config"
    config.mkdir()
    data = yaml.safe_load((PROJECT / "config/config_data.yaml").read_text())
    data["gratings"]["test_per_class"] = sweeps["images"] // data["gratings"].get("orientations", 8)
    subjects = {f"s{number}": {"model": "net", "dataset": "gratings", "seed": number} for number in range(SUBJECTS)}
    shown = {**sweeps["steps"], "contrast": sweeps["contrast"]}
    experiment = {**SWEEP, "idle": sweeps["idle"], "data_args": shown}
    contents = {
        "config_data.yaml": data,
        "config_models.yaml": {"models": {"net": MODEL}},
        "config_experiments.yaml": {"subjects": subjects, "experiment_config": {"sweep": experiment}},
    }
    for name, content in contents.items():
        (config / name).write_text(yaml.safe_dump(content))


def _make(root: Path, targets: list[str], options: list[str]) -> None:
    command = [sys.executable, "-P", "-m", "dynvision_assets.command_line", "make", *options, *targets]
    subprocess.run(command, env=_environment(root), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _environment(root: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "DYNVISION_"))}
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return {**kept, "PYTHONPATH": path, "DYNVISION_ROOT": str(root), "DYNVISION_CONFIG": str(root / "config")}


def _versions(root: Path, targets: list[str]) -> list[str | None]:
    from dynvision.workspace import Workspace
    from dynvision.workspace.addresses import parse_target

    workspace = Workspace.open(root, root / "config")
    records = [workspace.read_record(target) for text in targets for target in parse_target(workspace, text)]
    return [record and record.data_version for record in records]


def _measure_startup() -> dict[str, Any]:
    """Make one small target in a process that then says whether it has imported distributed."""
    code = (
        "import sys, runpy\n"
        "sys.argv = ['dynvision', 'make', '--force', 'raw/gratings:test']\n"
        "try:\n    runpy.run_module('dynvision_assets.command_line', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print(sum(name.split('.')[0] == 'distributed' for name in sys.modules))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _prepare(root, {**SHORT, "images": 8})
        done = subprocess.run(
            [sys.executable, "-c", code], env=_environment(root), check=True, capture_output=True, text=True
        )
    return {"distributed": int(done.stdout.split()[-1])}


def _ask(task: str, **arguments: Any) -> dict[str, float]:
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale_worker", task, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _measure_slurm() -> dict[str, list[float]]:
    """Time the first result through the engine and through a bare job, on a one-node cluster of our own."""
    from tests.helpers.slurm_cluster import slurm_cluster

    times: dict[str, list[float]] = {"engine": [], "bare sbatch": []}
    with slurm_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        os.environ |= cluster.environment
        for _ in range(ROUNDS):
            times["bare sbatch"].append(_submit_bare(Path(folder)))
            times["engine"].append(_ask("slurm", root=folder)["seconds"])
    return times


def _submit_bare(folder: Path) -> float:
    code = "from benchmarks.scale_calls import sleep; sleep(0.0)"
    wrapped = f"cd {PROJECT} && {sys.executable} -c '{code}'"
    start = time.perf_counter()
    subprocess.run(
        ["sbatch", "--wait", "--output", str(folder / "bare.log"), "--wrap", wrapped], check=True, capture_output=True
    )
    return time.perf_counter() - start


def _print_sweeps(name: str, sweeps: dict[str, Any], times: dict[str, list[float]]) -> None:
    medians = {case: statistics.median(values) for case, values in times.items()}
    ratio = medians["one after the other"] / medians["-j 2"]
    print(
        f"{SUBJECTS} {name} sweeps ({len(sweeps['contrast'])} conditions, {sweeps['images']} images, "
        f"{sweeps['steps']['tsteps']} steps): "
        f"{medians['one after the other']:.1f} s one after the other, {medians['-j 2']:.1f} s with -j 2: "
        f"{ratio:.2f} times (needed {sweeps['needed']})"
    )


def _print_sleeps(sleeps: dict[str, Any], got: dict[str, float]) -> None:
    ideal = sleeps["count"] * sleeps["seconds"] / sleeps["workers"]
    each = (got["seconds"] - ideal) * sleeps["workers"] / sleeps["count"]
    print(
        f"{sleeps['count']} calls of {sleeps['seconds']:g} s on {sleeps['workers']} workers: {got['seconds']:.1f} s, "
        f"{ideal / got['seconds']:.2f} of the ideal {ideal:.0f} s; {each:.3f} s a call above it; controller "
        f"{got['megabytes']:.0f} MB, {got['cpu']:.1f} CPU s; first results after {got['started']:.1f} s"
    )


def _print_slurm(times: dict[str, list[float]]) -> None:
    medians = {case: statistics.median(values) for case, values in times.items()}
    print(
        f"Slurm, first result: {medians['engine']:.1f} s through the engine, {medians['bare sbatch']:.1f} s with a "
        f"bare sbatch: {medians['engine'] - medians['bare sbatch']:+.1f} s (at most +3)"
    )


if __name__ == "__main__":
    run()
