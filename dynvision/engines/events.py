"""What happens while an engine is open, as the thread of Dask tells it to the one that decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dynvision.engines.calls import Call
from dynvision.engines.workforce import WorkerProcess
from dynvision.errors import DynvisionError

__all__ = [
    "SILENCE",
    "Broken",
    "Ended",
    "Event",
    "Said",
    "SilenceChanged",
    "SilenceWatch",
    "Started",
    "Submitted",
    "WorkersChanged",
]

SILENCE = 12.0
"""Seconds without a sign of life after which a worker counts as silent. A thousand workers give one each 6 s."""

_ASLEEP = 5.0
"""Seconds between two looks after which this process was stopped itself; then nothing new is known of the workers."""


@dataclass(frozen=True)
class Submitted:
    """A call was given to the engine."""

    call: Call


@dataclass(frozen=True)
class WorkersChanged:
    """These workers are connected now."""

    workers: tuple[WorkerProcess, ...]


@dataclass(frozen=True)
class SilenceChanged:
    """Of the workers that are connected, those with these addresses give no sign of life."""

    silent: frozenset[str]


@dataclass(frozen=True)
class Started:
    """A worker has begun with a call."""

    key: str
    where: str


@dataclass(frozen=True)
class Said:
    """A call says how far it is."""

    key: str
    line: str


@dataclass(frozen=True)
class Ended:
    """A call came to an end: with an answer of `run_call`, or with `None` if its worker was lost."""

    key: str
    answer: dict[str, Any] | None


@dataclass(frozen=True)
class Broken:
    """Nothing can be computed any more."""

    error: DynvisionError


Event = Submitted | WorkersChanged | SilenceChanged | Started | Said | Ended | Broken


class SilenceWatch:
    """Looks now and then at when workers were last seen. The clocks of their scheduler and of this machine may differ.

    Args:
        clock: The time in seconds; tests have their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self._seen: dict[str, tuple[float, float]] = {}
        self._silent = frozenset[str]()

    def look(self, last_seen: Mapping[str, float]) -> frozenset[str]:
        """Return the workers that are silent.

        Args:
            last_seen: For the address of each worker when its scheduler last heard of it, by the clock of that.
        """
        now = self._clock()
        was_asleep, self._looked = now - self._looked > _ASLEEP, now
        # Who was silent before this process was stopped is so until it is heard of.
        before = {a: self._seen[a] for a in self._silent} if was_asleep else self._seen
        self._seen = {
            address: before[address] if address in before and before[address][0] == seen else (seen, now)
            for address, seen in last_seen.items()
        }
        self._silent = frozenset(address for address, (_, since) in self._seen.items() if now - since >= SILENCE)
        return self._silent
