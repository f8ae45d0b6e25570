"""Locks on outputs: one process builds, the others wait or say for whom they would have to.

The operating system frees a lock when its process ends, however that happens. A note next to the lock says who holds
it. The note is for people, and for `dynvision unlock`; it decides nothing by itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.errors import DynvisionError
from dynvision.system.files import make_directory
from dynvision.system.holders import find_holder, lock_path, owner_path, write_note

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["FOR_EVER", "OutputBusyError", "break_lock", "hold_until_exit", "output_lock", "try_lock"]

FOR_EVER = float("inf")
"""The timeout of somebody who waits as long as it takes."""

REPEAT = 300.0
"""Seconds after which a process that waits says again for whom."""

_TURN = 0.2
"""Seconds between two looks at a lock that is waited for."""

_held: dict[Path, int] = {}
"""The locks of this process, and the thread that holds each."""


class OutputBusyError(DynvisionError):
    """Another process is building the same output."""


@contextlib.contextmanager
def output_lock(output: Path, timeout: float = 0.0, tell: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the lock of one output; the operating system frees it when the holder dies.

    Args:
        output: The file or folder that is about to be written.
        timeout: Seconds to wait for another holder; 0 does not wait.
        tell: Takes a sentence that says who is waited for: at once, when the holder changes, and every five minutes.

    Raises:
        OutputBusyError: Another process holds it; the message says which.
        DynvisionError: If the lock cannot be used at all, for example because it belongs to another user.
    """
    from filelock import FileLock

    make_directory(output.parent)
    path = lock_path(output)
    lock = FileLock(path)
    _acquire(lock, output, timeout, tell)
    note = None
    try:
        _held[path] = threading.get_ident()
        note = write_note(output)
        yield
    finally:
        _held.pop(path, None)
        with contextlib.suppress(OSError):
            if note is not None and owner_path(output).read_text(encoding="utf-8") == note:
                owner_path(output).unlink()
        lock.release()


def hold_until_exit(path: Path) -> bool:
    """Lock a file for as long as this process lives, also as another program (`os.exec`); return whether that worked.

    Args:
        path: The file; it is made, and stays.

    Raises:
        DynvisionError: If the file cannot be locked at all.
    """
    import fcntl

    try:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            descriptor = os.open(path, os.O_RDONLY)  # Another user made it.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    except OSError as error:
        raise DynvisionError(
            f"{path} cannot be locked: {error.strerror}. Make room, change its permissions, or set DAGSTER_HOME to a "
            "folder on a local disk."
        ) from error
    os.set_inheritable(descriptor, True)
    return True


@contextlib.contextmanager
def try_lock(output: Path) -> Iterator[bool]:
    """Hold the lock of an output without a note if it is free; yield whether it was.

    Raises:
        DynvisionError: If the lock cannot be used at all.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(lock_path(output))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise _unusable(output, error) from error
    try:
        yield True
    finally:
        lock.release()


def break_lock(output: Path) -> None:
    """Put away the lock of an output, whoever holds it. Whoever builds next takes a new one."""
    lock_path(output).unlink(missing_ok=True)
    owner_path(output).unlink(missing_ok=True)


def _acquire(lock: BaseFileLock, output: Path, timeout: float, tell: Callable[[str], object] | None) -> None:
    """Take a lock, or wait for it.

    Raises:
        OutputBusyError: It was not free in time, or this very thread holds it.
    """
    from filelock import Timeout

    end, said_at, said = time.monotonic() + timeout, 0.0, ""
    patience = 0.0
    while True:
        try:
            lock.acquire(timeout=patience, poll_interval=_TURN)
            return
        except Timeout:
            holder = find_holder(output)
        except OSError as error:
            raise _unusable(output, error) from error
        now = time.monotonic()
        if now >= end or _held.get(lock_path(output)) == threading.get_ident():
            raise OutputBusyError(f"{output} is being built by {holder}. {_complete(holder.advice, output)}") from None
        if tell is not None and (now - said_at > REPEAT or said != f"{holder.owner}"):
            # An owner that has ended frees nothing by itself any more: say what does.
            why = f" {_complete(holder.advice, output)}." if holder.liveness == "dead" else ""
            tell(f"{output} is being built by {holder}: waiting until that has ended (Ctrl-C stops waiting).{why}")
            said_at, said = now, f"{holder.owner}"
        patience = min(5.0, end - now)


def _unusable(output: Path, error: OSError) -> DynvisionError:
    return DynvisionError(
        f"{output} cannot be locked, so it is not written: {lock_path(output)}: {error.strerror}. Another user may own "
        "the file, or the disk may know no locks: change its permissions, or set DYNVISION_ROOT to another disk."
    )


def _complete(advice: str, output: Path) -> str:
    return f"{advice} {output}" if advice.endswith("unlock") else advice
