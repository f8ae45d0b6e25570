"""What goes wrong with jobs: what the user is told, when another one is tried, and when there is no hope."""

from __future__ import annotations

from collections.abc import Sequence

from dynvision.engines.calls import Resources
from dynvision.engines.queues.commands import BusyError
from dynvision.engines.queues.jobs import Job, last_lines
from dynvision.engines.queues.scripts import PATIENCE, describe_needs
from dynvision.engines.settings import EngineSettings
from dynvision.errors import DynvisionError

__all__ = ["Reports"]

_MOST_FAILURES = 3
"""So many jobs may end one after another before their worker has come."""

_AGAIN = {True: 10.0, False: 60.0}
"""Seconds until a job is tried again: that could not be submitted for now, and that was refused."""

_MINUTE = 60.0

_LONGEST = 300
"""Characters of a log's last line that are quoted."""


class Reports:
    """Keeps what the batch system refuses and which jobs fail.

    Args:
        settings: How long a job may wait before it is spoken of.
        title: The name of the batch system.
    """

    def __init__(self, settings: EngineSettings, title: str) -> None:
        self._settings, self._title = settings, title
        self._refusals: dict[Resources, tuple[float, DynvisionError]] = {}
        self._hopeless: dict[Resources, DynvisionError] = {}
        self._failures: list[Job] = []
        self._lines: list[str] = []
        self._said: dict[str, float] = {}

    def note_success(self) -> None:
        """Note that the worker of a job has come."""
        self._failures.clear()

    def note_taken(self, resources: Resources) -> None:
        """Note that a job was taken."""
        self._refusals.pop(resources, None)

    def note_refusal(self, resources: Resources, error: DynvisionError, now: float) -> None:
        """Note that a job was not taken, so that it is tried again later."""
        is_first = resources not in self._refusals
        self._refusals[resources] = (now, error)
        if is_first or now - self._said.get("refused", -_MINUTE) >= _MINUTE:
            self._said["refused"] = now
            self._lines.append(f"{str(error).rstrip('.')}; it is tried again")

    def note_hopeless(self, resources: Resources, error: DynvisionError) -> None:
        """Note that a job was taken and will never start, so that none like it is tried again."""
        if resources not in self._hopeless:
            self._hopeless[resources] = error
            self._lines.append(f"{str(error).rstrip('.')}; calls with other needs go on")

    def note_failure(self, job: Job, now: float) -> None:
        """Note that a job has ended before its worker came."""
        self._failures.append(job)
        words = last_lines(job.log, 1)
        last = f": {_cut(words[0])}" if words else ""
        self._lines.append(f"{job.title} has ended before its worker could be used{last}")

    def may_try(self, resources: Resources, now: float) -> bool:
        """Whether another job with some needs should be submitted now."""
        if len(self._failures) >= _MOST_FAILURES or resources in self._hopeless:
            return False
        if resources not in self._refusals:
            return True
        when, error = self._refusals[resources]
        return now - when >= _AGAIN[isinstance(error, BusyError)]

    def check_failures(self, is_busy: bool, are_jobs: bool) -> None:
        """Raise if no worker will come.

        Args:
            is_busy: Whether any worker computes; what it computes is waited for.
            are_jobs: Whether there are any jobs.

        Raises:
            DynvisionError: The message quotes the batch system, or the log of a job.
        """
        if is_busy:
            return
        if len(self._failures) >= _MOST_FAILURES:
            raise DynvisionError(self._describe_failures())
        refused = {resources: error for resources, (_, error) in self._refusals.items()}
        for resources, error in {**refused, **self._hopeless}.items():
            if not are_jobs and not isinstance(error, BusyError):
                raise type(error)(
                    f"{error}. It was asked for {describe_needs(resources)}. Correct what config/config_compute.yaml "
                    "says of it, or see what the cluster offers."
                )

    def _describe_failures(self) -> str:
        job = self._failures[-1]
        words = last_lines(job.log, 1)
        last = f"; the last one said: {_cut(words[0])}" if words else ""
        hint = ""
        if any(job.started is not None and (job.ended or 0) - job.started > PATIENCE / 2 for job in self._failures):
            hint = (
                " If it could not reach this machine, name the network that both share: 'interface' in "
                "config/config_compute.yaml."
            )
        return (
            f"{len(self._failures)} jobs of {self._title} ended one after another before their workers could be used"
            f"{last.rstrip('.')}.{hint} {'The log' if words else 'There is nothing in the log'} of {job.title}"
            f"{' is ' if words else ': '}{job.log}"
        )

    def tell(self, jobs: Sequence[Job], now: float) -> list[str]:
        """Return what the user should know."""
        lines, self._lines = self._lines, []
        for job in jobs:
            if job.connected is None and job.started is not None and now - job.started > PATIENCE * 0.75:
                lines += [] if job.is_told else [self._describe_silence(job)]
                job.is_told = True
        waiting = [j for j in jobs if j.started is None and j.connected is None and j.number is not None]
        longest = max((now - job.asked for job in waiting), default=0.0)
        if longest >= self._settings.queue_wait and now - self._said.get("waiting", -_MINUTE) >= _MINUTE:
            self._said["waiting"] = now
            lines.append(_describe_wait(waiting, longest))
        return lines

    def _describe_silence(self, job: Job) -> str:
        return (
            f"{job.title} runs, but its worker has not reached this machine yet. If that goes on, name the network "
            f"that both share: 'interface' in config/config_compute.yaml; its log is {job.log}"
        )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _describe_wait(jobs: list[Job], longest: float) -> str:
    reasons = sorted({job.reason for job in jobs if job.reason})
    why = f" ({', '.join(reasons)})" if reasons else ""
    minutes = round(longest / 60)
    long = f"{longest:.0f} s" if longest < _MINUTE else f"{minutes} minute{'s' if minutes > 1 else ''}"
    numbers = ", ".join(str(job.number) for job in jobs[:5]) + (", …" if len(jobs) > 5 else "")
    noun, verb = ("job", "waits") if len(jobs) == 1 else ("jobs", "wait")
    return f"{noun} {numbers} {verb} in the queue, for {long} now{why}"
