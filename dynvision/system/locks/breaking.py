"""Locks without a block: those that are held until a process ends, looked at, or put away."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from dynvision.errors import DynvisionError
from dynvision.system.locks.holders import lock_path
from dynvision.system.locks.lock import OutputLock, unusable
from dynvision.system.locks.notes import remove_notes

__all__ = ["break_lock", "hold_until_exit", "try_lock"]


def hold_until_exit(path: Path) -> bool:
    """Lock a file for as long as this process lives, also as another program (`os.exec`); return whether that worked.

    Such a lock is the kernel's alone: another program gives no signs of life.

    Args:
        path: The file; it is made, and stays.

    Raises:
        DynvisionError: If the file cannot be locked at all.
    """
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
def try_lock(output: Path) -> Iterator[str | None]:
    """Hold the lock of an output if it is free, or its owner has ended.

    Yields:
        Who had it, and why it was taken over, the end of a sentence; empty if it was free; `None` if it is held.

    Raises:
        DynvisionError: If the lock cannot be used at all.
    """
    lock = OutputLock(output)
    try:
        try:
            taken = lock.take()
        except OSError as error:
            raise unusable(output, error) from error
        yield taken
    finally:
        lock.release()


def break_lock(output: Path) -> None:
    """Put away the lock of an output, whoever holds it. Whoever builds next takes a new one."""
    lock_path(output).unlink(missing_ok=True)
    remove_notes(output)
