"""One measurement of an engine in its own process: `python -m benchmarks.scale_worker TASK JSON`; it prints JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dynvision.engines.base import Engine
from dynvision.engines.calls import Call, Resources
from dynvision.engines.opening import open_engine
from dynvision.engines.settings import EngineSettings

SLEEP = "benchmarks.scale_calls:sleep"


def sleeps(count: int, seconds: float, workers: int) -> dict[str, float]:
    """Time calls that sleep, on workers whose children are warm; also the peak memory of this process, the controller.

    Args:
        count: Calls.
        seconds: How long each sleeps.
        workers: Workers on this machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = EngineSettings(kind="local", workers=workers, folder=Path(folder), gpus=())
        with open_engine(settings) as engine:
            start = time.perf_counter()
            _run(engine, 2 * workers, 0.5)
            started = time.perf_counter() - start
            start, cpu = time.perf_counter(), time.process_time()
            _run(engine, count, seconds)
            took = time.perf_counter() - start
            cpu = time.process_time() - cpu
    return {"seconds": took, "started": started, "cpu": cpu, "megabytes": _peak()}


def slurm(root: str) -> dict[str, float]:
    """Time a call on Slurm, from opening the engine to its result."""
    resources = (Resources(cpus=1, memory=1 << 30, time=600),)
    start = time.perf_counter()
    settings = EngineSettings(kind="slurm", folder=Path(root) / ".dynvision/engine", interface="lo", max_jobs=1)
    with open_engine(settings) as engine:
        engine.submit(Call("first", SLEEP, {"seconds": 0.0}, resources))
        outcome = engine.wait()
        took = time.perf_counter() - start
        assert outcome.error is None, outcome.error
    return {"seconds": took}


def _run(engine: Engine, count: int, seconds: float) -> None:
    for number in range(count):
        engine.submit(Call(f"sleep {number}", SLEEP, {"seconds": seconds}))
    for _ in range(count):
        outcome = engine.wait()
        assert outcome.error is None, outcome.error


def _peak() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    tasks: dict[str, Any] = {"sleeps": sleeps, "slurm": slurm}
    print(json.dumps(tasks[sys.argv[1]](**json.loads(sys.argv[2]))))
