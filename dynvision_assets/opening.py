"""Opening the workspace of the current folder for a user, who is told if its root lies above."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from dynvision.roots import find_root, passed_over, require_root
from dynvision.workspace import Workspace

__all__ = ["open_here"]


def open_here(root: Path | str | None = None) -> Workspace:
    """Open the workspace of a root.

    Args:
        root: The root; by default the one that `find_root` returns. If that lies above the current folder, one line on
            standard error says so, once in a process.

    Raises:
        ConfigError: If there is no such root, or the configuration is not valid.
    """
    if root is not None:
        return Workspace.open(require_root(Path(root).absolute(), "the root is "))
    nearest = find_root()
    if not os.environ.get("DYNVISION_ROOT") and not nearest.samefile(Path.cwd()):
        _tell(f"the root is {nearest}, above the current folder (DYNVISION_ROOT names another)")
    elif note := passed_over(nearest):
        _tell(note)
    return Workspace.open(nearest)


@cache
def _tell(note: str) -> None:
    sys.stderr.write(f"{note}\n")
