"""What happens while an engine is open, as the thread of Dask tells it to the one that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dynvision.engines.calls import Call
from dynvision.engines.workforce import WorkerProcess
from dynvision.errors import DynvisionError

__all__ = ["Broken", "Ended", "Event", "Said", "Started", "Submitted", "WorkersChanged"]


@dataclass(frozen=True)
class Submitted:
    """A call was given to the engine."""

    call: Call


@dataclass(frozen=True)
class WorkersChanged:
    """These workers are connected now."""

    workers: tuple[WorkerProcess, ...]


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


Event = Submitted | WorkersChanged | Started | Said | Ended | Broken
