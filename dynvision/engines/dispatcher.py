"""Which call runs on which worker: a thread that takes events, and gives each free worker one call."""

from __future__ import annotations

import itertools
import queue
import re
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from dynvision import errors
from dynvision.engines.attempts import Attempt, Retry, Waiting, after_kill, after_loss, after_memory
from dynvision.engines.calls import Call, Outcome
from dynvision.engines.events import (
    SILENCE,
    Broken,
    Ended,
    Event,
    Said,
    SilenceChanged,
    Started,
    Submitted,
    WorkersChanged,
)
from dynvision.engines.hub import Hub
from dynvision.engines.workforce import Loss, WorkerProcess, Workforce
from dynvision.errors import ConfigError, DynvisionError, UnexpectedError

__all__ = ["Dispatcher", "Failed", "Line", "Message", "as_own_error"]

_LOOK = 0.5
"""Seconds between two looks at whether there are enough workers."""

_GRACE = 1.0
"""Seconds after which a call whose worker is gone counts as lost. Its answer may be on the way."""

_MOST_UNSTARTED = 5
"""So many times a call may be given to a worker that ends before it says that it has begun."""


@dataclass(frozen=True)
class Line:
    """Something to tell the user."""

    text: str


@dataclass(frozen=True)
class Failed:
    """The engine does not work."""

    error: BaseException


Message = Line | Failed | Outcome


@dataclass
class _Running:
    """A call that is with a worker."""

    attempt: Attempt
    worker: WorkerProcess
    sent: float
    is_first: bool
    where: str = ""
    gone: float | None = None


class Dispatcher:
    """Takes events, and gives each free worker one call, those of higher priority first.

    Args:
        hub: Where calls are sent.
        workforce: Where workers come from.
        events: What happens.
        messages: Where outcomes and lines for the user are put.
    """

    def __init__(
        self, hub: Hub, workforce: Workforce, events: queue.SimpleQueue[Event], messages: queue.SimpleQueue[Message]
    ) -> None:
        self._hub, self._workforce, self._events, self._messages = hub, workforce, events, messages
        self._waiting = Waiting(workforce)
        self._running: dict[str, _Running] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._free: dict[str, WorkerProcess] = {}
        self._silent: frozenset[str] = frozenset()
        self._count = itertools.count()
        self._said: set[str] = set()
        self._looked = 0.0
        self._is_stopping = False
        self._thread = threading.Thread(target=self._work, name="dynvision-dispatcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._is_stopping = True
        self._events.put(Said("", ""))  # It wakes up.
        self._thread.join(1.5)

    @property
    def keys(self) -> list[str]:
        """The calls that are with a worker."""
        return list(self._running)

    @property
    def _attempts(self) -> list[Attempt]:
        """What is with a worker."""
        return [running.attempt for running in self._running.values()]

    def _work(self) -> None:
        try:
            while not self._is_stopping:
                self._step()
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits for results
            self._messages.put(Failed(error))

    def _step(self) -> None:
        try:
            self._take(self._events.get(timeout=_LOOK / 2))
            while True:
                self._take(self._events.get_nowait())
        except queue.Empty:
            pass
        self._find_lost()
        self._assign()
        if time.monotonic() - self._looked > _LOOK:
            self._adjust()

    def _take(self, event: Event) -> None:
        match event:
            case Submitted(call):
                self._accept(call)
                self._looked = min(self._looked, time.monotonic() - _LOOK)
            case WorkersChanged(workers):
                self._meet(workers)
            case SilenceChanged(silent):
                self._note_silence(silent)
            case Started(key, where) if key in self._running:
                self._running[key].where = where
            case Said(key, line) if key in self._running:
                name = self._running[key].attempt.call.name
                # The name of several partitions ends with their number, which their own lines do not have.
                is_named = line.startswith((name, f"{name.partition(' (')[0]}:"))
                self._messages.put(Line(line if is_named else f"{name}: {line}"))
            case Ended(key, answer) if key in self._running:
                self._end(key, answer)
            case Broken(error):
                raise error

    def _end(self, key: str, answer: dict[str, Any] | None) -> None:
        """Take the end of a call."""
        if answer is not None and answer.get("stopped"):  # The worker may be about to end, too; why is known then.
            self._running[key].gone = self._running[key].gone or time.monotonic()
            return
        running = self._running.pop(key)
        self._set_free(running.worker)
        if answer is None:
            self._lose(running)
        else:
            self._finish(running, answer)

    def _accept(self, call: Call) -> None:
        """Take a call, without the attempts that ask for more than there can be."""
        whys = [self._workforce.refusal(resources) for resources in call.attempts]
        if whys[0]:
            self._messages.put(Outcome(call, error=ConfigError(f"{call.name}: {whys[0]}"), attempts=0))
            return
        for number, why in enumerate(whys, 1):
            if why and why not in self._said:
                self._said.add(why)
                self._messages.put(Line(f"{call.name}: attempt {number} is left out: {why}"))
        possible = tuple(resources for resources, why in zip(call.attempts, whys, strict=True) if not why)
        self._waiting.put(Attempt(replace(call, attempts=possible)))

    def _meet(self, workers: tuple[WorkerProcess, ...]) -> None:
        """Note which workers there are."""
        now = {worker.address: worker for worker in workers}
        busy = {running.worker.address for running in self._running.values()}
        self._free = {address: worker for address, worker in now.items() if address not in busy}
        for address in now.keys() - self._workers.keys():
            self._workforce.meet(now[address])
        self._workers = now
        for running in self._running.values():
            if running.worker.address not in now and running.gone is None:
                running.gone = time.monotonic()

    def _note_silence(self, silent: frozenset[str]) -> None:
        """Say which calls are with a worker that has become silent, or answers again."""
        for running in self._running.values():
            address, name = running.worker.address, running.attempt.call.name
            who = f"worker {running.worker.name}" + (f" ({running.where})" if running.where else "")
            if address in silent - self._silent:
                self._messages.put(
                    Line(
                        f"{name}: {who} has not answered for {SILENCE:.0f} s: it was stopped, or its machine "
                        "or network hangs. If that goes on for minutes, another worker goes on with it"
                    )
                )
            elif address in self._silent - silent and address in self._workers:
                self._messages.put(Line(f"{name}: {who} answers again"))
        self._silent = silent

    def _set_free(self, worker: WorkerProcess) -> None:
        if worker.address in self._workers:
            self._free[worker.address] = worker

    def _find_lost(self) -> None:
        now = time.monotonic()
        for key, running in list(self._running.items()):
            if running.gone is not None and now - running.gone > _GRACE:
                del self._running[key]
                self._hub.drop(key)
                self._set_free(running.worker)
                self._lose(running)

    def _lose(self, running: _Running) -> None:
        """Try a call again that has lost its worker, if that makes sense."""
        attempt = running.attempt
        if not running.where:
            attempt = replace(attempt, unstarted=attempt.unstarted + 1)
            if attempt.unstarted <= _MOST_UNSTARTED:
                self._waiting.put(attempt)
                return
        seconds = time.monotonic() - running.sent
        if running.worker.address in self._workers and running.gone is not None:
            loss = Loss("lost", "the process that computes it was told to end by a signal")
        else:
            loss = self._workforce.explain_loss(running.worker)
        attempt = replace(attempt, started=attempt.started + 1)
        retry = after_loss(attempt, loss, seconds, self._say_log(running), running.is_first)
        self._follow(retry, attempt, running, seconds)

    def _finish(self, running: _Running, answer: dict[str, Any]) -> None:
        attempt = replace(running.attempt, started=running.attempt.started + 1)
        where, seconds = answer.get("where", running.where), answer.get("seconds", 0.0)
        if "error" not in answer:
            outcome = Outcome(
                attempt.call, answer.get("result"), where=where, seconds=seconds, attempts=attempt.started
            )
            self._messages.put(outcome)
            return
        text, kind = str(answer["message"]), getattr(errors, str(answer["error"]), DynvisionError)
        if kind is errors.KilledError:
            self._follow(after_kill(attempt, text, self._say_log(running)), attempt, running, seconds)
            return
        if answer.get("memory"):
            self._follow(after_memory(attempt, text, self._say_log(running), kind), attempt, running, seconds)
            return
        self._messages.put(Outcome(attempt.call, None, kind(text), where, seconds, attempt.started))

    def _follow(self, retry: Retry, attempt: Attempt, running: _Running, seconds: float) -> None:
        if retry.attempt is not None:
            self._messages.put(Line(retry.sentence))
            self._waiting.put(retry.attempt)
            return
        self._messages.put(Outcome(attempt.call, None, retry.error, running.where, seconds, attempt.started))

    def _say_log(self, running: _Running) -> str:
        log = self._workforce.log(running.worker)
        has_words = log is not None and log.is_file() and log.stat().st_size > 0
        return f" The log of its worker is {log}." if has_words else ""

    def _assign(self) -> None:
        """Give each free worker the most urgent call that it takes."""
        while awake := [worker for address, worker in self._free.items() if address not in self._silent]:
            pair = self._waiting.take(awake, self._attempts)
            if pair is None:
                return
            self._send(*pair)

    def _send(self, attempt: Attempt, worker: WorkerProcess) -> None:
        # Dask's dashboard groups calls by the first word of their keys.
        word = re.match(r"[A-Za-z]+", attempt.call.name)
        key = f"{word[0] if word else 'call'}-{next(self._count)}"
        del self._free[worker.address]
        self._running[key] = _Running(attempt, worker, time.monotonic(), self._workforce.is_fresh(worker))
        self._hub.send(key, attempt, worker.address)

    def _adjust(self) -> None:
        self._looked = time.monotonic()
        demands = self._waiting.demands(self._attempts)
        busy = frozenset(r.worker.name for r in self._running.values())
        for line in self._workforce.adjust(demands, list(self._workers.values()), busy):
            self._messages.put(Line(line))


def as_own_error(error: BaseException) -> BaseException:
    """Return an error that can be raised for a user."""
    if isinstance(error, DynvisionError) or not isinstance(error, Exception):
        return error
    return UnexpectedError(f"the engine failed: {type(error).__name__}: {error}")
