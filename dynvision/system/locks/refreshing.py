"""The signs of life of the locks that this process holds: one thread for all of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

__all__ = ["start_refreshing", "stop_refreshing"]


class _Refresher:
    """Calls functions again and again, each at its own interval, in a thread that ends when there are none."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._due: dict[object, tuple[float, float, Callable[[], object]]] = {}
        self._thread: threading.Thread | None = None

    def start(self, key: object, interval: float, function: Callable[[], object]) -> None:
        with self._condition:
            self._due[key] = (time.monotonic() + interval, interval, function)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="signs of life of locks", daemon=True)
                self._thread.start()
            self._condition.notify()

    def stop(self, key: object) -> None:
        with self._condition:
            self._due.pop(key, None)
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._due:
                    self._condition.wait(1.0)  # A process that takes one lock after another keeps its thread.
                    if not self._due:
                        self._thread = None
                        return
                now = time.monotonic()
                due = [(key, *entry[1:]) for key, entry in self._due.items() if entry[0] <= now]
                for key, interval, function in due:
                    self._due[key] = (now + interval, interval, function)
                if not due:
                    self._condition.wait(min(entry[0] for entry in self._due.values()) - now)
            for _, _, function in due:  # A disk may not answer; nobody waits for it here.
                function()


_refreshers: dict[int, _Refresher] = {}
"""The refresher of this process, by its id: one that was forked has no thread, and none of the locks."""


def start_refreshing(key: object, interval: float, function: Callable[[], object]) -> None:
    """Call a function in another thread, every `interval` seconds, until `stop_refreshing` is called."""
    if os.getpid() not in _refreshers:
        _refreshers.clear()
        _refreshers[os.getpid()] = _Refresher()
    _refreshers[os.getpid()].start(key, interval, function)


def stop_refreshing(key: object) -> None:
    """Call the function of a key no more."""
    if (refresher := _refreshers.get(os.getpid())) is not None:
        refresher.stop(key)
