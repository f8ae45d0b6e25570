"""The process that forks the workers of this machine, seen from the controller: starting it, early if possible."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from dynvision.errors import DynvisionError
from dynvision.system.child.process import KEPT_MEMORY
from dynvision.system.environment import without_launcher

__all__ = ["nursery_started_early", "start_nursery"]

_FORKED = {
    # Threads of libraries do not survive a fork. A worker sets how many torch uses; NumPy stays with one.
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Variables of a process that is going to be forked."""

_EARLY: list[subprocess.Popen[bytes]] = []
"""The process that was started before anybody needed it."""


@contextlib.contextmanager
def nursery_started_early() -> Iterator[None]:
    """Start the process now: it imports its libraries while this one still plans. End it if nobody took it."""
    with contextlib.suppress(DynvisionError):  # Whoever needs it will say so.
        _EARLY.append(_start())
    try:
        yield
    finally:
        while _EARLY:
            process = _EARLY.pop()
            process.kill()  # It has no workers yet.
            process.communicate()


def start_nursery() -> subprocess.Popen[bytes]:
    """Start the process, or return the one that was started early.

    Raises:
        DynvisionError: If it cannot be started.
    """
    while _EARLY:
        process = _EARLY.pop()
        if process.poll() is None:
            return process
        process.communicate()
    return _start()


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "dynvision.engines.local.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**KEPT_MEMORY, **without_launcher(os.environ), **_FORKED},
            start_new_session=True,  # Ctrl-C at a terminal reaches the controller alone.
        )
    except OSError as error:
        raise DynvisionError(f"no worker can be started: {error}. Close other programs, then run this again.") from None
