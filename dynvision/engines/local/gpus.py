"""The GPUs of this machine, found without torch: it would take memory on each of them, and seconds."""

from __future__ import annotations

import os
import re
import subprocess

from dynvision.errors import ConfigError

__all__ = ["choose_gpus", "find_gpus"]

_PATIENCE = 20.0
"""Seconds that the driver may take to answer; the first question wakes it up."""


def find_gpus() -> list[str]:
    """Return the GPUs that this process may use, in the words of `CUDA_VISIBLE_DEVICES`.

    Those that the driver lists are named by their UUIDs: it counts them by their place on the bus, and CUDA the fastest
    first, so that the same number may be another GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA ignores what follows the first name that is none.
        end = next((i for i, name in enumerate(names) if not name or name == "-1"), len(names))
        return names[:end]
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _read_uuids(answer.stdout) if answer.returncode == 0 else []


def choose_gpus(numbers: tuple[int, ...] | None) -> list[str]:
    """Return the GPUs to use, in the words of `CUDA_VISIBLE_DEVICES`.

    Args:
        numbers: Their numbers among those that this process may use, as `nvidia-smi` counts them unless
            `CUDA_VISIBLE_DEVICES` is set; `None` for all of them.

    Raises:
        ConfigError: If this machine does not have one of them.
    """
    if numbers == ():
        return []
    found = find_gpus()
    if numbers is None:
        return found
    missing = [number for number in numbers if not 0 <= number < len(found)]
    if missing:
        has = f"it has {len(found)}, numbered from 0" if found else "it has none that can be used"
        raise ConfigError(f"the setting 'gpus' names GPU {missing[0]}, which this machine does not have: {has}.")
    return [found[number] for number in dict.fromkeys(numbers)]


def _read_uuids(listing: str) -> list[str]:
    """Read `nvidia-smi -L`: a line for each GPU, and below it one for each of its parts (MIG), if it is divided.

    A process can use one part alone. Of a GPU that is divided it is the first one, as CUDA chooses by itself.
    """
    found: list[str] = []
    for kind, uuid in re.findall(r"^\s*(GPU|MIG) .*\(UUID: ([^)\s]+)\)", listing, re.MULTILINE):
        if kind == "GPU":
            found.append(uuid)
        elif found and not found[-1].startswith("MIG-"):
            found[-1] = uuid
    return found
