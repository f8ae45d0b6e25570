"""Who holds a lock: the note that the owner leaves next to it, and what can be seen of its process.

The note is a lock of its own between machines: see `notes`.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dynvision.system.locks.jobs import Job
from dynvision.system.owners import Liveness, Owner, describe_process, find_locking_processes

__all__ = [
    "REFRESH",
    "STALE",
    "Holder",
    "find_holder",
    "lock_path",
    "measure_quiet",
    "next_path",
    "owner_path",
    "parse_note",
    "read_next",
    "read_note",
    "say_duration",
]

REFRESH = 15.0
"""Seconds between two signs of life of a holder: it sets the time of its note."""

QUIET = 3
"""How many signs of life in a row fail to come before somebody asks whether a holder's machine or job has ended."""

STALE = 20
"""How many signs of life in a row fail to come before a lock is taken over, whatever else is known."""

_LONGEST = 1 << 16
"""The most bytes of a note that are read."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        owner: The process that took it, according to its note; `None` if there is no note that can be read.
        command: What that process was told to do; empty if that is not known.
        since: When it took the lock, in seconds since 1970; `None` if that is not known.
        job: The cluster's job that it runs in; `None` if it runs in none.
        refresh: Seconds between two of its signs of life.
        flock: The device and number of the file on which it holds the kernel's lock, too.
        text: The note itself, which no other one equals; empty if there is none, or it is empty.
        modified: When it gave its last sign of life, in seconds since 1970 by the clock of the file system; `None` if
            there is no note.
        quiet: Seconds since its last sign of life by the clock of the file system; `None` if that was not measured.
        heirs: Other processes, seen from here, that hold the lock, each with its command. A process that is started by
            the owner inherits the lock, and keeps it if the owner is killed.
    """

    owner: Owner | None
    command: str = ""
    since: float | None = None
    job: Job | None = None
    refresh: float = REFRESH
    flock: tuple[int, int] | None = None
    text: str = ""
    modified: float | None = None
    quiet: float | None = None
    heirs: tuple[tuple[int, str], ...] = ()

    @property
    def liveness(self) -> Liveness:
        """Whether the owner is there."""
        return "unknown" if self.owner is None else self.owner.liveness()

    def __str__(self) -> str:
        if self.owner is None:
            return _name_all(self.heirs) or "another process"
        job = f" in {self.job}" if self.job is not None else ""
        command = f" ({self.command})" if self.command else ""
        return f"{self.owner}{job}{command}{_since(self.since)}"

    @property
    def is_quiet(self) -> bool:
        """Whether it has missed several signs of life."""
        return self.quiet is not None and self.quiet > QUIET * self.refresh

    @property
    def is_stale(self) -> bool:
        """Whether it has missed so many signs of life that it counts as ended."""
        return self.quiet is not None and self.quiet > STALE * self.refresh

    @property
    def advice(self) -> str:
        """What can be done about it, a sentence or two."""
        if self.liveness != "dead":
            if self.is_quiet:
                return (
                    f"It has given no sign of life for {say_duration(self.quiet or 0.0)}. After "
                    f"{say_duration(STALE * self.refresh)} its lock is taken over: run this again then."
                )
            return "Wait for it to finish, or stop it, and run this again."
        if not self.heirs:
            return "That process has ended. If nothing else builds it: dynvision unlock"
        names = _name_all(self.heirs)
        pids = " ".join(str(pid) for pid, _ in self.heirs)
        return f"That process has ended, but {names} was started by it and keeps the lock. Stop it: kill {pids}"


def lock_path(output: Path) -> Path:
    """Return the file that is locked while an output is written."""
    return output.with_name(f".{output.name}.lock")


def owner_path(output: Path) -> Path:
    """Return the note that says who holds the lock of an output."""
    return output.with_name(f".{output.name}.owner")


def next_path(output: Path) -> Path:
    """Return the note of whoever is just taking over the lock of an output, or giving it back."""
    return output.with_name(f".{output.name}.owner-next")


def find_holder(output: Path) -> Holder:
    """Say who holds the lock of an output, as far as that can be seen. The caller has found it locked."""
    holder = measure_quiet(output, read_note(output))
    for _ in range(5):  # Whoever took the lock just now may not have written its note yet.
        if holder.liveness == "alive":
            return holder
        time.sleep(0.02)
        holder = measure_quiet(output, read_note(output))
    heirs = tuple((pid, describe_process(pid)) for pid in find_locking_processes(lock_path(output)))
    if heirs and holder.liveness == "unknown":
        return Holder(None, heirs=heirs)  # The note is of another lock, or names them as another container sees them.
    return replace(holder, heirs=heirs)


def read_note(output: Path) -> Holder:
    """Read who took the lock of an output last and has not given it back.

    Raises:
        OSError: If there is something that cannot be read.
    """
    return _read(owner_path(output))


def read_next(output: Path) -> Holder:
    """Read who is just taking over the lock of an output, or giving it back.

    Raises:
        OSError: If there is something that cannot be read.
    """
    return _read(next_path(output))


def measure_quiet(output: Path, holder: Holder) -> Holder:
    """Measure how long a holder has given no sign of life.

    The clock is that of the file system: the clocks of two machines may differ by hours.
    """
    if holder.modified is None:
        return holder
    path = lock_path(output)
    try:
        os.utime(path)  # Without a time, the file system sets its own.
        now = path.stat().st_mtime
    except OSError:
        return holder
    return replace(holder, quiet=max(0.0, now - holder.modified))


def parse_note(text: str, modified: float | None = None) -> Holder:
    """Read the text of a note. Whatever is missing or wrong in it is not known."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    content = read if isinstance(read, dict) else {}
    command = content.get("command")
    return Holder(
        Owner.from_dict(content.get("owner")),
        command if isinstance(command, str) else "",
        _number(content.get("since"), 0.0, 1e11),
        Job.from_dict(content.get("job")),
        _number(content.get("refresh"), 0.01, 3600.0) or REFRESH,
        _pair(content.get("flock")),
        text,
        modified,
    )


def _read(path: Path) -> Holder:
    try:
        # On a network file system, opening a file asks the server for what it is now.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            return parse_note(os.read(descriptor, _LONGEST).decode("utf-8", "replace"), status.st_mtime)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return Holder(None)
        raise


def _pair(value: Any) -> tuple[int, int] | None:
    is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(number, int) for number in value)
    return (value[0], value[1]) if is_pair else None


def _number(value: Any, low: float, high: float) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and low <= value < high
    return float(value) if is_number else None


def say_duration(seconds: float) -> str:
    """Say a duration: `8 s`, `12 min` or `3 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _name_all(processes: tuple[tuple[int, str], ...]) -> str:
    return ", ".join(f"process {pid}" + (f" ({command})" if command else "") for pid, command in processes)


def _since(time_of_locking: float | None) -> str:
    if time_of_locking is None:
        return ""
    then, ago = time.localtime(time_of_locking), max(0.0, time.time() - time_of_locking)
    clock = time.strftime("%H:%M" if ago < 12 * 3600 else "%Y-%m-%d %H:%M", then)
    return f" since {clock}, {say_duration(ago)} ago"
