"""The folder of one run for credentials and job scripts, what killed runs have left behind, and the logs of all."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
from pathlib import Path

__all__ = ["make_run_folder", "remove_leftovers", "tidy_logs"]

KEPT = 300
"""So many log files of workers are kept; older ones are removed."""

_PREFIX = "run-"
_OWNER = "owner.json"


def make_run_folder(folder: Path, run: str) -> Path:
    """Make the folder of a run, which only this user can read, and note which process uses it."""
    import psutil

    path = folder / f"{_PREFIX}{run}"
    path.mkdir(parents=True, mode=0o700)
    path.chmod(0o700)
    owner = {"host": platform.node(), "pid": os.getpid(), "started": psutil.Process().create_time()}
    (path / _OWNER).write_text(json.dumps(owner))
    return path


def remove_leftovers(folder: Path) -> None:
    """Remove the folders of runs of this machine whose process was killed, so that no key stays behind."""
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            owner = json.loads((path / _OWNER).read_text())
            if owner["host"] == platform.node() and not _is_alive(owner["pid"], owner["started"]):
                shutil.rmtree(path, ignore_errors=True)


def tidy_logs(folder: Path, run: str) -> None:
    """Remove the logs of a run in which nothing was written, and the oldest ones of other runs if there are many."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{run}-*.log"):
            if not path.stat().st_size:
                path.unlink()
        logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for path in logs[:-KEPT]:
            path.unlink(missing_ok=True)


def _is_alive(pid: int, started: float) -> bool:
    import psutil

    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
