"""Processes and what they started: continuing stopped ones, and ending them all."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = ["continue_tree", "end_process", "kill_descendants", "kill_tree", "list_tree"]


def list_tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; nothing if it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except (psutil.Error, OSError):
        return []


def continue_tree(pid: int) -> None:
    """Let a process and its descendants go on if they were stopped; otherwise they could not clean up."""
    for process in list_tree(pid):
        _send(process, signal.SIGCONT)


def kill_tree(pid: int) -> None:
    """Kill a process, then its descendants; stopped ones too."""
    for process in list_tree(pid):
        _send(process, signal.SIGKILL)


def kill_descendants() -> None:
    """Kill what this process started."""
    for process in list_tree(os.getpid())[1:]:
        _send(process, signal.SIGKILL)


def end_process(code: int) -> None:
    """End this process at once, and kill what it started. Nothing is cleaned up."""
    with contextlib.suppress(Exception):
        kill_descendants()
    os._exit(code)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        process.send_signal(number)
