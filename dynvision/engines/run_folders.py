"""The folder of one run for credentials and job scripts, what killed runs have left behind, and the logs of all."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from dynvision.system.owners import Owner

__all__ = ["make_run_folder", "remove_leftovers", "tidy_logs"]

KEPT = 300
"""So many log files of workers are kept; older ones are removed."""

_PREFIX = "run-"
_OWNER = "owner.json"


def make_run_folder(folder: Path, run: str) -> Path:
    """Make the folder of a run, which only this user can read, and note which process uses it."""
    path = folder / f"{_PREFIX}{run}"
    path.mkdir(parents=True, mode=0o700)
    path.chmod(0o700)
    (path / _OWNER).write_text(json.dumps(Owner.here().to_dict()))
    return path


def remove_leftovers(folder: Path) -> None:
    """Remove the folders of runs whose process is known to be dead, so that no key stays behind.

    Those of another machine or container stay: nobody can tell from here whether their run goes on.
    """
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            owner = Owner.from_dict(json.loads((path / _OWNER).read_text()))
            if owner is not None and owner.liveness() == "dead":
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
