"""Who holds a lock: the note that the owner leaves next to it, and what can be seen of its process.

The note is for people, and for `dynvision unlock`. It decides nothing by itself.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from dynvision.system.files import read_json
from dynvision.system.owners import Liveness, Owner, describe_process, find_locking_processes

__all__ = ["Holder", "find_holder", "lock_path", "owner_path", "read_note", "write_note"]


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        owner: The process that took it, according to its note; `None` if there is no note that can be read.
        command: What that process was told to do; empty if that is not known.
        since: When it took the lock, in seconds since 1970; `None` if that is not known.
        heirs: Other processes, seen from here, that hold the lock, each with its command. A process that is started by
            the owner inherits the lock, and keeps it if the owner is killed.
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
            return _name_all(self.heirs) or "another process"
        command = f" ({self.command})" if self.command else ""
        return f"{self.owner}{command}{_since(self.since)}"

    @property
    def advice(self) -> str:
        """What can be done about it, a sentence or two."""
        if self.liveness != "dead":
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


def find_holder(output: Path) -> Holder:
    """Say who holds the lock of an output, as far as that can be seen. The caller has found it locked."""
    holder = read_note(output)
    for _ in range(5):  # Whoever took the lock just now may not have written its note yet.
        if holder.liveness == "alive":
            return holder
        time.sleep(0.02)
        holder = read_note(output)
    heirs = tuple((pid, describe_process(pid)) for pid in find_locking_processes(lock_path(output)))
    if heirs and holder.liveness == "unknown":
        return Holder(None, heirs=heirs)  # The note is of another lock, or names them as another container sees them.
    return Holder(holder.owner, holder.command, holder.since, heirs)


def write_note(output: Path) -> str | None:
    """Write who holds the lock; return the text, or `None` if it cannot be written. The lock holds without it."""
    content = {"owner": Owner.here().to_dict(), "command": describe_process(), "since": time.time()}
    text = json.dumps(content, ensure_ascii=True) + "\n"
    try:
        owner_path(output).write_text(text, encoding="utf-8")
    except OSError:
        return None
    return text


def read_note(output: Path) -> Holder:
    """Read who took the lock of an output last and has not given it back."""
    content = read_json(owner_path(output)) or {}
    since = content.get("since")
    is_time = isinstance(since, int | float) and not isinstance(since, bool) and 0 <= since < 1e11
    command = content.get("command")
    return Holder(
        Owner.from_dict(content.get("owner")),
        command if isinstance(command, str) else "",
        float(since) if is_time else None,  # type: ignore[arg-type]
    )


def _name_all(processes: tuple[tuple[int, str], ...]) -> str:
    return ", ".join(f"process {pid}" + (f" ({command})" if command else "") for pid, command in processes)


def _since(time_of_locking: float | None) -> str:
    if time_of_locking is None:
        return ""
    then, ago = time.localtime(time_of_locking), max(0.0, time.time() - time_of_locking)
    clock = time.strftime("%H:%M" if ago < 12 * 3600 else "%Y-%m-%d %H:%M", then)
    minutes = round(ago / 60)
    if ago < 100:
        return f" since {clock}, {ago:.0f} s ago"
    return f" since {clock}, " + (f"{minutes} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago")
