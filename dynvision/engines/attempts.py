"""Attempts at calls: which of those that wait is next, and what follows if one has lost its worker."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dynvision.engines.calls import Call, Resources
from dynvision.engines.workforce import Demand, Loss, WorkerProcess, Workforce
from dynvision.errors import DynvisionError, KilledError, OutOfMemoryError, OutOfTimeError

__all__ = ["MOST_LOSSES", "Attempt", "Retry", "Waiting", "after_kill", "after_loss", "after_memory"]

MOST_LOSSES = 3
"""So many times a call may lose its worker for no reason of its own. Then it is taken to be the reason."""

_SHARE_OF_TIME = 0.8
"""A call that ran for this share of its time limit gets more time, if there is more, though others ran before it."""


@dataclass(frozen=True)
class Attempt:
    """An attempt at a call.

    Attributes:
        call: The call.
        entry: Which of the call's `attempts` says what it needs.
        started: How many attempts have started, this one included once it has.
        losses: How many of them ended with their worker, for no reason of their own.
        unstarted: How many times it was given to a worker that ended before it began.
        needs_fresh: Whether it needs a worker that is fresh, because it was cut off when others had used a part of the
            time of the last one.
    """

    call: Call
    entry: int = 0
    started: int = 0
    losses: int = 0
    unstarted: int = 0
    needs_fresh: bool = False

    @property
    def resources(self) -> Resources:
        """What it needs."""
        return self.call.attempts[self.entry]

    @property
    def arguments(self) -> dict[str, Any]:
        """What the function gets."""
        is_again = self.started > 0 or self.unstarted > 0
        return {**self.call.arguments, **(self.call.again if is_again else {})}


class Waiting:
    """The attempts that wait, by what they need; those of higher priority come first.

    Args:
        workforce: It knows which worker takes what.
    """

    def __init__(self, workforce: Workforce) -> None:
        self._workforce = workforce
        self._heaps: dict[tuple[Resources, bool], list[tuple[int, int, Attempt]]] = {}
        self._count = itertools.count()

    def put(self, attempt: Attempt) -> None:
        """Add an attempt."""
        heap = self._heaps.setdefault((attempt.resources, attempt.needs_fresh), [])
        heapq.heappush(heap, (-attempt.call.priority, next(self._count), attempt))

    def take(self, free: Collection[WorkerProcess], running: Sequence[Attempt]) -> tuple[Attempt, WorkerProcess] | None:
        """Remove and return the most urgent attempt for which there is room and a free worker, and that worker.

        Args:
            free: The workers that compute nothing.
            running: What the others compute.
        """
        used = [attempt.resources for attempt in running]
        is_held = False
        for resources, needs_fresh in self._in_line():
            suited = (worker for worker in free if self._workforce.takes(worker, resources))
            worker = next((worker for worker in suited if not needs_fresh or self._workforce.is_fresh(worker)), None)
            # A call that waits for memory would wait for ever if smaller ones went on to take what becomes free.
            if worker is None or (is_held and resources.memory):
                continue
            if self._workforce.has_room(resources, used):
                return heapq.heappop(self._heaps[resources, needs_fresh])[2], worker
            is_held = True
        return None

    def _in_line(self) -> list[tuple[Resources, bool]]:
        """Return the kinds of attempts that wait, the most urgent first; of equals, those that fewer workers suit."""
        firsts = {kind: heap[0] for kind, heap in self._heaps.items() if heap}
        return sorted(firsts, key=lambda kind: (firsts[kind][0], not kind[1], firsts[kind][1]))

    def demands(self, running: Sequence[Attempt]) -> list[Demand]:
        """Return what is needed, highest priority first.

        Args:
            running: What is computed now.
        """
        counts = Counter(attempt.resources for attempt in running)
        demands = []
        for resources in dict.fromkeys([*(resources for resources, _ in self._heaps), *counts]):
            others, fresh = (self._heaps.get((resources, needs_fresh), []) for needs_fresh in (False, True))
            waiting = [-heap[0][0] for heap in (others, fresh) if heap]
            priorities = waiting or [a.call.priority for a in running if a.resources == resources]
            if priorities:
                count = len(others) + len(fresh)
                demands.append(Demand(resources, count, counts[resources], max(priorities), len(fresh)))
        return sorted(demands, key=lambda demand: -demand.priority)


@dataclass(frozen=True)
class Retry:
    """What follows: another attempt, or the error of the call, and a sentence for the user.

    Attributes:
        attempt: The attempt to make; `None` if the call has failed.
        error: The error, if there is none.
        sentence: What is said at once.
    """

    attempt: Attempt | None
    error: DynvisionError | None
    sentence: str


def after_loss(attempt: Attempt, loss: Loss, seconds: float, log: str, is_first: bool = True) -> Retry:
    """Decide what follows the end of a worker that had started with a call.

    Args:
        attempt: The attempt.
        loss: Why the worker ended.
        seconds: How long the attempt had run.
        log: Where more is written, as the end of a sentence; may be empty.
        is_first: Whether the worker was fresh when it got the attempt.
    """
    name = attempt.call.name
    if loss.reason == "memory":
        return after_memory(attempt, f"{name}: {loss.sentence}", log)
    if loss.reason == "time":
        return _after_time(attempt, f"{name}: {loss.sentence}", seconds, log, is_first)
    losses = attempt.losses + 1
    if losses >= MOST_LOSSES:
        error = (
            f"{name}: {loss.sentence}, and this was loss number {losses}. If it is the reason itself, it needs more "
            f"memory than there is; otherwise run this again.{log}"
        )
        return Retry(None, DynvisionError(error), error)
    return Retry(replace(attempt, losses=losses), None, f"{name}: {loss.sentence}; it is tried again")


def _after_time(attempt: Attempt, sentence: str, seconds: float, log: str, is_first: bool) -> Retry:
    """Decide what follows if a worker's time was over: more time, all of another worker's time, or the error.

    See `after_loss` for the arguments.
    """
    limit = attempt.resources.time
    if is_first or (limit is not None and seconds >= _SHARE_OF_TIME * limit):
        had = seconds if limit is None else limit
        for entry in range(attempt.entry + 1, len(attempt.call.attempts)):
            if (attempt.call.attempts[entry].time or 0) > had:
                again = replace(attempt, entry=entry, needs_fresh=False)
                return Retry(again, None, f"{sentence}; it is tried again with more time")
    if not is_first:
        why = "of which others had used a part; it is tried again in a new job"
        return Retry(replace(attempt, needs_fresh=True), None, f"{sentence}, {why}")
    advice = "Give it more 'time' in config_compute.yaml."
    if limit is None:
        advice = "Set 'time' in config_compute.yaml: it says none, so that the limit of the cluster holds."
    error = f"{sentence}, after {seconds:.0f} s. {advice}{log}"
    return Retry(None, OutOfTimeError(error), error)


def after_memory(attempt: Attempt, sentence: str, log: str, kind: type[DynvisionError] = OutOfMemoryError) -> Retry:
    """Decide what follows if memory ran out: the next attempt that gets more, or the error.

    Args:
        attempt: The attempt.
        sentence: What is known, with the call's name.
        log: Where more is written, as the end of a sentence; may be empty.
        kind: The class of the error.
    """
    has = attempt.resources.memory
    for entry in range(attempt.entry + 1, len(attempt.call.attempts)):
        memory = attempt.call.attempts[entry].memory
        if memory is None or (has is not None and memory > has):
            again = replace(attempt, entry=entry)
            return Retry(again, None, f"{sentence.rstrip('.')}. It is tried again with {_show(memory)} of memory")
    return Retry(None, kind(f"{sentence}{log}"), sentence)


def after_kill(attempt: Attempt, text: str, log: str) -> Retry:
    """Decide what follows if the process that computed was killed, and its worker was not.

    Memory may have run out, so the next attempt that gets more is made, if there is one. Otherwise this counts as a
    loss: who killed it may do so once only.

    Args:
        attempt: The attempt.
        text: What the error says.
        log: Where more is written, as the end of a sentence; may be empty.
    """
    what = f"{attempt.call.name}: the process that computes it was killed (signal 9), as if memory had run out"
    retry = after_memory(attempt, what, log, KilledError)
    if retry.attempt is not None:
        return retry
    losses = attempt.losses + 1
    if losses < MOST_LOSSES:
        return Retry(replace(attempt, losses=losses), None, f"{what}; it is tried again")
    error = f"{text} This was loss number {losses}; give it more 'memory' in config_compute.yaml.{log}"
    return Retry(None, KilledError(error), error)


def _show(memory: int | None) -> str:
    return "no limit" if memory is None else f"{memory / (1 << 30):.3g} GiB"
