"""The caller's ends of the pipes to a child process: one request, then lines of JSON until the answer."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from dynvision.system.child.forked import ForkedProcess

__all__ = ["exchange"]

_TICK = 0.5
"""Seconds between two looks at the child while nothing comes from it."""

_KINDS = ("progress", "result", "error")
"""A message has one of these keys; any other line was printed by a library."""


def exchange(child: subprocess.Popen[bytes] | ForkedProcess, request: bytes) -> Iterator[dict[str, Any] | None]:
    """Write a request to a child; yield its messages, and `None` at least every half second while nothing comes.

    Neither a full pipe nor a stopped child blocks this. It ends when the child has ended, also if another process
    holds the child's end of the pipe open.

    Args:
        child: The child; both pipes are ours alone.
        request: What to write.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    source, target = child.stdout.fileno(), child.stdin.fileno()
    os.set_blocking(target, False)
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    waiting.register(target, select.POLLOUT)
    pending, parts = memoryview(request), list[bytes]()
    while True:
        events = dict(waiting.poll(_TICK * 1000))
        if target in events:
            pending = _write(target, pending)
            if not pending:
                waiting.unregister(target)
        if source in events:
            part = os.read(source, 1 << 20)
            if not part:
                return
            *lines, rest = part.split(b"\n")
            for line in lines:
                yield from _parse(b"".join([*parts, line]))
                parts = []
            parts.append(rest)
        elif child.poll() is not None:
            return
        yield None


def _write(target: int, pending: memoryview) -> memoryview:
    """Write what the pipe takes, and return the rest; nothing is left for a child that does not read any more."""
    try:
        return pending[os.write(target, pending[: 1 << 16]) :]
    except BlockingIOError:
        return pending
    except BrokenPipeError:
        return pending[:0]


def _parse(line: bytes) -> Iterator[dict[str, Any]]:
    """Yield the message of a line. Pass on what a library wrote to the pipe instead."""
    if not line.strip():
        return
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if isinstance(message, dict) and any(kind in message for kind in _KINDS):
        yield message
    else:
        sys.stderr.write(line.decode(errors="replace") + "\n")
