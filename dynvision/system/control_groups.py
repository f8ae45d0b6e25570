"""The memory that the control groups of this process leave it: those of a container, or of a job of a batch system."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

__all__ = ["memory_left", "memory_limit"]

_OWN = Path("/proc/self/cgroup")
"""The kernel's list of the groups of this process: lines `number:controllers:path`."""

_MOUNT = Path("/sys/fs/cgroup")
"""Where all groups are."""


class _Version(NamedTuple):
    """Where a version of control groups keeps the memory.

    Attributes:
        controller: The word for it in `_OWN`; version 2 has none there.
        folder: The folder of its groups.
        limit: The file with the limit of a group.
        used: The file with its use.
        cached: What in `memory.stat` counts cached files that are not in use, of the group and those below it.
    """

    controller: str
    folder: str
    limit: str
    used: str
    cached: str


_VERSIONS = (
    _Version("", ".", "memory.max", "memory.current", "inactive_file"),
    _Version("memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def memory_limit() -> int | None:
    """Return the least of the limits of this process, in bytes; `None` if it has none."""
    return min((limit for _, _, limit in _find_limits()), default=None)


def memory_left() -> int | None:
    """Return how many bytes this process may use until a limit is reached; `None` if it has none."""
    left = []
    for folder, version, limit in _find_limits():
        with contextlib.suppress(OSError, ValueError):
            used = int((folder / version.used).read_text())
            left.append(max(limit - used + _reclaimable(folder, version), 0))
    return min(left, default=None)


def _find_limits() -> Iterator[tuple[Path, _Version, int]]:
    """Yield every group of this process that has a limit, from its own up to that of the machine or container.

    The group of a job has a limit, and so may have one above it, or the job's step below.
    """
    for version in _VERSIONS:
        for folder in _find_groups(version):
            with contextlib.suppress(OSError, ValueError):  # A group without a limit says `max`.
                yield folder, version, int((folder / version.limit).read_text())


def _find_groups(version: _Version) -> list[Path]:
    """Return the folders of a process's own group and of those above it."""
    root = _MOUNT / version.folder
    own = PurePosixPath("/")
    with contextlib.suppress(OSError, ValueError):
        for line in _OWN.read_text(errors="surrogateescape").splitlines():
            _, controllers, path = line.split(":", 2)
            if version.controller in controllers.split(","):
                own = PurePosixPath(path)
    # A container may be told a path that it does not see; what it sees is its root then.
    inside = PurePosixPath("/") if ".." in own.parts else own
    return [root / path.relative_to("/") for path in (inside, *inside.parents)]


def _reclaimable(folder: Path, version: _Version) -> int:
    """Return how many bytes of a group's memory are only cached files."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.split()[:1] == [version.cached])
