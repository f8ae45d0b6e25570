"""What the machine has to give: memory and cores."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_memory", "usable_cores"]


def available_memory() -> int:
    """Bytes of memory that this process may still take: the machine's, or less where a control group limits it."""
    import psutil

    available = int(psutil.virtual_memory().available)
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return available
    return available if limit == "max" else min(available, max(int(limit) - int(used), 0))


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
