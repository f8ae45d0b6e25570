"""Processes and what they started: continuing stopped ones, and ending them all."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = ["continue_tree", "end_process", "glance_at_tree", "kill_descendants", "kill_tree", "list_tree"]


def list_tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; nothing if it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except (psutil.Error, OSError):
        return []


def glance_at_tree(pid: int) -> list[psutil.Process]:
    """Return what `list_tree` does, but without reading every process of the machine, where the system allows it.

    Two hundred workers that each look at their own child every two seconds would otherwise keep several cores busy. A
    process may be missed while another one ends, so this is not for ending them.
    """
    import psutil

    tree, pending = [], [pid]
    while pending:
        parent = pending.pop()
        try:
            tree.append(psutil.Process(parent))
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                pending += map(int, children.read_text().split())
        except (psutil.Error, OSError):  # It has just ended.
            continue
    knows_children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()
    return tree if knows_children else list_tree(pid)


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
