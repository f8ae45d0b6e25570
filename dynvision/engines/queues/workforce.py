"""Workers that are jobs of a batch system: started while calls wait, ended when nobody needs them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dynvision.engines.calls import Resources
from dynvision.engines.queues.clerk import Answer, Cancelled, Clerk, Refused, Seen, Taken
from dynvision.engines.queues.commands import Commands, RefusedError
from dynvision.engines.queues.dialects import DIALECTS
from dynvision.engines.queues.jobs import Job, last_lines
from dynvision.engines.queues.losses import explain_end
from dynvision.engines.queues.reports import Reports
from dynvision.engines.queues.scripts import find_hidden_gpu, write_script
from dynvision.engines.queues.states import explain_hopeless, names_partitions
from dynvision.engines.settings import EngineSettings
from dynvision.engines.workforce import Demand, Door, Loss, WorkerProcess, Workforce
from dynvision.system.progress import say

__all__ = ["QueueWorkforce"]

_IDLE = 60.0
"""Seconds for which a job without work stays: the next calls may come soon."""

_UNNEEDED = 10.0
"""Seconds after which a job that waits in the queue for no call is cancelled."""

_FADING = 15.0
"""Seconds after which a job whose worker is gone is cancelled, if it has not ended by itself."""

_AGAIN = 30.0
"""Seconds after which a job that was cancelled and is still there is cancelled again: the batch system may be down."""

_VAIN = 300.0
"""Seconds after which a job whose worker is gone is not cancelled again; most likely it has ended by itself."""

_SURE = 2.0
"""Seconds for which a job has a reason that does not pass before it is given up; the first one may be a guess."""

_LOOKS = (3.0, 15.0)
"""Seconds between two questions to the batch system: while a worker is expected soon, and else."""

_SOON = 60.0
"""Seconds after which a job is not expected soon."""


class QueueWorkforce(Workforce):
    """Jobs of a batch system, each with one worker that computes one call at a time.

    Args:
        settings: The batch system, and how many jobs there may be.
        clock: The time in seconds; tests have their own.
    """

    def __init__(self, settings: EngineSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.slots = settings.max_jobs
        self._settings, self._clock = settings, clock
        self._commands = Commands(DIALECTS[settings.kind])
        self._reports = Reports(settings, DIALECTS[settings.kind].title)
        self._clerk: Clerk | None = None
        self._door: Door | None = None
        self._jobs: dict[str, Job] = {}
        self._past: dict[str, Job] = {}
        self._fading: list[Job] = []
        self._numbers = itertools.count(1)
        self._looked: float | None = None
        self._is_looking = False

    def refusal(self, resources: Resources) -> str:
        return find_hidden_gpu(self._settings, resources)

    def open(self, door: Door) -> None:
        self._commands.check()
        self._door = door
        self._clerk = Clerk(self._commands)

    def adjust(self, demands: Sequence[Demand], workers: Sequence[WorkerProcess], busy: frozenset[str]) -> list[str]:
        now = self._clock()
        self._take_answers(now)
        self._meet({worker.name for worker in workers}, busy, now)
        self._reports.check_failures(bool(busy), bool(self._jobs))
        self._end_unneeded(demands, now)
        self._start_missing(demands, busy, now)
        self._look(now)
        return self._reports.tell(list(self._jobs.values()), now)

    def takes(self, worker: WorkerProcess, resources: Resources) -> bool:
        job = self._jobs.get(worker.name)
        if job is None:
            return False
        self._note_worker(job)
        return job.resources == resources and not job.is_cancelled and not job.is_spent(self._clock())

    def is_fresh(self, worker: WorkerProcess) -> bool:
        job = self._jobs.get(worker.name)
        return job is not None and not job.is_used

    def explain_loss(self, worker: WorkerProcess) -> Loss:
        job = self._jobs.get(worker.name) or self._past.get(worker.name)
        if job is None:
            return Loss("lost", f"the worker {worker.name} does not answer any more")
        facts = self._commands.describe(job.number, 1.5) if job.number is not None else {}
        return explain_end(job, facts, last_lines(job.log, 20), self._clock())

    def log(self, worker: WorkerProcess) -> Path | None:
        job = self._jobs.get(worker.name) or self._past.get(worker.name)
        return job.log if job is not None else None

    def close(self) -> None:
        clerk, self._clerk = self._clerk, None
        if clerk is None:
            return
        title = DIALECTS[self._settings.kind].title
        if not clerk.close(1.5):
            say(f"{title} has not taken the last job yet; a process in the background cancels it when it has")
        self._take(clerk.answers(), self._clock())
        alive = [job.number for job in (*self._jobs.values(), *self._fading) if job.number is not None]
        if not self._commands.cancel(alive, 2.0):
            say(
                f"{title} does not say yet that it cancels job {', '.join(alive)}; a process in the background goes on "
                "asking for some minutes"
            )
        self._jobs.clear()
        self._fading.clear()

    def _take_answers(self, now: float) -> None:
        assert self._clerk is not None
        self._take(self._clerk.answers(), now)

    def _take(self, answers: Iterable[Answer], now: float) -> None:
        """Note what the batch system has answered."""
        for answer in answers:
            match answer:
                case Taken(name, number):
                    if taken := self._jobs.get(name) or self._past.get(name):
                        taken.number = number
                        self._reports.note_taken(taken.resources)
                case Refused(name, error):
                    if refused := self._jobs.pop(name, None):
                        self._reports.note_refusal(refused.resources, error, now)
                case Cancelled(numbers):
                    self._fading = [job for job in self._fading if job.number not in numbers]
                case Seen(states):
                    self._is_looking = False
                    known = {job.number: job for job in self._jobs.values() if job.number is not None}
                    for number, state in (states or {}).items():
                        if job := known.get(number):
                            self._note_state(job, state.phase, state.reason, now)

    def _note_state(self, job: Job, phase: str, reason: str, now: float) -> None:
        job.reason = reason
        if phase == "running" and job.started is None:
            job.started = now
        if phase == "waiting":
            self._note_hope(job, now)
        # A job whose worker has come is known by that; the batch system may be behind.
        if phase == "ended" and job.connected is None:
            self._forget(job, now)
            if not job.is_cancelled:
                self._reports.note_failure(job, now)

    def _note_hope(self, job: Job, now: float) -> None:
        """Give up a job that will never start, as soon as the batch system has said so for a while."""
        options = (*self._settings.extra, *job.resources.extra)
        why = explain_hopeless(job.reason, names_partitions(job.resources.partition, options))
        job.hopeless = (job.hopeless or now) if why else None
        if job.hopeless is None or now - job.hopeless < _SURE or job.is_cancelled:
            return
        self._cancel(job)
        self._forget(job, now)
        self._fading.append(job)  # `close` cancels it, if that has not happened by then.
        title = DIALECTS[self._settings.kind].title
        self._reports.note_hopeless(job.resources, RefusedError(f"{title} never starts {job.title} ({why})"))

    def _meet(self, names: set[str], busy: frozenset[str], now: float) -> None:
        """Note which workers have come, work, and have gone."""
        for job in list(self._jobs.values()):
            if job.name in names:
                self._note_worker(job)
                job.idle = None if job.name in busy else job.idle or now
                job.is_used = job.is_used or job.idle is None
            elif job.connected is not None:
                self._forget(job, now)
                self._fading.append(job)
        self._end_leftovers(now)

    def _end_leftovers(self, now: float) -> None:
        """Cancel jobs that are left by their workers, and again those that were cancelled and are still there."""
        assert self._clerk is not None
        late = [job for job in self._fading if job.cancelled is None and now - (job.ended or now) > _FADING]
        left = [job for job in (*self._jobs.values(), *self._fading) if now - (job.cancelled or now) >= _AGAIN]
        for job in (*late, *left):
            job.cancelled = now
        self._clerk.cancel([job.number for job in (*late, *left) if job.number is not None])
        self._fading = [job for job in self._fading if now - (job.ended or now) < _VAIN]

    def _note_worker(self, job: Job) -> None:
        """Note that the worker of a job has come. It may come, work and go between two calls of `adjust`."""
        if job.connected is None:
            job.connected = self._clock()
            self._reports.note_success()

    def _forget(self, job: Job, now: float) -> None:
        job.ended = now
        self._past[job.name] = self._jobs.pop(job.name)

    def _cancel(self, job: Job) -> None:
        assert self._clerk is not None
        # One that is just being submitted is cancelled when it has a number.
        if job.number is not None and not job.is_cancelled:
            job.cancelled = self._clock()
            self._clerk.cancel([job.number])

    def _of(self, resources: Resources, now: float) -> list[Job]:
        """Return the jobs that serve, or will serve, calls with some needs."""
        mine = (job for job in self._jobs.values() if job.resources == resources and not job.is_cancelled)
        return [job for job in mine if job.idle is None or not job.is_spent(now)]

    def _serving(self, demand: Demand, now: float) -> list[Job]:
        """Return the jobs that serve, or will serve, calls: one that has computed before serves none that needs all."""
        mine = self._of(demand.resources, now)
        if not demand.fresh or demand.waiting > demand.fresh:
            return mine
        return [job for job in mine if job.idle is None or not job.is_used]

    def _end_unneeded(self, demands: Sequence[Demand], now: float) -> None:
        """Cancel jobs that wait for no call, that have computed nothing for long, or whose time is over."""
        wanted = {demand.resources: demand for demand in demands}
        for resources in {job.resources for job in self._jobs.values()}:
            demand = wanted.get(resources, Demand(resources, 0, 0, 0))
            mine = self._serving(demand, now)
            waiting = [job for job in mine if job.connected is None]
            surplus = max(0, len(mine) - demand.waiting - demand.running)
            for number, job in enumerate(reversed(waiting)):
                job.unneeded = (job.unneeded or now) if number < surplus else None
                if job.unneeded is not None and now - job.unneeded >= _UNNEEDED:
                    self._cancel(job)
        for job in list(self._jobs.values()):
            if job.idle is not None and (now - job.idle >= _IDLE or job.is_spent(now)):
                self._cancel(job)

    def _start_missing(self, demands: Sequence[Demand], busy: frozenset[str], now: float) -> None:
        """Ask for jobs for the calls that wait, the most urgent first."""
        served = {demand.resources for demand in demands if demand.waiting}
        for demand in demands:
            if not demand.waiting or not self._reports.may_try(demand.resources, now):
                continue
            mine = self._serving(demand, now)
            missing = demand.waiting + demand.running - len(mine)
            room = self._settings.max_jobs - len(self._jobs)
            for _ in range(min(missing, room)):
                self._start(demand, now)
            if missing > 0 >= room and not mine:
                self._make_room(demand, served, now)

    def _make_room(self, demand: Demand, served: set[Resources], now: float) -> None:
        """Cancel a job so that one for a more urgent call can start: one that is idle, or else one that waits."""
        if any(job.is_cancelled for job in self._jobs.values()):  # There will be room.
            return
        jobs = [job for job in self._jobs.values() if job.resources != demand.resources]
        idle = [job for job in jobs if job.idle is not None and job.resources not in served]
        idle += self._of(demand.resources, now)  # None of them serves these calls.
        later = [job for job in jobs if job.connected is None and job.priority < demand.priority]
        for job in (idle or later)[-1:]:
            self._cancel(job)

    def _start(self, demand: Demand, now: float) -> None:
        assert self._door is not None
        assert self._clerk is not None
        name = f"{self._door.run}-{next(self._numbers)}"
        text = write_script(self._settings, demand.resources, self._door, name)
        script = self._door.folder / f"{name}.sh"
        script.write_text(text)
        log = self._door.logs / f"{name}.log"
        self._jobs[name] = Job(name, demand.resources, script, log, now, demand.priority)
        self._clerk.submit(name, script)

    def _look(self, now: float) -> None:
        """Ask how the jobs are that have no worker, now and then."""
        expected = [job for job in self._jobs.values() if job.connected is None and job.number is not None]
        if not expected or self._is_looking:
            return
        assert self._clerk is not None
        is_soon = any(now - (job.started or job.asked) < _SOON for job in expected)
        if self._looked is None or now - self._looked >= _LOOKS[0 if is_soon else 1]:
            self._looked, self._is_looking = now, True
            self._clerk.look([job.number for job in expected if job.number is not None])
