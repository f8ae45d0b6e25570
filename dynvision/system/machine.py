"""The memory, cores and devices of this machine."""

from __future__ import annotations

import contextlib
import gc
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dynvision.errors import ConfigError, unknown_name
from dynvision.system.control_groups import memory_left, memory_limit
from dynvision.system.gpu_leases import lease_gpu, name_gpus

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps", *(f"cuda:{number}" for number in range(16)))
"""The devices to choose from: the CPU, the first or a numbered GPU of NVIDIA or AMD, Apple's GPU."""

__all__ = [
    "DEVICES",
    "available_memory",
    "check_device",
    "choose_device",
    "collect_garbage_seldom",
    "lease_device",
    "usable_cores",
    "whole_memory",
]


def available_memory() -> int:
    """Return how many bytes of memory this process may still use, also under the limit of a control group."""
    import psutil

    available, left = int(psutil.virtual_memory().available), memory_left()
    return available if left is None else min(available, left)


def whole_memory() -> int:
    """Return how many bytes of memory this machine has, or the control groups of this process if they have less."""
    import psutil

    whole, limit = int(psutil.virtual_memory().total), memory_limit()
    return whole if limit is None else min(whole, limit)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_device(name: str) -> str:
    """Return the name of a device, whether or not this machine has it.

    Raises:
        UnknownNameError: If there is no such name; the message names the nearest.
    """
    if name not in DEVICES and re.fullmatch(r"cuda:([1-9]\d?|1[01]\d|12[0-7])", name) is None:
        raise unknown_name("device", name, ("auto", "cpu", "cuda", "mps", "cuda:<number>"))
    return name


def choose_device(name: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: One of `DEVICES`, or `cuda:<number>`; `auto` is the first CUDA GPU if there is one, otherwise the CPU.

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


@contextlib.contextmanager
def lease_device(name: str) -> Iterator[torch.device]:
    """Have a device to compute on; while this block runs, no other run of this machine computes on the same GPU.

    `auto` and `cuda` take a GPU that is free, if there are several. The CPU and Apple's GPU are not leased. With
    `DYNVISION_SHARE_GPUS=1` in the environment, runs that have it share GPUs.

    Args:
        name: As `choose_device` takes it.

    Yields:
        The device.

    Raises:
        UnknownNameError: If there is no such name.
        ConfigError: If this machine has no such device.
        MachineError: If GPUs cannot be leased.
    """
    import torch

    device = choose_device(name)
    if device.type != "cuda":
        yield device
        return
    with lease_gpu(_visible_gpus(), device.index) as number:
        try:
            yield torch.device("cuda", number)
        finally:
            torch.cuda.empty_cache()  # Whoever has the GPU next needs its memory.


def _visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process sees, by their numbers."""
    import torch

    properties = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return name_gpus([str(getattr(gpu, "uuid", "")) for gpu in properties], os.environ)


def collect_garbage_seldom() -> tuple[int, int, int]:
    """Make Python's garbage collector run after 50,000 new objects instead of 700, in the whole process.

    Importing torch or Dagster makes many objects that stay, and the collector takes a fifth of that time. The two
    processes that are only ours, the command line and the computing child, keep this setting. A process that merely
    imports the definitions, such as Dagster's server, restores it afterwards.

    Returns:
        The thresholds before, for `gc.set_threshold`.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 10, 10)
    return before
