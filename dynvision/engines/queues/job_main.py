"""The program of a job: a worker of the run that asked for the job.

dask-jobqueue writes its command line, so its options are those of Dask's own worker.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from dynvision.engines.interfaces import address_of
from dynvision.engines.worker_main import WorkerOptions, run_worker
from dynvision.errors import DynvisionError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker until it is not needed any more."""
    parser = argparse.ArgumentParser(prog="python -m dynvision.engines.queues.job_main", description=__doc__)
    parser.add_argument("address", help="the scheduler, such as tls://10.0.0.1:34567")
    parser.add_argument("--credentials", type=Path, required=True, help="the folder with the run's certificate")
    parser.add_argument("--name", required=True, help="a name that no other worker of the run has")
    parser.add_argument("--nthreads", type=int, help="how many threads a call may use")
    parser.add_argument("--memory-limit", help="not used: the batch system sees to it")
    parser.add_argument("--death-timeout", type=float, default=60.0, help="seconds to wait for the scheduler")
    parser.add_argument("--local-directory", type=Path, help="a folder of the run for temporary files")
    parser.add_argument("--interface", help="the network interface to listen on")
    chosen = parser.parse_args(arguments)
    if not chosen.credentials.is_dir():
        sys.exit(
            f"{platform.node()} does not see {chosen.credentials}: put the root on a file system that all machines "
            "share, at the same path. (If the run that asked for this job has ended, all is well.)"
        )
    try:
        host = address_of(chosen.interface)
    except DynvisionError as error:
        sys.exit(str(error))
    if chosen.local_directory is not None:
        chosen.local_directory.mkdir(exist_ok=True)
    run_worker(
        WorkerOptions(
            address=chosen.address,
            credentials=chosen.credentials,
            name=chosen.name,
            host=host,
            threads=chosen.nthreads,
            scratch=chosen.local_directory,
            patience=chosen.death_timeout,
        )
    )


if __name__ == "__main__":
    main()
