"""An engine that computes in this process, in another order than calls were submitted."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable

from dynvision.engines.base import Engine
from dynvision.engines.calls import Call, Outcome
from dynvision.errors import DynvisionError
from dynvision.system.error_log import describe_error
from dynvision.system.progress import listen_to_progress


class ScriptedEngine(Engine):
    """Computes calls in this process, the newest of the highest priority first.

    Args:
        slots: How many calls it says that it computes at once.
        fail: Returns the error with which a call fails before it is computed, or `None`.
        may_grow: Whether there may be more slots later.

    Attributes:
        submitted: All calls, in order.
        together: How many calls were waiting or running each time that one was waited for.
        is_closed: Whether it was closed.
    """

    def __init__(
        self,
        slots: int = 4,
        fail: Callable[[Call], DynvisionError | None] = lambda call: None,
        *,
        may_grow: bool = False,
    ) -> None:
        self.slots, self.fail, self._may_grow = slots, fail, may_grow
        self.submitted: list[Call] = []
        self.together: list[int] = []
        self.is_closed = False
        self._open: list[Call] = []

    @property
    def has_one_place(self) -> bool:
        return self.slots == 1 and not self._may_grow

    @property
    def has_calls(self) -> bool:
        return bool(self._open)

    def submit(self, call: Call) -> None:
        self.check_open()
        self.submitted.append(call)
        self._open.append(call)

    def wait(self, tell: Callable[[str], object] | None = None) -> Outcome:
        self.check_waits()
        self.together.append(len(self._open))
        call = max(reversed(self._open), key=lambda c: c.priority)
        self._open.remove(call)
        error = self.fail(call)
        if error is not None:
            return Outcome(call, error=error)
        try:
            with listen_to_progress(tell or (lambda line: None)):
                return Outcome(call, pkgutil.resolve_name(call.function)(**call.arguments))
        except Exception as caught:  # noqa: BLE001  # as the child process does
            return Outcome(call, error=describe_error(caught, call.name))

    def close(self) -> None:
        self.is_closed = True
        self._open.clear()

    @property
    def names(self) -> list[str]:
        """What was submitted, in order."""
        return [call.name for call in self.submitted]
