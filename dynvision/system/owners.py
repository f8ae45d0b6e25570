"""Which process owns something: a lock, or a run. And whether that process is still there."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

__all__ = ["Liveness", "Owner", "describe_process", "find_locking_processes", "name_command"]

Liveness = Literal["alive", "dead", "unknown"]
"""Whether a process is there; `unknown` if that cannot be seen from this machine or container."""

_PROC = Path("/proc")
_LONGEST = 120
"""The longest command that is shown, in characters."""

_HELPERS = ("dynvision.system.child.main", "dynvision.engines.local.nursery")
"""The programs that nobody types: a process computes in them, through others of them, for its user."""

_MOST_HELPERS = 4
"""So many of them are looked through: a child, its worker, and the process that starts workers."""

_JOBS = ("dynvision.engines.queues.job_main", "dynvision.engines.worker_main")
"""The programs of a worker whose controller is on another machine, or was started by hand."""


@dataclass(frozen=True)
class Owner:
    """A process, told apart from every other one on any machine.

    Two containers may have the same host name, and the same process ids in it. A machine gives out its ids again after
    a restart. So a process is known by all of these together.

    Attributes:
        host: The name of its machine or container.
        boot_id: The id that the kernel drew when it started; empty if the system has none.
        pid_namespace: The kernel's number for the set of processes that it sees; empty if the system has none.
        pid: Its process id.
        start: When it started, in a unit of the system's own; empty if that is not known.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    start: str

    @property
    def is_of_this_boot(self) -> bool:
        """Whether this process and that one run on the same kernel; false if nobody can tell."""
        return bool(self.boot_id) and self.boot_id == _boot_id()

    @classmethod
    def here(cls) -> Owner:
        """Return this process."""
        return cls(socket.gethostname(), _boot_id(), _pid_namespace(), os.getpid(), _start_of(os.getpid()))

    @classmethod
    def from_dict(cls, content: Any) -> Owner | None:
        """Read what `to_dict` returned; `None` if it is anything else. Numbers may be text."""
        if not isinstance(content, Mapping):
            return None
        texts = {name: content.get(name) for name in ("host", "boot_id", "pid_namespace", "start")}
        pid = str(content.get("pid", ""))
        if not (pid.isascii() and pid.isdecimal()) or not 0 < int(pid) < 1 << 31:
            return None
        if not texts["host"] or not all(isinstance(text, str) for text in texts.values()):
            return None
        return cls(**texts, pid=int(pid))  # type: ignore[arg-type]  # they were found to be text

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)

    def liveness(self) -> Liveness:
        """Tell whether the process is there: `alive`, `dead`, or `unknown` if it cannot be seen from here."""
        here = Owner.here()
        if bool(self.boot_id) != bool(here.boot_id) or self.pid_namespace != here.pid_namespace:
            return "unknown"  # Another container, whose processes cannot be seen.
        if self.boot_id != here.boot_id or not here.boot_id:
            if self.host != here.host:
                return "unknown"
            if self.boot_id != here.boot_id:
                return "dead"  # The machine has been restarted.
        # The kernel is the same, whatever the machine is called now.
        if not _exists(self.pid):
            return "dead"
        start = _start_of(self.pid)
        return "dead" if start and self.start and start != self.start else "alive"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def describe_process(pid: int | None = None) -> str:
    """Return the command of a process as a user would type it; empty if it cannot be seen.

    Args:
        pid: The process; by default this one. For a child process that computes, and for a worker of this machine,
            the command is that of the process which asked for it.
    """
    current = os.getpid() if pid is None else pid
    arguments = _arguments_of(current)
    for _ in range(_MOST_HELPERS):
        if not any(argument in _HELPERS for argument in arguments):
            break
        current = os.getppid() if current == os.getpid() else _parent_of(current)
        arguments = _arguments_of(current) or arguments
    return name_command(arguments)


def find_locking_processes(path: Path) -> list[int]:
    """Return the processes, as far as they are seen from here, that hold the lock of a file."""
    try:
        wanted = path.stat()
        processes = [int(path.name) for path in _PROC.iterdir() if path.name.isdecimal()]
    except OSError:
        return []
    return [pid for pid in processes if _holds_lock(pid, (wanted.st_dev, wanted.st_ino))]


def name_command(arguments: list[str]) -> str:
    """Return the arguments of a process as a short command.

    Args:
        arguments: The arguments, the first one the program.
    """
    shown = [argument for argument in arguments if argument]
    for position, argument in enumerate(shown):
        if argument == "dynvision_assets.command_line" or Path(argument).name == "dynvision":
            return _shorten(["dynvision", *shown[position + 1 :]])
        if argument == "execute_run":
            return "a run in Dagster"
        if argument in _JOBS:
            return "a job of dynvision"
    return _shorten([Path(shown[0]).name, *shown[1:]]) if shown else ""


def _shorten(words: list[str]) -> str:
    # A program may have any bytes as arguments. A line break among them would break the sentence.
    text = "".join(c if c.isprintable() else "?" for c in " ".join(" ".join(words).split()))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@cache
def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ValueError):
        return ""


def _pid_namespace() -> str:
    try:
        return str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _exists(pid: int) -> bool:
    """Return whether a process runs. One that has ended and waits to be collected by its parent does not."""
    fields = _stat_fields(pid)
    if fields:
        return fields[0] not in ("Z", "X", "x")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # It exists, and belongs to another user.
    return True


def _start_of(pid: int) -> str:
    """Return when a process started; empty if that is not known."""
    fields = _stat_fields(pid)
    if fields:
        return fields[19]  # in the kernel's ticks since the machine started
    if sys.platform == "linux":
        return ""
    import psutil

    try:
        return str(round(psutil.Process(pid).create_time()))
    except psutil.Error:
        return ""


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of `/proc/<pid>/stat` from the third on; none if they cannot be read."""
    try:
        # The second field is the name of the program, which may contain anything.
        fields = (_PROC / str(pid) / "stat").read_bytes().decode("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return []
    return fields if len(fields) > 19 else []


def _parent_of(pid: int) -> int:
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def _arguments_of(pid: int) -> list[str]:
    try:
        return os.fsdecode((_PROC / str(pid) / "cmdline").read_bytes()).rstrip("\0").split("\0")
    except OSError:
        return [*sys.orig_argv] if pid == os.getpid() else []


def _holds_lock(pid: int, file: tuple[int, int]) -> bool:
    folder = _PROC / str(pid)
    with contextlib.suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                stat = descriptor.stat()
                # A process that only tries to lock the file has it open, too. The kernel lists the locks of each.
                if (stat.st_dev, stat.st_ino) == file and "FLOCK" in (folder / "fdinfo" / descriptor.name).read_text():
                    return True
    return False
