"""Waiting until what another machine has written can be seen on this one: network file systems remember names."""

from __future__ import annotations

import contextlib
import os
import time

from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["await_visible"]

_PATIENCE = 60.0
"""Seconds after which a file is taken as not shared; NFS remembers for 60 that there is none."""

_TURN = 0.5


def await_visible(workspace: Workspace, target: Target, record: Record, patience: float = _PATIENCE) -> bool:
    """Wait until this machine reads the record of a target that another one has just built.

    Args:
        workspace: The workspace.
        target: The target.
        record: The record, as the other machine wrote it.
        patience: How many seconds to wait.

    Returns:
        Whether it came.
    """
    folder = workspace.stage(target).output(target).parent
    end = time.monotonic() + patience
    while True:
        existing = workspace.read_record(target)
        if existing is not None and existing.data_version == record.data_version:
            return True
        if time.monotonic() >= end:
            return False
        with contextlib.suppress(OSError):
            os.listdir(folder)  # noqa: PTH208  # asks the server again
        time.sleep(_TURN)
