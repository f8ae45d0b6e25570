"""What one machine sees of a root: its files, locks, clock, GPUs and versions, as JSON-ready values."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.system.locks import try_lock
from dynvision.system.owners import Owner

__all__ = ["LOCKED", "PACKAGES", "await_text", "examine", "examine_worker", "find_gpus", "find_versions", "takes_again"]

LOCKED = "locked"
"""The output in the shared folder whose lock the controlling machine holds meanwhile."""

PACKAGES = ("dynvision-assets", "torch", "torchvision", "ffcv", "dagster", "numpy", "zarr", "distributed")

_TURN = 0.2


def examine(folder: Path) -> dict[str, Any]:
    """Look at a folder of the root from this machine.

    Args:
        folder: An existing folder that nobody else uses.

    Returns:
        `host`, `fault` (why nothing can be written, or empty), `free` (bytes of the disk), `lag` (how many seconds the
        time stamp of a file is behind this machine's clock), `locks` and `exclusive` (whether they keep others out).
    """
    report: dict[str, Any] = {"host": Owner.here().host, "fault": "", "locks": False, "exclusive": False, "lag": 0.0}
    probe = folder / f"probe-{os.getpid()}-{time.time_ns()}"
    try:
        probe.write_bytes(b"dynvision")
        report["lag"] = round(time.time() - probe.stat().st_mtime, 3)
        report["exclusive"] = not takes_again(probe)
        report["locks"] = _keeps_out(probe)
        report["free"] = shutil.disk_usage(folder).free
    except (OSError, DynvisionError) as error:
        report["fault"] = str(getattr(error, "strerror", None) or error)
    return report


def examine_worker(folder: str, token: str, patience: float) -> dict[str, Any]:
    """Look at the root from a worker, while the controlling machine holds a lock in a folder of it.

    Args:
        folder: The folder. It holds the file `from_here` with the token.
        token: A text.
        patience: How many seconds a file may take to be seen.

    Returns:
        What `examine` returns, and `seen_after` (seconds until the file was seen; `None` if it was not), `is_locked`
        (whether the lock that is held keeps this machine out), `is_taken` (whether an existing file does), `versions`,
        `gpus`, and `clock` (seconds since 1970, at the end).
    """
    shared = Path(folder)
    seen_after = await_text(shared / "from_here", token, patience)
    report: dict[str, Any] = {"seen_after": seen_after, "is_locked": False, "is_taken": False}
    if seen_after is not None:
        report |= examine(shared)
        report["is_taken"] = not takes_again(shared / "from_here")
        with contextlib.suppress(OSError, DynvisionError), try_lock(shared / LOCKED) as taken:
            report["is_locked"] = taken is None
        with contextlib.suppress(OSError):
            (shared / "from_there").write_text(token, encoding="utf-8")
    else:
        report["host"] = Owner.here().host
    return {**report, "versions": find_versions(), "gpus": find_gpus(), "clock": time.time()}


def await_text(path: Path, text: str, patience: float) -> float | None:
    """Wait until a file holds a text; return how many seconds that took, `None` if it was too long."""
    start = time.monotonic()
    while True:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            os.listdir(path.parent)  # noqa: PTH208  # a network file system then asks the server again
            if path.read_text(encoding="utf-8") == text:
                return round(time.monotonic() - start, 2)
        if time.monotonic() - start >= patience:
            return None
        time.sleep(_TURN)


def takes_again(path: Path) -> bool:
    """Whether a file that exists can be made once more with O_EXCL, as it must not be."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def find_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter; nothing is imported."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def find_gpus() -> list[str]:
    """Return the names of the GPUs that networks can compute on."""
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def _keeps_out(output: Path) -> bool:
    """Whether a lock that is held keeps out whoever tries to take it."""
    with try_lock(output) as first, try_lock(output) as second:
        return first is not None and second is None
