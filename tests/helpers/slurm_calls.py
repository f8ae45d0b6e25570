"""Calls for an engine on Slurm, and the functions that its jobs then compute."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dynvision.engines.calls import Call, Resources
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.settings import EngineSettings

SMALL = Resources(memory=400 << 20, time=300)


def engine(folder: Path, **settings: object) -> DistributedEngine:
    """An engine whose jobs reach this machine."""
    return DistributedEngine(EngineSettings(kind="slurm", folder=folder / "engine", interface="lo", **settings))  # type: ignore[arg-type]


def call(name: str, function: str, /, *attempts: Resources, **arguments: object) -> Call:
    """A call of one of the functions below."""
    return Call(name, f"tests.helpers.slurm_calls:{function}", arguments, attempts or (SMALL,))


def add(first: int, second: int) -> dict[str, object]:
    """Add two numbers, and say where."""
    return {"sum": first + second, "job": os.environ.get("SLURM_JOB_ID"), "threads": os.environ.get("OMP_NUM_THREADS")}


def work(folder: str, name: str, seconds: float = 0.0) -> dict[str, object]:
    """Write a file that says which process computes this, and take a while; what was begun before counts."""
    job, begun = os.environ.get("SLURM_JOB_ID"), Path(folder) / f"{name}.begun"
    with begun.open("a") as file:
        file.write(f"{job} {os.getpid()} {os.getppid()}\n")
    if len(begun.read_text().splitlines()) == 1:
        time.sleep(seconds)
    return {"job": job, "times": len(begun.read_text().splitlines())}


def die_with(memory: str) -> dict[str, object]:
    """Be killed as by a kernel without memory, unless the job has as much memory as is said (in megabytes)."""
    if os.environ.get("SLURM_MEM_PER_NODE") != memory:
        os.kill(os.getpid(), 9)
    return {"memory": memory}
