"""A program that cancels jobs, and goes on if the process that has started it ends.

It is run by its path, without this project and without site-packages, so that it starts within milliseconds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["ONCE", "PERSISTENT", "start_canceller"]

ONCE = (0.0,)
PERSISTENT = (0.0, 3.0, 15.0, 60.0, 120.0)
"""Seconds before each attempt. A batch system that is restarted takes a minute or two."""

_MOST = 65536
"""Bytes that are read of what a submitting command says."""


def start_canceller(
    command: str,
    jobs: Sequence[str],
    pauses: Iterable[float],
    over: str,
    environment: Mapping[str, str],
    submission: tuple[int, int] | None = None,
    job_id: str = "",
) -> subprocess.Popen[bytes]:
    """Start the program. It ends with 0 when the batch system has cancelled the jobs, or says that they have ended.

    Args:
        command: The command that cancels jobs.
        jobs: Their numbers.
        pauses: Seconds before each attempt.
        over: Finds out in what the command says that a job has ended.
        environment: Its variables.
        submission: A command that still submits a job, which is cancelled as soon as it has a number: a pipe that is
            closed when it ends, and a file with what it says.
        job_id: Finds the number in that.
    """
    awaited, said = submission if submission is not None else (subprocess.DEVNULL, subprocess.DEVNULL)
    words = [over, job_id, " ".join(map(str, pauses)), command, *jobs]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, *words],
        stdin=awaited,
        stdout=said,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,  # A second Ctrl-C must not keep jobs from being cancelled.
    )


def _main(over: str, job_id: str, pauses: str, command: str, *jobs: str) -> int:
    sys.stdin.buffer.read()
    if job_id:
        found = re.search(job_id, os.pread(1, _MOST, 0).decode(errors="replace"))
        jobs = (found[1],) if found is not None else ()
    for pause in pauses.split():
        time.sleep(float(pause))
        if not jobs or _cancel([command, *jobs], over):
            return 0
    return 1


def _cancel(command: Sequence[str], over: str) -> bool:
    """Return whether all jobs were cancelled or have ended."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return False
    lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return not done.returncode or bool(lines and all(re.search(over, line) for line in lines))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
