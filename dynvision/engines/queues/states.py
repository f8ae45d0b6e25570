"""What batch systems say about the state of jobs, read into three phases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "JobState",
    "States",
    "explain_hopeless",
    "names_partitions",
    "read_htcondor",
    "read_lsf",
    "read_oar",
    "read_pbs",
    "read_sge",
    "read_slurm",
]


@dataclass(frozen=True)
class JobState:
    """What a batch system says of a job.

    Attributes:
        phase: Whether it waits, runs, or has ended.
        reason: Why it waits, in the words of the batch system; may be empty.
    """

    phase: Literal["waiting", "running", "ended"]
    reason: str = ""


States = Mapping[str, JobState]
"""The state of each job that is known, by number."""

_HOPELESS = re.compile(
    r"PartitionConfig|PartitionTimeLimit|BadConstraints|MaxMemPerLimit|Invalid(Account|QOS)"
    r"|(Account|QOS)NotAllowed|DependencyNeverSatisfied|(Assoc|QOS)\w*PerJob\w*|QOSMin\w+"
)
"""Slurm's reasons that do not pass while a job waits. PartitionNodeLimit does if nodes are down or drained."""

_PARTITIONS = re.compile(r"(?:^|\s)(?:--partition[=\s]|-p\s*)[^\s,]+,")
"""An option of Slurm that names more than one partition."""

_MEANINGS = {
    "PartitionConfig": "no node of the partition has what it asks for",
    "PartitionTimeLimit": "it asks for more time than the partition allows",
    "BadConstraints": "no node has what it asks for",
}

_SLURM_WAITS = (
    *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
    *("SUSPENDED", "STOPPED"),
)
_SLURM_ENDS = (
    *("CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"),
    "OUT_OF_MEMORY",
)


def explain_hopeless(reason: str, are_partitions: bool = False) -> str:
    """Say why a job that waits for such a reason never starts; an empty text if it may.

    Args:
        reason: The reason, in the words of Slurm.
        are_partitions: Whether the job names several partitions. Then a limit may be that of one of them only.
    """
    if _HOPELESS.fullmatch(reason) is None or (are_partitions and reason.startswith("Partition")):
        return ""
    meaning = _MEANINGS.get(reason)
    return f"{reason}: {meaning}" if meaning else reason


def names_partitions(partition: str | None, options: Sequence[str]) -> bool:
    """Return whether a job of Slurm may start in any of several partitions.

    Args:
        partition: What the job's own setting says.
        options: All further options of the job.
    """
    return "," in (partition or "") or _PARTITIONS.search(" ".join(options)) is not None


def read_slurm(text: str) -> States:
    """Read what `squeue` prints: number, state and reason, with bars between them."""
    found = {}
    for number, word, reason in _rows(text, 3, "|"):
        phase = "waiting" if word in _SLURM_WAITS else "ended" if word in _SLURM_ENDS else "running"
        found[number] = JobState(phase, "" if reason in ("None", "") else reason)  # type: ignore[arg-type]
    return found


def read_pbs(text: str) -> States:
    """Read the table of `qstat`."""
    words = {"Q": "waiting", "H": "waiting", "W": "waiting", "T": "waiting", "S": "waiting", "R": "running"}
    rows = (line.split() for line in text.splitlines())
    return {
        row[0].partition(".")[0]: JobState(words.get(row[-2], "running" if row[-2] == "B" else "ended"))  # type: ignore[arg-type]
        for row in rows
        if len(row) >= 5 and row[0][:1].isdigit()
    }


def read_lsf(text: str) -> States:
    """Read what `bjobs` prints: number and state."""
    words = {"PEND": "waiting", "PSUSP": "waiting", "WAIT": "waiting", "DONE": "ended", "EXIT": "ended"}
    return {number: JobState(words.get(word, "running")) for number, word in _rows(text, 2)}  # type: ignore[arg-type]


def read_sge(text: str) -> States:
    """Read the table of `qstat`."""
    found = {}
    for row in (line.split() for line in text.splitlines()):
        if len(row) >= 5 and row[0].isdigit():
            word = row[4]
            waits = "q" in word or "E" in word
            found[row[0]] = JobState("waiting" if waits else "running", "an error" if "E" in word else "")
    return found


def read_oar(text: str) -> States:
    """Read what `oarstat --state` prints: number and state, with a colon between them."""
    words = {"Waiting": "waiting", "Hold": "waiting", "toLaunch": "waiting", "toAckReservation": "waiting"}
    words |= {"Terminated": "ended", "Error": "ended"}
    found = re.findall(r"^(\d+)\s*:\s*(\w+)", text, re.MULTILINE)
    return {number: JobState(words.get(word, "running")) for number, word in found}  # type: ignore[arg-type]


def read_htcondor(text: str) -> States:
    """Read what `condor_q` prints: number and state, which is a number, too."""
    words = {"1": "waiting", "5": "waiting", "7": "waiting", "3": "ended", "4": "ended"}
    return {
        number: JobState(words.get(word, "running"), "it is held" if word == "5" else "")  # type: ignore[arg-type]
        for number, word in _rows(text, 2)
    }


def _rows(text: str, count: int, separator: str | None = None) -> list[Sequence[str]]:
    rows = [line.strip().split(separator, count - 1) for line in text.splitlines()]
    return [[cell.strip() for cell in row] for row in rows if len(row) == count]
