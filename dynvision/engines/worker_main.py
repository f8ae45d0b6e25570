"""A Dask worker of an engine: one call at a time, no port that listens but its own, and an end without leftovers.

`python -m dynvision.engines.worker_main ADDRESS --credentials FOLDER --name NAME` starts one, in a job for example. It
ends when the scheduler does, or when it gets SIGTERM, and interrupts the call that it computes.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from dynvision.engines.credentials import read_credentials
from dynvision.engines.dask_use import SETTINGS
from dynvision.system.child.process import shared_process

__all__ = ["WorkerOptions", "main", "run_worker", "use_threads", "worker_command"]

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLIS_NUM_THREADS")
"""Variables that limit the threads of the libraries for linear algebra."""

_PATIENCE = 3.6
"""Seconds that an interrupted call may take to clean up; `ComputeProcess` kills it a little earlier."""


@dataclass(frozen=True)
class WorkerOptions:
    """A worker.

    Attributes:
        address: The scheduler.
        credentials: The folder with the run's certificate.
        name: Its name; no two workers of a run have the same.
        host: The address to listen on; `None` for that of `interface`.
        interface: The network interface to listen on.
        threads: How many threads a call may use; `None` leaves it to the environment.
        resources: The resources of Dask that it offers.
        scratch: A folder for Dask's own temporary files; `None` makes one and removes it.
        patience: Seconds that the scheduler may take to answer at first.
        lifetime: Seconds after which it takes no further call, and ends as soon as it computes none; `None` for ever.
    """

    address: str
    credentials: Path
    name: str
    host: str | None = None
    interface: str | None = None
    threads: int | None = None
    resources: dict[str, float] = field(default_factory=dict)
    scratch: Path | None = None
    patience: float = 60.0
    lifetime: float | None = None


def worker_command(options: WorkerOptions, python: str = sys.executable) -> list[str]:
    """Return the command line that starts a worker."""
    command = [python, "-P", "-m", "dynvision.engines.worker_main", options.address]
    command += ["--credentials", str(options.credentials), "--name", options.name]
    for name in ("host", "interface", "threads", "scratch", "lifetime"):
        value = getattr(options, name)
        if value is not None:
            command += [f"--{name}", str(value)]
    for resource, amount in options.resources.items():
        command += ["--resource", f"{resource}={amount:g}"]
    return [*command, "--patience", f"{options.patience:g}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker until it is not needed any more."""
    parser = argparse.ArgumentParser(prog="python -m dynvision.engines.worker_main", description=__doc__)
    parser.add_argument("address", help="the scheduler, such as tls://10.0.0.1:34567")
    parser.add_argument("--credentials", type=Path, required=True, help="the folder with the run's certificate")
    parser.add_argument("--name", required=True, help="a name that no other worker of the run has")
    parser.add_argument("--host", help="the address to listen on")
    parser.add_argument("--interface", help="the network interface to listen on")
    parser.add_argument("--threads", type=int, help="how many threads a call may use")
    parser.add_argument("--resource", action="append", default=[], help="a resource that it offers, such as gpu=1")
    parser.add_argument("--scratch", type=Path, help="a folder for temporary files")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for the scheduler")
    parser.add_argument("--lifetime", type=float, help="seconds after which it takes no further call")
    chosen = vars(parser.parse_args(arguments))
    pairs = [pair.split("=", 1) for pair in chosen.pop("resource")]
    run_worker(WorkerOptions(**chosen, resources={name: float(amount) for name, amount in pairs}))


def use_threads(threads: int) -> None:
    """Let the libraries for linear algebra use so many threads, in this process and in those that it starts."""
    for name in _THREADS:
        os.environ[name] = str(threads)


def run_worker(options: WorkerOptions) -> None:
    """Run a worker in this process, and end the process."""
    if options.threads is not None:
        use_threads(options.threads)
    import dask.config
    import distributed  # noqa: F401  # It adds its defaults to the configuration.

    dask.config.set(SETTINGS)
    # `asyncio` complains about what is still running when a process ends.
    for name in ("distributed", "distributed.worker", "distributed.core", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    scratch = options.scratch or Path(tempfile.mkdtemp(prefix="dynvision-worker-"))
    try:
        code = asyncio.run(_live(options, scratch))
        _wait_for_call()
    except BaseException:  # noqa: BLE001  # the process ends with it
        traceback.print_exc()
        code = 1
    _end(options, scratch, code)


def _end(options: WorkerOptions, scratch: Path, code: int) -> NoReturn:
    """End this process and its child."""
    shared_process().close()
    if options.scratch is None:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.stderr.flush()
    os._exit(code)


async def _live(options: WorkerOptions, scratch: Path) -> int:
    from dynvision.engines.quiet_worker import QuietWorker

    worker = QuietWorker(
        options.address,
        name=options.name,
        nthreads=1,
        host=options.host,
        interface=None if options.host else options.interface,
        protocol="tls",
        security=read_credentials(options.credentials),
        resources=options.resources,
        memory_limit=0,
        local_directory=str(scratch),
        death_timeout=options.patience,
        dashboard=False,
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    try:
        await worker
    except (OSError, TimeoutError) as error:
        print(f"the scheduler at {options.address} does not answer: {error}", file=sys.stderr)  # noqa: T201
        return 1
    waits = [asyncio.create_task(ended.wait()), asyncio.create_task(worker.finished())]
    if options.lifetime is not None:
        waits.append(asyncio.create_task(_retire(worker, options.lifetime)))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if not worker.state.executing_count:  # Nothing is lost. Two hundred workers that all say goodbye take seconds.
        _end(options, scratch, 0)
    await worker.close(timeout=1)
    return 0


async def _retire(worker: object, lifetime: float) -> None:
    """Wait until the lifetime is over and no call is computed, so that a job's end cuts none off."""
    await asyncio.sleep(lifetime)
    while getattr(worker, "state").executing_count:  # noqa: B009  # Dask has no types
        await asyncio.sleep(0.2)


def _wait_for_call() -> None:
    """Wait until an interrupted call has cleaned up: its thread ends. Others of Dask's threads may wait for ever."""
    deadline = time.monotonic() + _PATIENCE
    for thread in threading.enumerate():
        if thread.name.startswith("Dask-Default-Threads"):
            thread.join(max(0.0, deadline - time.monotonic()))


if __name__ == "__main__":
    main()
