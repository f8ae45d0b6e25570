"""Calls that the controlling machine computes, while workers elsewhere compute the others."""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time

from dynvision.engines.calls import Call, Outcome
from dynvision.engines.dispatcher import Failed, Line, Message
from dynvision.errors import DynvisionError
from dynvision.system.child.process import ComputeProcess

__all__ = ["HereThread"]


class HereThread:
    """Computes one call after another in a child process of its own, with all cores.

    Args:
        messages: Where outcomes and lines for the user are put.
    """

    def __init__(self, messages: queue.SimpleQueue[Message]) -> None:
        self._messages = messages
        self._child = ComputeProcess()
        self._waiting: list[tuple[int, int, Call]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._work, name="dynvision-here", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> None:
        """Take a call."""
        with self._changed:
            heapq.heappush(self._waiting, (-call.priority, next(self._count), call))
            self._changed.notify()

    def close(self) -> None:
        """Interrupt the running call, and end the child."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(4.0)

    def _work(self) -> None:
        try:
            while (call := self._take()) is not None:
                self._compute(call)
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits for results
            if not self._is_stopping:
                self._messages.put(Failed(error))
        finally:
            self._child.close()

    def _take(self) -> Call | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_stopping)
            return None if self._is_stopping else heapq.heappop(self._waiting)[2]

    def _compute(self, call: Call) -> None:
        start = time.perf_counter()
        try:
            result = self._child.run(
                call.function,
                call.arguments,
                lambda line: self._messages.put(Line(line)),
                lambda: not self._is_stopping,
            )
        except DynvisionError as error:
            self._messages.put(Outcome(call, error=error, seconds=time.perf_counter() - start))
        else:
            self._messages.put(Outcome(call, result, seconds=time.perf_counter() - start))
