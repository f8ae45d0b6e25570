"""A thread that runs the commands of a batch system one after another, because they may take a minute each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dynvision.engines.queues.commands import Commands
from dynvision.engines.queues.states import JobState
from dynvision.errors import DynvisionError

__all__ = ["Answer", "Cancelled", "Clerk", "Refused", "Seen", "Taken"]


@dataclass(frozen=True)
class Taken:
    """A job was submitted and has a number."""

    name: str
    number: str


@dataclass(frozen=True)
class Refused:
    """A job was not taken."""

    name: str
    error: DynvisionError


@dataclass(frozen=True)
class Seen:
    """How jobs are, by number; `None` if the batch system did not answer."""

    states: Mapping[str, JobState] | None


@dataclass(frozen=True)
class Cancelled:
    """The batch system ends these jobs, or they have ended."""

    numbers: Sequence[str]


Answer = Taken | Refused | Seen | Cancelled


class Clerk:
    """Takes orders and returns at once; what came of them is in `answers`.

    Args:
        commands: The commands of the batch system.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="dynvision-jobs", daemon=True)
        self._thread.start()

    def submit(self, name: str, script: Path) -> None:
        """Order that a job is submitted."""
        self._orders.put(partial(self._submit, name, script))

    def look(self, numbers: Sequence[str]) -> None:
        """Order that the batch system is asked how jobs are."""
        self._orders.put(partial(self._look, tuple(numbers)))

    def cancel(self, numbers: Sequence[str]) -> None:
        """Order that jobs are cancelled. There is no answer if that does not work."""
        if numbers:
            self._orders.put(partial(self._cancel, tuple(numbers)))

    def answers(self) -> list[Answer]:
        """Return what has come since the last time."""
        found: list[Answer] = []
        try:
            while True:
                found.append(self._answers.get_nowait())
        except queue.Empty:
            return found

    def close(self, seconds: float) -> bool:
        """Take no more orders, and wait for the running one.

        A job that is submitted after that is cancelled at once, also if this process has ended by then.

        Args:
            seconds: How long the running order is waited for.

        Returns:
            Whether there is no such job.
        """
        with self._lock:
            self._is_closing = True
        self._orders.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive() or not self._commands.leave_submission()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            if not self._is_closing:
                order()

    def _look(self, numbers: Sequence[str]) -> None:
        self._answers.put(Seen(self._commands.states(numbers)))

    def _cancel(self, numbers: Sequence[str]) -> None:
        if self._commands.cancel(numbers):
            self._answers.put(Cancelled(numbers))

    def _submit(self, name: str, script: Path) -> None:
        try:
            number = self._commands.submit(script)
        except DynvisionError as error:
            self._answers.put(Refused(name, error))
            return
        except OSError as error:
            self._answers.put(Refused(name, DynvisionError(f"the script of a job cannot be read: {error}")))
            return
        with self._lock:
            self._answers.put(Taken(name, number))
            is_late = self._is_closing
        if is_late:
            self._commands.cancel([number])
