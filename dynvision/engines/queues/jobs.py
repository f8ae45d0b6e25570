"""A job and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dynvision.engines.calls import Resources

__all__ = ["Job", "last_lines"]

_SPARE = 60.0
"""Seconds before its end in which a job takes no further call, or a tenth of its time if that is less."""


@dataclass
class Job:
    """A job of a batch system, with one worker. All times are those of a monotonic clock, in seconds.

    Attributes:
        name: The name of its worker.
        resources: What it has.
        script: The file with its script.
        log: The file with what it prints.
        asked: When it was asked for.
        priority: That of the calls for which it was asked.
        number: Its number in the batch system; `None` until that has answered.
        started: When it was first seen to run; `None` if it waits.
        connected: When its worker came; `None` if it has not.
        idle: Since when it computes nothing; `None` if it computes.
        is_used: Whether it has computed a call.
        unneeded: Since when there are more jobs than calls; `None` if it is needed.
        ended: When it was seen to have ended.
        reason: Why it waits, in the words of the batch system.
        hopeless: Since when that is a reason which does not pass; `None` if it may start.
        cancelled: When it was last ordered to be cancelled.
        is_told: Whether the user knows that its worker does not come.
    """

    name: str
    resources: Resources
    script: Path
    log: Path
    asked: float
    priority: int = 0
    number: str | None = None
    started: float | None = None
    connected: float | None = None
    idle: float | None = None
    is_used: bool = False
    unneeded: float | None = None
    ended: float | None = None
    reason: str = ""
    hopeless: float | None = None
    cancelled: float | None = None
    is_told: bool = field(default=False)

    @property
    def title(self) -> str:
        """The job for people."""
        return f"job {self.number}" if self.number is not None else f"the job {self.name}"

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled by us. It may be there all the same, if the batch system did not answer."""
        return self.cancelled is not None

    def age(self, now: float) -> float:
        """Return for how many seconds it has run."""
        starts = [start for start in (self.started, self.connected) if start is not None]
        return now - min(starts) if starts else 0.0

    def is_spent(self, now: float) -> bool:
        """Whether so little of its time is left that it takes no further call."""
        limit = self.resources.time
        return limit is not None and self.age(now) > limit - min(_SPARE, limit / 10)


def last_lines(path: Path, count: int = 5) -> list[str]:
    """Return the last lines of a log that are not empty; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-count:]
