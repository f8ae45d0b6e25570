"""The engine without settings: one call after another, in the child process of this process."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

from dynvision.engines.base import Engine
from dynvision.engines.calls import Call, Outcome
from dynvision.errors import DynvisionError
from dynvision.system.child.process import shared_process

__all__ = ["HereEngine"]


class HereEngine(Engine):
    """Computes one call after another, with all cores, in the child process that this process shares."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Call]] = []
        self._count = itertools.count()

    @property
    def has_calls(self) -> bool:
        return bool(self._waiting)

    def submit(self, call: Call) -> None:
        self.check_open()
        heapq.heappush(self._waiting, (-call.priority, next(self._count), call))

    def wait(self, tell: Callable[[str], object] | None = None) -> Outcome:
        self.check_waits()
        _, _, call = heapq.heappop(self._waiting)
        start = time.perf_counter()
        try:
            result = shared_process().call(call.function, tell, **call.arguments)
        except DynvisionError as error:
            return Outcome(call, error=error, seconds=time.perf_counter() - start)
        return Outcome(call, result, seconds=time.perf_counter() - start)

    def close(self) -> None:
        self.is_closed = True
        self._waiting.clear()
