"""What the machine has to give: memory and cores."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    import torch

_LIMITS = {
    "/sys/fs/cgroup": ("memory.max", "memory.current"),
    "/sys/fs/cgroup/memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""Where a control group's limit and use are: version 2 and version 1."""

DEVICES = ("auto", "cpu", "cuda", "mps", *(f"cuda:{number}" for number in range(16)))
"""The names of devices: the CPU, the first or a numbered GPU of NVIDIA or AMD, Apple's GPU; see `choose_device`."""

__all__ = ["DEVICES", "available_memory", "check_device", "choose_device", "collect_garbage_seldom", "usable_cores"]


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


def check_device(name: str) -> str:
    """Return the name of a device, whether or not this machine has it.

    Raises:
        UnknownNameError: If there is no such name; the message names the nearest.
    """
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    return name


def choose_device(name: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: One of `DEVICES`; `auto` is the first CUDA GPU if there is one, otherwise the CPU.

    Raises:
        UnknownNameError: If there is no such name.
        ConfigError: If this machine has no such device.
    """
    import torch

    if check_device(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if (device.index or 0) >= counts[device.type]:
        raise ConfigError(
            f"there is no device '{name}' on this machine. Set 'device' to cpu, or to auto, which takes a CUDA GPU if "
            "there is one: under 'run' in config_models.yaml for recording, in the Launchpad for one run."
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
