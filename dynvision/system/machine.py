"""What the machine has to give: memory and cores."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_LIMITS = {
    "/sys/fs/cgroup": ("memory.max", "memory.current"),
    "/sys/fs/cgroup/memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""Where a control group's limit and use are: version 2 and version 1."""

__all__ = ["available_memory", "choose_device", "collect_garbage_seldom", "usable_cores"]


def available_memory() -> int:
    """Bytes of memory that this process may still take: the machine's, or less where a control group limits it."""
    import psutil

    available = int(psutil.virtual_memory().available)
    for folder, names in _LIMITS.items():
        try:
            limit, used = ((Path(folder) / name).read_text().strip() for name in names)
        except OSError:
            continue
        if limit.isdigit():
            available = min(available, max(int(limit) - int(used) + _reclaimable(Path(folder)), 0))
    return available


def _reclaimable(folder: Path) -> int:
    """Bytes of files that a group's memory holds only as a cache."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.split()[:1] == ["inactive_file"])


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is the GPU where there is one.

    Raises:
        ConfigError: There is no such device here.
    """
    import torch

    from dynvision.errors import ConfigError

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if (device.index or 0) >= there[device.type]:
        raise ConfigError(
            f"there is no device '{name}' on this machine. Set 'device' to cpu, or to auto, which takes what is there, "
            "under 'run' in config_models.yaml."
        )
    return device


def collect_garbage_seldom() -> tuple[int, int, int]:
    """Look for unreachable cycles after 50,000 new objects and not, as Python does by itself, after 700.

    Importing torch or Dagster makes many objects that stay; looking through them takes a fifth of that time.

    Returns:
        The thresholds before, for `gc.set_threshold`.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 10, 10)
    return before
