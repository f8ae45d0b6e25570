"""Responses: a sweep compared with a bare loop, writing compared with `torch.save`, and how much memory both take."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.images import ARCHIVE, real_data
from benchmarks.results import save_results
from dynvision.system.child.process import KEPT_MEMORY

SCRIPT = Path(__file__).with_name("response_worker.py")
PROJECT = Path(__file__).resolve().parent.parent
ROUNDS = 3
OLD_WORKFLOW_CPU = 527
"""CPU seconds of DynVision 0.1.0 for the same sweep of a network of 79k parameters (7 levels, 1,000 images, T=30)."""

CONTRASTS = [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]
SWEEP = {
    "parameter": "contrast",
    "data_loader": "StimulusContrast",
    "status": "init",
    "idle": 20,
    "data_args": {"tsteps": 30, "intro": 1, "stim": 20, "contrast": CONTRASTS},
}
MODEL = {
    "class": "dynvision.models:RCNN",
    "args": {"channels": [16, 24, 40, 56], "dt": 5.0, "tau": 10.0},
    "training": None,
    "record": {"layers": ["V*", "IT", "classifier"], "batch_size": 100},
}


def run() -> None:
    """Measure everything, print it, and write the numbers as JSON."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        config = _prepare(root)
        results["startup"] = _start_up(root, config)
        results["throughput"] = _throughput(root, config)
        results["sweep"] = _sweep(root, config)
        results["loading"] = _loading(root, config)
        results["memory"] = _memory(root, config)
        results["writing"] = _writing(root, config)
    save_results("responses", results)


def _ask(root: Path, config: Path, task: str, /, **arguments: Any) -> dict[str, Any]:
    """Run a task of `response_worker.py` in its own process and return its numbers."""
    # The settings of the allocator are those of the child process in which networks are computed.
    environment = {**KEPT_MEMORY, **os.environ, "DYNVISION_ROOT": str(root), "DYNVISION_CONFIG": str(config)}
    path = os.pathsep.join([str(PROJECT), environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), task, json.dumps(arguments)],
        env={**environment, "PYTHONPATH": path},
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _prepare(root: Path) -> Path:
    """Make a root with 1,000 test images: the invertebrates of CIFAR-100, or gratings without DYNVISION_REAL_DATA.

    Returns:
        The folder of the configuration.
    """
    config = root / "config"
    config.mkdir()
    for name in ("config_data.yaml", "config_models.yaml", "config_experiments.yaml"):
        (config / name).write_text((PROJECT / "config" / name).read_text())
    data = yaml.safe_load((config / "config_data.yaml").read_text())
    real = real_data()
    if real is not None:
        archive = root / "data/raw/cifar100/archive" / ARCHIVE
        archive.parent.mkdir(parents=True)
        archive.symlink_to(real.resolve() / ARCHIVE)
        data["data_sources"] = {"cifar100": {"md5": "61b86457079c6cae95af75703d5d3ad9"}}
        subject = {"model": "net", "dataset": "cifar100", "group": "invertebrates"}
    else:
        print("DYNVISION_REAL_DATA is not set: gratings are used instead of CIFAR-100")
        data["gratings"]["test_per_class"] = 125
        subject = {"model": "net", "dataset": "gratings"}
    noisy = {**subject, "sensor_noise": 0.5}
    experiments = {"subjects": {"x": subject, "noisy": noisy}, "experiment_config": {"contrast": SWEEP}}
    (config / "config_data.yaml").write_text(yaml.safe_dump(data))
    (config / "config_models.yaml").write_text(yaml.safe_dump({"models": {"net": MODEL}}))
    (config / "config_experiments.yaml").write_text(yaml.safe_dump(experiments))
    dataset, group = subject["dataset"], subject.get("group", "all")
    _make(root, config, f"models/net/{dataset}:all_s0", f"processed/{dataset}:test_{group}")
    return config


def _make(root: Path, config: Path, *targets: str) -> tuple[float, float]:
    """Run `dynvision make` as a user does; return the wall and CPU seconds of all its processes."""
    environment = {**os.environ, "DYNVISION_ROOT": str(root), "DYNVISION_CONFIG": str(config)}
    command = [sys.executable, "-m", "dynvision_assets.command_line", "make", "--force", *targets]
    path = os.pathsep.join([str(PROJECT), environment.get("PYTHONPATH", "")])
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env={**environment, "PYTHONPATH": path}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _edit(config: Path, record: dict[str, Any] | None = None, **data_args: Any) -> None:
    """Change the configuration: what is recorded, and the settings of the sweep."""
    models = {"models": {"net": {**MODEL, "record": {**MODEL["record"], **(record or {})}}}}  # type: ignore[dict-item]
    (config / "config_models.yaml").write_text(yaml.safe_dump(models))
    content = yaml.safe_load((config / "config_experiments.yaml").read_text())
    content["experiment_config"]["contrast"]["data_args"] = {**SWEEP["data_args"], **data_args}  # type: ignore[dict-item]
    (config / "config_experiments.yaml").write_text(yaml.safe_dump(content))


def _start_up(root: Path, config: Path) -> dict[str, float]:
    _edit(config, {"samples": 1})
    _make(root, config, "responses/contrast/x")
    times = [_make(root, config, "responses/contrast/x") for _ in range(ROUNDS)]
    wall, cpu = (statistics.median(values) for values in zip(*times, strict=True))
    print(
        f"starting up once, `dynvision make` of the sweep with 1 image: {cpu:.1f} CPU s, {wall:.1f} s wall (needed ≤ 8)"
    )
    return {"cpu": cpu, "wall": wall}


def _throughput(root: Path, config: Path) -> dict[str, Any]:
    _edit(config)
    answer = _ask(
        root, config, "throughput", root=str(root), config=str(config), target="responses/contrast/x", rounds=ROUNDS
    )
    medians = {
        name: tuple(statistics.median(values) for values in zip(*pairs, strict=True))
        for name, pairs in answer["times"].items()
    }
    steps = answer["steps"] * answer["images"]
    print(f"\n{answer['images']} images, {answer['steps']} of {answer['naive']} steps, medians of {ROUNDS} rounds\n")
    print(f"opening network, images and stores: {medians['opening'][0]:.2f} s, not counted below\n")
    print("| case | image-steps/s | of the bare loop | CPU s | needed |\n| --- | --- | --- | --- | --- |")
    for name, needed in (("bare", ""), ("unrecorded", "0.9"), ("recorded", "0.75")):
        wall, cpu = medians[name]
        print(f"| {name} | {steps / wall:,.0f} | {medians['bare'][0] / wall:.2f} | {cpu:.1f} | {needed} |")
    return {**answer, "medians": medians}


def _sweep(root: Path, config: Path) -> dict[str, float]:
    _edit(config)
    seconds = {}
    for subject in ("x", "noisy"):
        wall, cpu = _make(root, config, f"responses/contrast/{subject}")
        seconds[subject] = cpu
        share = f"1/{OLD_WORKFLOW_CPU / cpu:.1f} of {OLD_WORKFLOW_CPU} CPU s (needed 1/5)"
        print(f"whole sweep, subject {subject}: {cpu:.1f} CPU s, {wall:.1f} s wall; {share}")
    return seconds


def _loading(root: Path, config: Path) -> dict[str, Any]:
    answer = _ask(root, config, "load", root=str(root), target="responses/contrast/x")
    added, reading = answer["added"] / 1e6, answer["added_reading_one"] / 1e6
    print(
        f"dva.load of {answer['size'] / 1e6:,.0f} MB: {added:.1f} MB of memory in {answer['seconds']:.2f} s, "
        f"{reading:.1f} MB once a number is read (needed < 50 MB)"
    )
    return answer


def _memory(root: Path, config: Path) -> dict[str, list[float]]:
    """Measure the peak memory at unit resolution, with one to eight times as many samples, steps and conditions."""
    unit = {"resolution": "unit", "dtype": "float16"}
    base = {"samples": 120, "steps": 120, "conditions": 3}
    peaks: dict[str, list[float]] = {}
    print("\n| peak MB | 1 × | 2 × | 4 × | 8 × |\n| --- | --- | --- | --- | --- |")
    for axis in base:
        peaks[axis] = []
        for factor in (1, 2, 4, 8):
            size = {**base, axis: base[axis] * factor}
            contrasts = [round(0.04 * (n + 1), 2) for n in range(size["conditions"])]
            _edit(config, {**unit, "samples": size["samples"]}, tsteps=size["steps"], contrast=contrasts)
            targets = [f"responses/contrast/x:{level}" for level in contrasts]
            answer = _ask(root, config, "build", root=str(root), config=str(config), targets=targets)
            peaks[axis].append(answer["peak"] / 1e6)
        print(f"| {axis} ({base[axis]}) | " + " | ".join(f"{value:,.0f}" for value in peaks[axis]) + " |")
    _edit(config)
    return peaks


def _writing(root: Path, config: Path) -> dict[str, Any]:
    _edit(config, {"resolution": "unit", "dtype": "float16"})
    target = {"root": str(root), "config": str(config), "target": "responses/contrast/x"}
    answer = _ask(root, config, "write", **target, rounds=5, samples=1920, batch=64)
    speeds = {name: answer["bytes"] / statistics.median(times) / 1e6 for name, times in answer["times"].items()}
    rates = ", ".join(f"{name} {speed:,.0f} MB/s" for name, speed in speeds.items())
    zeros = ", ".join(f"{layer} {share:.0%}" for layer, share in answer["zeros"].items())
    print(f"\nwriting {answer['bytes'] / 1e6:,.0f} MB of float16 responses (zero: {zeros}): {rates}")
    print(f"in the store they take {answer['packed'] / answer['bytes']:.0%}")
    print(
        f"ours ÷ torch.save {speeds['ours'] / speeds['torch.save']:.2f} (needed 0.8 × 810/499 = 1.30), "
        f"÷ bare tensorstore {speeds['ours'] / speeds['tensorstore']:.2f}"
    )
    return {**answer, "speeds": speeds}
