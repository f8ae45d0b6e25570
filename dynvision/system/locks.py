"""Locks on outputs: one process builds, the others wait or say for whom they would have to.

The operating system frees a lock when its process ends, however that happens. A note next to the lock says who holds
it. The note is for people, and for `dynvision unlock`; it decides nothing by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.errors import DynvisionError
from dynvision.system.files import make_directory, read_json
from dynvision.system.owners import Liveness, Owner, describe_process, find_locking_processes

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "FOR_EVER",
    "Holder",
    "OutputBusyError",
    "find_holder",
    "hold_until_exit",
    "lock_path",
    "output_lock",
    "owner_path",
]

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


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        owner: The process that took it, according to its note; `None` if there is no note that can be read.
        command: What that process was told to do; empty if that is not known.
        since: When it took the lock, in seconds since 1970; `None` if that is not known.
        heirs: Processes seen from here that hold the lock for another one, each with its command. A process that is
            started by the owner inherits the lock, and keeps it if the owner is killed.
    """

    owner: Owner | None
    command: str = ""
    since: float | None = None
    heirs: tuple[tuple[int, str], ...] = ()

    @property
    def liveness(self) -> Liveness:
        """Whether the owner is there."""
        return "unknown" if self.owner is None else self.owner.liveness()

    def __str__(self) -> str:
        if self.owner is None:
            return "another process"
        command = f" ({self.command})" if self.command else ""
        return f"{self.owner}{command}{_since(self.since)}"

    @property
    def advice(self) -> str:
        """What can be done about it, a sentence or two."""
        if self.liveness != "dead":
            return "Wait for it to finish, or stop it, and run this again."
        if not self.heirs:
            return "That process has ended. If nothing else builds it: dynvision unlock"
        names = ", ".join(f"process {pid}" + (f" ({command})" if command else "") for pid, command in self.heirs)
        pids = " ".join(str(pid) for pid, _ in self.heirs)
        return f"That process has ended, but {names} was started by it and keeps the lock. Stop it: kill {pids}"


def lock_path(output: Path) -> Path:
    """Return the file that is locked while an output is written."""
    return output.with_name(f".{output.name}.lock")


def owner_path(output: Path) -> Path:
    """Return the note that says who holds the lock of an output."""
    return output.with_name(f".{output.name}.owner")


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
        note = _write_note(output)
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
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    os.set_inheritable(descriptor, True)
    return True


def find_holder(output: Path) -> Holder:
    """Say who holds the lock of an output, as far as that can be seen. The caller has found it locked."""
    holder = _read_note(output)
    for _ in range(5):  # Whoever took the lock just now may not have written its note yet.
        if holder.owner is not None and holder.liveness != "dead":
            return holder
        time.sleep(0.02)
        holder = _read_note(output)
    heirs = tuple((pid, describe_process(pid)) for pid in find_locking_processes(lock_path(output)))
    return Holder(holder.owner, holder.command, holder.since, heirs)


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
            raise DynvisionError(
                f"{output} cannot be locked, so it is not written: {lock.lock_file}: {error.strerror}. Another user "
                "may own the file, or the disk may know no locks: change its permissions, or set DYNVISION_ROOT to "
                "another disk."
            ) from error
        now = time.monotonic()
        if now >= end or _held.get(lock_path(output)) == threading.get_ident():
            raise OutputBusyError(f"{output} is being built by {holder}. {_complete(holder.advice, output)}") from None
        if tell is not None and (now - said_at > REPEAT or said != f"{holder.owner}"):
            tell(f"{output} is being built by {holder}: waiting until that has ended (Ctrl-C stops waiting)")
            said_at, said = now, f"{holder.owner}"
        patience = min(5.0, end - now)


def _complete(advice: str, output: Path) -> str:
    return f"{advice} {output}" if advice.endswith("unlock") else advice


def _write_note(output: Path) -> str | None:
    """Write who holds the lock; return the text, or `None` if it cannot be written. The lock holds without it."""
    content = {"owner": Owner.here().to_dict(), "command": describe_process(), "since": time.time()}
    text = json.dumps(content, ensure_ascii=True) + "\n"
    try:
        owner_path(output).write_text(text, encoding="utf-8")
    except OSError:
        return None
    return text


def _read_note(output: Path) -> Holder:
    content = read_json(owner_path(output)) or {}
    since = content.get("since")
    is_time = isinstance(since, int | float) and not isinstance(since, bool) and 0 <= since < 1e11
    command = content.get("command")
    return Holder(
        Owner.from_dict(content.get("owner")),
        command if isinstance(command, str) else "",
        float(since) if is_time else None,  # type: ignore[arg-type]
    )


def _since(time_of_locking: float | None) -> str:
    if time_of_locking is None:
        return ""
    then, ago = time.localtime(time_of_locking), max(0.0, time.time() - time_of_locking)
    clock = time.strftime("%H:%M" if ago < 12 * 3600 else "%Y-%m-%d %H:%M", then)
    minutes = round(ago / 60)
    if ago < 100:
        return f" since {clock}, {ago:.0f} s ago"
    return f" since {clock}, " + (f"{minutes} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago")
