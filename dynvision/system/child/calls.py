"""What a computing child is told: calls one after another, and to stop. A running call is interrupted once."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dynvision.system.process_trees import end_process

__all__ = ["Calls"]

_LOOK = 1.0
"""Seconds between two looks at whether the caller is alive. Another process may hold its end of the pipe open."""

_PATIENCE = 5.0
"""Seconds that an interrupted call may take to clean up after its caller has ended."""


class Calls:
    """The calls that arrive on a pipe.

    Signals do not end this process. Ctrl-C at a terminal reaches it too, and is ignored, because the caller says when
    to stop. SIGTERM and SIGHUP mean the same as being told to stop.

    Args:
        source: The file descriptor to read them from.
    """

    def __init__(self, source: int) -> None:
        self.is_stopping = False
        self._source = source
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._main = threading.get_ident()
        self._caller = os.getppid()
        self._is_running = self._was_raised = False

    def listen(self) -> None:
        """Take over the signals, and read calls in a thread."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        # The caller starts this process with them blocked, so that none comes before they are taken care of.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        os.register_at_fork(after_in_child=_forget_signals)
        sys.unraisablehook = self._interrupt_again
        threading.Thread(target=self._read, daemon=True).start()

    def take(self) -> dict[str, Any] | None:
        """Wait for the next call; `None` if this process is to stop."""
        call = self._queue.get()
        return None if self.is_stopping else call

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark a call as running. Only in here is KeyboardInterrupt raised, and only once."""
        self._is_running = True
        try:
            if self.is_stopping and not self._was_raised:
                self._was_raised = True
                raise KeyboardInterrupt
            yield
        finally:
            self._is_running = False

    def stop(self) -> None:
        """Interrupt the running call, and take no other; called in any thread."""
        self.is_stopping = True
        self._queue.put(None)
        if self._is_running:
            # A real signal, because the call may be waiting for a disk or sleeping.
            signal.pthread_kill(self._main, signal.SIGTERM)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.is_stopping:
            self.is_stopping = True
            self._queue.put(None)
        if self._is_running and not self._was_raised:
            self._was_raised = True
            raise KeyboardInterrupt

    def _interrupt_again(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Repeat an interruption that Python dropped, as it does if it comes while an object is finalized."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            if not self.is_stopping:  # What an interruption left half made cannot be finalized, and nobody needs it.
                sys.__unraisablehook__(unraisable)
        elif self._is_running:
            self._was_raised = False
            # From another thread, a moment later. If it came now, it would be dropped again.
            again = threading.Timer(0.02, self.stop)
            again.daemon = True
            again.start()

    def _read(self) -> None:
        for line in self._lines():
            try:
                call = json.loads(line)
            except ValueError:
                break  # The caller ended in the middle of a line.
            if "stop" in call:
                break
            self._queue.put(call)
        self.stop()
        time.sleep(_PATIENCE)
        end_process(1)

    def _lines(self) -> Iterator[bytes]:
        """Yield lines until the pipe or the caller ends."""
        waiting = select.poll()
        waiting.register(self._source, select.POLLIN)
        parts: list[bytes] = []
        while os.getppid() == self._caller:
            if not waiting.poll(_LOOK * 1000):
                continue
            part = os.read(self._source, 1 << 16)
            if not part:
                return
            *lines, rest = part.split(b"\n")
            for line in lines:
                yield b"".join([*parts, line])
                parts = []
            parts.append(rest)


def _forget_signals() -> None:
    """Give a process that is forked from this one the usual meaning of the signals that end it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
