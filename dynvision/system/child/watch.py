"""Noticing that a child process was stopped, or does nothing, and saying so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dynvision.system.process_trees import glance_at_tree
from dynvision.system.progress import say

if TYPE_CHECKING:
    import psutil

__all__ = ["ChildWatch"]

LOOK = 2.0
"""Seconds between two looks. A process counts as stopped if it is so in two of them."""

IDLE = 60.0
"""Seconds without any work after which a child is said to hang."""

REPEAT = 600.0
"""Seconds after which it is said again."""

_LEAST_WORK = 0.01
"""The share of a core below which a process only waits."""


class ChildWatch:
    """Looks at a child and its descendants now and then.

    Args:
        pid: The child.
        name: What it computes, for the messages.
        tell: Takes the messages too.
    """

    def __init__(self, pid: int, name: str, tell: Callable[[str], object] | None) -> None:
        self._pid, self._name, self._tell = pid, name, tell
        self._looked = self._worked = time.monotonic()
        self._said_at: float | None = None
        self._said_idle_at = self._looked - REPEAT
        self._suspects: set[int] = set()
        self._work: float | None = None
        self._said_of = pid

    def look(self) -> None:
        """Look at the processes if the last look was some time ago; say what is new."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        span, self._looked = now - self._looked, now
        if span > 5 * LOOK:  # This process was stopped itself, as by Ctrl-Z: all go on together.
            self._suspects, self._worked, self._work = set(), now, None
            return
        tree = glance_at_tree(self._pid)
        stopped = self._find_stopped(tree)
        if stopped is not None:
            self._say(now, stopped, self._describe_stopped(stopped))
            return
        if self._has_worked(tree, span):
            self._worked = now
            self._say_that_it_goes_on()
        elif now - self._worked > IDLE and now - self._said_idle_at >= REPEAT:
            self._said_idle_at = now
            self._say(now, self._pid, self._describe_idle(now - self._worked))

    def _find_stopped(self, tree: list[psutil.Process]) -> int | None:
        """Return the first process that is stopped, and was so at the last look."""
        stopped = [process.pid for process in tree if _status(process) in ("stopped", "tracing-stop")]
        confirmed = next((pid for pid in stopped if pid in self._suspects), None)
        self._suspects = set(stopped)
        return confirmed

    def _has_worked(self, tree: list[psutil.Process], span: float) -> bool:
        """Return whether the processes computed or read anything since the last look."""
        before, self._work = self._work, sum(map(_measure_work, tree))
        return before is None or self._work < before or self._work - before > _LEAST_WORK * span

    def _say(self, now: float, pid: int, message: str) -> None:
        if self._said_at is None or now - self._said_at >= REPEAT:
            self._said_at, self._said_of = now, pid
            self._pass_on(message)

    def _say_that_it_goes_on(self) -> None:
        if self._said_at is not None:
            self._said_at = None
            self._pass_on(f"{self._name}: process {self._said_of} goes on")

    def _pass_on(self, message: str) -> None:
        say(message)
        if self._tell is not None:
            self._tell(message)

    def _describe_stopped(self, pid: int) -> str:
        what = "that computes it" if pid == self._pid else f"that process {self._pid} needs to compute it"
        return (
            f"{self._name}: process {pid} {what} was stopped by a signal (as by SIGSTOP or a debugger). Let it go on: "
            f"kill -CONT {pid}. Or end this with Ctrl-C."
        )

    def _describe_idle(self, seconds: float) -> str:
        return (
            f"{self._name}: process {self._pid} that computes it has neither computed nor read anything for "
            f"{seconds:.0f} s. It waits for a disk, a network, a device or another process. If that does not end, end "
            "this with Ctrl-C, and run it again."
        )


def _status(process: psutil.Process) -> str:
    import psutil

    try:
        return str(process.status())
    except (psutil.Error, OSError):
        return "ended"


def _measure_work(process: psutil.Process) -> float:
    """Return the seconds that a process computed, plus one for every megabyte that it read or wrote to disk."""
    import psutil

    try:
        times = process.cpu_times()
        seconds = float(times.user + times.system)
        counters = process.io_counters() if hasattr(process, "io_counters") else None
    except (psutil.Error, OSError):
        return 0.0
    if counters is None:
        return seconds
    # Characters written are left out: lines about the progress are written while nothing happens.
    return seconds + (getattr(counters, "read_chars", 0) + counters.write_bytes) / 1e6
