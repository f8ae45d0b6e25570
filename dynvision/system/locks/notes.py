"""The lock between machines: the note next to an output, of which at most one can exist.

Whoever makes the file holds the lock (`O_EXCL`, which file systems between machines keep, too). Whoever takes it over
from an owner that has ended, or gives it back, first makes a second file: its note for the place of the first one. So
only one process at a time replaces or removes the first file, and it looks again at what is there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import uuid
from pathlib import Path

from dynvision.system.locks.holders import (
    STALE,
    Holder,
    measure_quiet,
    next_path,
    owner_path,
    read_next,
    read_note,
    say_duration,
)
from dynvision.system.locks.jobs import Job
from dynvision.system.owners import Owner, describe_process

__all__ = ["compose_note", "create_note", "give_back", "remove_notes", "take_over", "why_ended", "why_suspended"]

_TRIES = 50
"""How often a note is given back, a hundredth of a second apart, while somebody else holds the second file."""


def compose_note(flock: tuple[int, int] | None, refresh: float) -> str:
    """Compose the note of this process.

    Args:
        flock: The device and number of the file on which it holds the kernel's lock; `None` if it holds none.
        refresh: Seconds between two signs of life.
    """
    job = Job.here()
    content = {
        "owner": Owner.here().to_dict(),
        "command": describe_process(),
        "since": time.time(),
        "job": None if job is None else job.to_dict(),
        "refresh": refresh,
        "flock": flock,
        "token": uuid.uuid4().hex,
    }
    return json.dumps(content, ensure_ascii=True) + "\n"


def create_note(output: Path, text: str) -> bool:
    """Make the note of an output; return whether there was none.

    Raises:
        OSError: If it cannot be made or written.
    """
    return _create(owner_path(output), text) and read_note(output).text == text


def take_over(output: Path, old: Holder, text: str) -> bool:
    """Put another note in place of that of an owner that has ended; return whether this process did it.

    Raises:
        OSError: If it cannot be written.
    """
    if not _begin(output, text):
        return False
    if read_note(output) == old:  # Nobody else was faster, and there was no sign of life.
        with contextlib.suppress(FileNotFoundError):
            os.replace(next_path(output), owner_path(output))
            return read_note(output).text == text
    _remove_next(output, text)
    return False


def give_back(output: Path, text: str) -> None:
    """Remove a note of this process if it is in place. The note of anybody else is left alone."""
    with contextlib.suppress(OSError):
        _remove_next(output, text)  # left by an interruption
        for _ in range(_TRIES):
            if read_note(output).text != text:
                return
            try:
                has_begun = _begin(output, text)
            except OSError:  # The disk is full, for example. Then this is less than sure, but still very likely.
                owner_path(output).unlink()
                return
            if has_begun:
                try:
                    if read_note(output).text == text:
                        owner_path(output).unlink()
                    return
                finally:
                    _remove_next(output, text)
            time.sleep(0.01)


def remove_notes(output: Path) -> None:
    """Remove whatever notes are there."""
    owner_path(output).unlink(missing_ok=True)
    next_path(output).unlink(missing_ok=True)


def why_ended(output: Path, holder: Holder, flock: tuple[int, int] | None) -> str:
    """Say why the owner of a note is known to have ended; empty if it may still be there.

    Args:
        output: The output.
        holder: Its note.
        flock: The device and number of the file on which this process holds the kernel's lock; `None` if it has none.

    Returns:
        The end of a sentence about the owner. A living process of this machine never counts as ended at one look,
        however long it has been quiet: see `why_suspended`.
    """
    owner, liveness = holder.owner, holder.liveness
    if owner is not None and owner.is_of_this_boot:
        if liveness == "dead":
            return "which has ended"
        if liveness == "unknown" and flock is not None and flock == holder.flock:
            return "which has ended"  # It is in another container, and the kernel has freed the lock that it held.
    if liveness == "alive":
        return ""
    measured = measure_quiet(output, holder)
    if measured.is_stale or (owner is None and measured.is_quiet):
        return f"which has given no sign of life for {say_duration(measured.quiet or 0.0)}"
    if measured.is_quiet and liveness == "dead":
        return "whose machine was restarted"
    if measured.is_quiet and holder.job is not None and holder.job.has_ended():
        return "whose job has ended"
    return ""


def why_suspended(output: Path, holder: Holder, watched: float) -> str:
    """Say that a living process of this machine has not looked after its lock for long; empty if it has.

    A machine that wakes up finds old times everywhere. So somebody must have watched, awake, and have seen nothing.

    Args:
        output: The output.
        holder: Its note.
        watched: For how many seconds, during which the machine was awake, the note has been seen unchanged.
    """
    measured = measure_quiet(output, holder)
    if measured.is_stale and watched > STALE / 2 * holder.refresh:
        return f"which has given no sign of life for {say_duration(measured.quiet or 0.0)}"
    return ""


def _begin(output: Path, text: str) -> bool:
    """Make the second file; return whether there was none. One that a dead process left is removed."""
    if _create(next_path(output), text):
        return True
    left = read_next(output)
    if left.modified is not None and (why_ended(output, left, None) or measure_quiet(output, left).is_stale):
        with contextlib.suppress(FileNotFoundError):
            if read_next(output) == left:
                next_path(output).unlink()
    return False


def _create(path: Path, text: str) -> bool:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.ESTALE:
            return False
        raise
    try:
        os.write(descriptor, text.encode())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def _remove_next(output: Path, text: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if read_next(output).text == text:
            next_path(output).unlink()
