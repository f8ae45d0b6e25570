"""Locks on outputs: one process builds, the others wait or say for whom they would have to.

A lock is two locks. The kernel's own is fast, and free as soon as its holder dies; but between machines it may not
hold, and some file systems refuse it. The note next to the output says who holds the lock, and is a lock by itself: see
`notes`. Its holder gives signs of life; if they fail to come, the lock is taken over, and the holder finds that out
before it puts anything in place: see `OutputLock.check`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dynvision.errors import OutputBusyError
from dynvision.system.files import make_directory
from dynvision.system.guards import guard_outputs
from dynvision.system.locks.holders import REFRESH, find_holder, lock_path
from dynvision.system.locks.lock import LOOK, OutputLock, unusable

__all__ = ["FOR_EVER", "OutputBusyError", "output_lock"]

FOR_EVER = float("inf")
"""The timeout of somebody who waits as long as it takes."""

REPEAT = 300.0
"""Seconds after which a process that waits says again for whom."""

TURN = 0.2
"""Seconds between two looks at a lock that is waited for."""

_held: dict[Path, int] = {}
"""The locks of this process, and the thread that holds each."""


@contextlib.contextmanager
def output_lock(
    output: Path,
    timeout: float = 0.0,
    tell: Callable[[str], object] | None = None,
    *,
    guarded: Iterable[Path] = (),
    refresh: float = REFRESH,
) -> Iterator[OutputLock]:
    """Hold the lock of one output; it is free when the holder dies.

    Within the block, nothing is put in place of the output by `dynvision.system.files` after another process has taken
    the lock over: `LockLostError`.

    Args:
        output: The file or folder that is about to be written.
        timeout: Seconds to wait for another holder; 0 does not wait.
        tell: Takes a sentence that says who is waited for: at once, when the holder changes, and every five minutes.
        guarded: Further files and folders that are written with this lock.
        refresh: Seconds between two signs of life; the same for all that use an output.

    Raises:
        OutputBusyError: Another process holds it; the message says which.
        DynvisionError: If the lock cannot be used at all, for example because it belongs to another user.
    """
    make_directory(output.parent)
    lock = OutputLock(output, refresh)
    path = lock_path(output)
    is_first = False
    try:
        _acquire(lock, timeout, tell)
        is_first = True
        _held[path] = threading.get_ident()
        with guard_outputs((output, *guarded), lock.check), lock.explain_errors():
            yield lock
    finally:
        if is_first:
            _held.pop(path, None)
        lock.release()


def _acquire(lock: OutputLock, timeout: float, tell: Callable[[str], object] | None) -> None:
    """Take a lock, or wait for it.

    Raises:
        OutputBusyError: It was not free in time, or this very thread holds it.
    """
    output = lock.output
    end, said_at, said, look_at = time.monotonic() + timeout, 0.0, "", 0.0
    while True:
        try:
            taken = lock.take()
            now = time.monotonic()
            is_over = now >= end or _held.get(lock_path(output)) == threading.get_ident()
            holder = find_holder(output) if taken is None and (is_over or now >= look_at) else None
        except OSError as error:
            raise unusable(output, error) from error
        if taken is not None:
            if taken and tell is not None and not taken.endswith("which has ended"):
                tell(f"{output} was locked by {taken}: its lock is taken over.")
            return
        if is_over and holder is not None:
            raise OutputBusyError(f"{output} is being built by {holder}. {_complete(holder.advice, output)}")
        if holder is not None:
            look_at = now + LOOK
        if holder is not None and tell is not None and (now - said_at > REPEAT or said != f"{holder.owner}"):
            # An owner that has ended frees nothing by itself any more: say what does.
            why = f" {_complete(holder.advice, output)}." if holder.liveness == "dead" else ""
            tell(f"{output} is being built by {holder}: waiting until that has ended (Ctrl-C stops waiting).{why}")
            said_at, said = now, f"{holder.owner}"
        time.sleep(max(0.0, min(TURN, end - now)))


def _complete(advice: str, output: Path) -> str:
    return f"{advice} {output}" if advice.endswith("unlock") else advice
