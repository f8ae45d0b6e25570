"""Where workers come from: the processes of this machine, the jobs of a cluster, or a scheduler that already has some.

The engine decides which call runs on which worker. A workforce only starts and stops workers, and knows why they end.
All its methods are called from one thread, which is the engine's own, and return within about a second.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dynvision.engines.calls import Resources

__all__ = ["Demand", "Door", "Loss", "WorkerProcess", "Workforce"]


@dataclass(frozen=True)
class Door:
    """How a worker reaches the scheduler of this run: `python -m dynvision.engines.worker_main` takes these.

    Attributes:
        address: The scheduler, such as `tls://10.0.0.1:34567`.
        credentials: The folder with `ca.pem`, `cert.pem` and `key.pem`, which only this user can read.
        folder: A folder of this run alone for job scripts and temporary files. It is removed with the credentials
            when the engine closes.
        logs: A folder for the logs of workers. It stays.
        run: A name of this run that no other run has, made of letters and digits.
    """

    address: str
    credentials: Path
    folder: Path
    logs: Path
    run: str


@dataclass(frozen=True)
class WorkerProcess:
    """A worker that is connected to the scheduler. It computes one call at a time.

    Attributes:
        address: Its address; no two workers have the same.
        name: What it was called when it was started.
        offers: The resources of Dask that it offers.
    """

    address: str
    name: str
    offers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Demand:
    """The calls that need the same resources.

    Attributes:
        resources: What each of them needs.
        waiting: How many wait for a worker.
        running: How many are with a worker.
        priority: The highest priority of those that wait; of those that run if none waits.
        fresh: How many of those that wait need a worker that is fresh; see `Workforce.is_fresh`.
    """

    resources: Resources
    waiting: int
    running: int
    priority: int
    fresh: int = 0


@dataclass(frozen=True)
class Loss:
    """Why a worker ended.

    Attributes:
        reason: `memory` or `time` if it went beyond what it had asked for; `lost` for everything else, such as a node
            that failed or a job that was cancelled.
        sentence: What is known, for people: a clause such as `job 71 was cancelled`, with the log if there is one.
    """

    reason: Literal["memory", "time", "lost"]
    sentence: str


class Workforce(ABC):
    """Starts and stops workers.

    Attributes:
        slots: How many calls its workers may compute at once, if there is work for all.
        may_grow: Whether there may be more slots later, such as when workers of somebody else come.
    """

    slots: int = 1
    may_grow: bool = False

    def slots_for(self, resources: Resources) -> int:
        """Return how many calls that need these resources may be computed at once."""
        return self.slots

    def refusal(self, resources: Resources) -> str:
        """Say why no worker will ever take a call that needs these resources; an empty text if one may."""
        return ""

    def has_room(self, resources: Resources, running: Sequence[Resources]) -> bool:
        """Whether a call may start beside others, which share what the workers have in common.

        Args:
            resources: What it needs. It is not one that `refusal` refuses.
            running: What those need that are computed now.
        """
        return True

    def prepare(self) -> None:  # noqa: B027  # most have nothing to prepare
        """Do what takes time and needs no scheduler, while the scheduler starts; return at once."""

    def meet(self, worker: WorkerProcess) -> None:  # noqa: B027  # most need not know
        """Take note of a worker that has just connected; it may be gone again when `adjust` is called next."""

    def log(self, worker: WorkerProcess) -> Path | None:
        """Return the file with what a worker and its calls print; `None` if there is none."""
        return None

    @abstractmethod
    def open(self, door: Door) -> None:
        """Get ready to start workers that connect to a scheduler. None needs to be started yet.

        Raises:
            DynvisionError: If no worker can be started here; the message says what to do.
        """

    @abstractmethod
    def adjust(self, demands: Sequence[Demand], workers: Sequence[WorkerProcess], busy: frozenset[str]) -> list[str]:
        """Start workers that are missing and stop those that nobody needs; called about twice a second.

        Args:
            demands: What is needed, highest priority first; empty if there is no call.
            workers: The workers that are connected now.
            busy: The names of those that compute a call; they must not be stopped.

        Returns:
            Sentences to tell the user once each, such as that a job has been waiting for five minutes.

        Raises:
            DynvisionError: If no worker will ever come, so that waiting makes no sense.
        """

    @abstractmethod
    def takes(self, worker: WorkerProcess, resources: Resources) -> bool:
        """Whether a call that needs these resources may run on a worker."""

    def is_fresh(self, worker: WorkerProcess) -> bool:
        """Whether no call has used up any of a worker's time yet; always so if its time has no limit."""
        return True

    @abstractmethod
    def explain_loss(self, worker: WorkerProcess) -> Loss:
        """Say why a worker has ended that is not connected any more. It may have ended a moment ago."""

    @abstractmethod
    def close(self) -> None:
        """End all workers, and what they compute, within 4 seconds; also if `open` failed or was not called."""
