"""Workers of this machine that were started and have not come: which of them are waited for in vain."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from dynvision.system.process_trees import kill_tree

__all__ = ["LATE", "Arrivals"]

LATE = 90.0
"""Seconds without any arrival after which a worker that was started hangs. Usually one comes within a second."""

_LONGEST_STEP = 2.0
"""Seconds between two looks that count at most; if there were more, this process was stopped, as by Ctrl-Z."""


class Arrivals:
    """Knows which workers were started, and how long they have been waited for.

    Args:
        clock: The time in seconds; tests have their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self._pids: dict[str, int] = {}
        self._waited: dict[tuple[str, bool], float] = {}

    def note_start(self, name: str, pid: int) -> None:
        """Note that the process of a worker was started; from any thread."""
        self._pids[name] = pid

    def note_arrival(self) -> None:
        """Note that a worker has come. The others may be next: on a busy machine many take long."""
        self._waited.clear()

    def look(self, awaited: Collection[str]) -> dict[str, int]:
        """Return the workers that hang, each with its process.

        Args:
            awaited: The names of those that were asked for, and have neither come nor ended.
        """
        now = self._clock()
        step, self._looked = min(now - self._looked, _LONGEST_STEP), now
        states = [(name, name in self._pids) for name in awaited]
        self._waited = {state: self._waited.get(state, 0.0) + step for state in states}
        late = (name for (name, is_started), seconds in self._waited.items() if is_started and seconds > LATE)
        return {name: self._pids[name] for name in late}

    def end_hanging(self, awaited: Collection[str], log: Callable[[str], object]) -> tuple[dict[str, int], list[str]]:
        """Look at the workers, and end those that hang.

        Args:
            awaited: The names of those that were asked for, and have neither come nor ended.
            log: Returns the log of a worker.

        Returns:
            Those that were ended, each with its process, and what the user should know.
        """
        hanging, told = self.look(awaited), []
        for name, pid in hanging.items():
            kill_tree(pid)
            told.append(
                f"worker {name} (process {pid}) has not been heard of for {LATE:.0f} s and is replaced; its log is "
                f"{log(name)}"
            )
        if any(not is_started and seconds > LATE for (_, is_started), seconds in self._waited.items()):
            told.append(
                f"no worker has been started for {LATE:.0f} s: the process that starts them still imports its "
                "libraries. A slow disk or network may be the reason; it goes on waiting"
            )
        return hanging, told
