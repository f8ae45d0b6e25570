"""Why a job has ended: what the batch system says, what it wrote to the job's log, and how long the job had run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dynvision.engines.quantities import format_time, parse_time
from dynvision.engines.queues.jobs import Job
from dynvision.engines.workforce import Loss

__all__ = ["explain_end"]

_TIME = re.compile(
    r"(?i)due to time limit|walltime \d+ exceeded|exceeded limit.*walltime|TERM_RUNLIMIT|walltime reached"
)
_MEMORY = re.compile(
    r"(?i)oom[-_ ]kill|out of memory handler|TERM_MEMLIMIT|exceeded (job )?memory limit|mem(ory)? \S+ exceeded limit"
    r"|exceeds memory limit"
)
"""What batch systems write to a job's log."""

_CANCELLED = re.compile(r"\*\*\* JOB \d+ ON \S+ CANCELLED AT \S+ (DUE TO (PREEMPTION|NODE FAILURE) )?\*\*\*")
_WORDS = {None: "CANCELLED", "PREEMPTION": "PREEMPTED", "NODE FAILURE": "NODE_FAIL"}
"""What Slurm writes there while a job is being ended; meanwhile it says no more than that."""

_SLURM = {
    "CANCELLED": "was cancelled",
    "PREEMPTED": "had to make room for others (preempted)",
    "NODE_FAIL": "ended because its node failed",
    "BOOT_FAIL": "ended because its node failed",
}


def explain_end(job: Job, facts: Mapping[str, str], lines: Sequence[str], now: float) -> Loss:
    """Say why a job has ended.

    Args:
        job: The job.
        facts: What Slurm knows of it, in its own words; empty for other batch systems.
        lines: The last lines of its log.
        now: The time now.
    """
    state, node = facts.get("JobState", "").split("+")[0], facts.get("BatchHost", "")
    place = f" on {node}" if node and node != "(null)" else ""
    limit = job.resources.time
    if state == "OUT_OF_MEMORY" or any(_MEMORY.search(line) for line in lines):
        return Loss("memory", f"{job.title}{place} needed more memory than it had asked for")
    if state in ("TIMEOUT", "DEADLINE") or any(_TIME.search(line) for line in lines) or _is_late(facts):
        given = format_time(limit) if limit is not None else facts.get("TimeLimit", "")
        shown = f" of {given}" if given[:1].isdigit() else ""
        return Loss("time", f"{job.title}{place} has reached its time limit{shown}")
    if state not in _SLURM:
        found = next((found for line in lines if (found := _CANCELLED.search(line))), None)
        state = _WORDS[found[2]] if found else state
    if state in _SLURM:
        return Loss("lost", f"{job.title}{place} {_SLURM[state]}")
    if not facts and limit is not None and job.age(now) > 0.9 * limit - 5:
        return Loss("time", f"{job.title} has reached its time limit of {format_time(limit)}")
    code = facts.get("ExitCode", "0:0")
    how = f" with exit code {code}" if code != "0:0" else ""
    return Loss("lost", f"the worker of {job.title}{place} has ended{how}")


def _is_late(facts: Mapping[str, str]) -> bool:
    """Whether a job of Slurm that is just being ended has run for its time."""
    try:
        return parse_time(facts["RunTime"]) >= parse_time(facts["TimeLimit"])
    except (KeyError, ValueError):  # `UNLIMITED`, or a job that has not run.
        return False
