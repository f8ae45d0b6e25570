"""A process that imports Dask and torch once, and forks a worker and its computing child for each line that it is told.

Workers then start in milliseconds and share most of their memory. The process ends with its standard input, so also
when the controller is killed: first the workers get SIGTERM, then what is left is killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from dynvision.engines.worker_main import WorkerOptions, run_worker, use_threads
from dynvision.system.child.process import shared_process
from dynvision.system.machine import collect_garbage_seldom
from dynvision.system.process_trees import end_process

__all__ = ["main"]

_LIBRARIES = ("torch", "pandas", "xarray", "zarr", "dask.array", "pyarrow.dataset", "safetensors.torch", "tensorstore")
"""What nearly every call imports. A library whose threads or devices start when it is imported must not be here."""

_CALLS = ("dynvision.workspace.building", "dynvision.stages.responses", "dynvision.experiments.recording")
"""Modules of ours that nearly every call imports. They belong to the calls, not to this floor."""

_PATIENCE = 3.0
"""Seconds that workers may take to end."""

_LOOK = 0.1
"""Seconds between two looks at which workers have ended."""


def main() -> None:
    """Start workers until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # The controller says when to end: it closes the pipe.
    answers = os.dup(1)
    os.dup2(2, 1)
    can_compute = _import_all()
    workers: dict[int, str] = {}
    try:
        for orders in _read_orders():
            for order in orders:
                _start(order, workers, answers, can_compute)
            _report_ends(workers, answers)
    finally:
        for pid in workers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while workers and time.monotonic() < deadline:
        _report_ends(workers, answers)
        time.sleep(0.02)
    end_process(0)


def _import_all() -> bool:
    """Import what workers and their computing children need, before any thread exists.

    Returns:
        Whether this process can be copied to compute. Only Linux is known to allow it after such imports.
    """
    collect_garbage_seldom()
    import distributed  # noqa: F401

    if sys.platform != "linux":
        return False
    try:
        for name in (*_LIBRARIES, *_CALLS):
            importlib.import_module(name)
    except Exception:  # noqa: BLE001  # The child that needs it says so.
        return False
    gc.collect()
    gc.freeze()  # The collector of a worker leaves these objects alone, so that their memory stays shared.
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208


def _read_orders() -> Any:
    """Yield the orders that came, several times a second; end with standard input."""
    rest = b""
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    while True:
        orders = []
        if waiting.poll(_LOOK * 1000):
            part = os.read(0, 1 << 16)
            if not part:
                return
            *lines, rest = (rest + part).split(b"\n")
            orders = [json.loads(line) for line in lines if line.strip()]
        yield orders


def _start(order: dict[str, Any], workers: dict[int, str], answers: int, can_compute: bool) -> None:
    """Start a worker; if the system allows no further process, it counts as one that has ended."""
    try:
        pid = _fork(order, answers, can_compute)
    except OSError as error:
        sys.stderr.write(f"worker {order['name']} cannot be started: {error}\n")
        _tell(answers, name=order["name"], pid=0, code=1)
        return
    workers[pid] = order["name"]
    _tell(answers, name=order["name"], pid=pid)


def _fork(order: dict[str, Any], answers: int, can_compute: bool) -> int:
    """Start a worker and, if this process can be copied to compute, its child. Return the worker's process."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.close(answers)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if os.getppid() != parent:
            os._exit(1)
        os.environ.update(order["environment"])
        options = order["options"]
        for name in ("credentials", "scratch"):
            options[name] = Path(options[name])
        if can_compute:  # now, while the worker has no threads
            shared_process().fork(lambda: _prepare(options["threads"]))
        run_worker(WorkerOptions(**options))
    except BaseException:  # noqa: BLE001  # the process ends with it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _prepare(threads: int | None) -> None:
    """Let a computing child be like one that was not forked: its own random numbers, its share of the cores."""
    import numpy as np
    import torch

    np.random.seed()  # Its copies must not all draw the same.
    if threads is not None:
        use_threads(threads)
        torch.set_num_threads(threads)  # The environment counts only when torch is imported.


def _report_ends(workers: dict[int, str], answers: int) -> None:
    """Write a line for each worker that has ended."""
    while workers:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        name = workers.pop(pid, None)
        if name is not None:
            _tell(answers, name=name, pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(answers: int, **content: Any) -> None:
    """Write a line for the controller, if it still reads."""
    with contextlib.suppress(OSError):
        os.write(answers, json.dumps(content).encode() + b"\n")


if __name__ == "__main__":
    main()
