"""The cluster's job that a process runs in, and whether a job has ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Job"]

_TIMEOUT = 5.0
"""Seconds that a batch system may take for an answer."""

_KEPT = 60.0
"""Seconds for which an answer is kept."""

_LONGEST = 100
"""The longest text of a note that is taken for an id, in characters."""

_SYSTEMS = {"slurm": "Slurm", "pbs": "PBS", "lsf": "LSF", "sge": "Grid Engine"}

_ID_VARIABLES = {"slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "lsf": "LSB_JOBID", "sge": "JOB_ID"}

_TASK_VARIABLES = {
    "slurm": "SLURM_ARRAY_TASK_ID",
    "pbs": "PBS_ARRAY_INDEX",
    "lsf": "LSB_JOBINDEX",
    "sge": "SGE_TASK_ID",
}

_QUESTIONS: Mapping[str, Sequence[str]] = {
    "slurm": ("squeue", "--noheader", "--format=%T", "--jobs={id}"),
    "pbs": ("qstat", "{id}"),
    "lsf": ("bjobs", "-noheader", "-o", "stat", "{id}"),
    "sge": ("qstat", "-j", "{id}"),
}
"""The command that tells the state of a job."""

_UNKNOWN = {
    "slurm": ("invalid job id",),
    "pbs": ("unknown job id", "has finished"),
    "lsf": ("is not found",),
    "sge": ("do not exist",),
}
"""What a batch system says of a job that has ended, in lower case."""

_ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
        *("REVOKED", "TIMEOUT", "DONE", "EXIT"),
    }
)
"""The states of Slurm and LSF in which no process of a job runs any more."""

_answers: dict[Job, tuple[float, bool]] = {}
_answers_lock = threading.Lock()


@dataclass(frozen=True)
class Job:
    """A job of a batch system.

    Attributes:
        system: `slurm`, `pbs`, `lsf` or `sge`.
        id: Its id, as the commands of the batch system take it.
        task: Its index if it belongs to an array of jobs, otherwise empty.
        cluster: The name of the cluster; empty if that is not known.
    """

    system: str
    id: str
    task: str = ""
    cluster: str = ""

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> Job | None:
        """Return the job that this process runs in; `None` if it runs in none.

        Args:
            environment: By default that of this process.
        """
        given = os.environ if environment is None else environment
        for system, variable in _ID_VARIABLES.items():
            if system == "sge" and "SGE_TASK_ID" not in given:
                continue  # JOB_ID alone may be anybody's variable.
            if identity := given.get(variable, ""):
                task = given.get(_TASK_VARIABLES[system], "")
                is_alone = task in ("", "undefined") or (system == "lsf" and task == "0")
                return cls(system, identity, "" if is_alone else task, given.get("SLURM_CLUSTER_NAME", ""))
        return None

    @classmethod
    def from_dict(cls, content: Any) -> Job | None:
        """Read what `to_dict` returned; `None` if it is anything else."""
        if not isinstance(content, Mapping) or content.get("system") not in _SYSTEMS:
            return None
        texts = [content.get(name, "") for name in ("system", "id", "task", "cluster")]
        if not all(isinstance(text, str) and len(text) <= _LONGEST and text.isprintable() for text in texts):
            return None
        # It becomes an argument of a command.
        return cls(*texts) if texts[1][:1].isalnum() else None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)

    def has_ended(self) -> bool:
        """Ask the batch system whether the job has ended; false if it does not say so clearly, or within seconds.

        An answer is kept for a minute.
        """
        with _answers_lock:
            asked_at, answer = _answers.get(self, (0.0, False))
            if self not in _answers or time.monotonic() - asked_at > _KEPT:
                answer = self._ask()
                _answers[self] = (time.monotonic(), answer)
            return answer

    def _ask(self) -> bool:
        here = Job.here()
        if here is not None and here.cluster and self.cluster and here.cluster != self.cluster:
            return False  # The same id is another job's there.
        question = [word.format(id=self.id) for word in _QUESTIONS[self.system]]
        if shutil.which(question[0]) is None:
            return False
        try:
            done = subprocess.run(
                question, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return False
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if any(text in said.lower() for text in _UNKNOWN[self.system]):
            return True
        if done.returncode != 0:
            return False
        states = done.stdout.decode("utf-8", "replace").split()
        if self.system == "slurm":  # It lists only jobs that wait or run, unless it is asked for more.
            return all(state in _ENDED for state in states)
        return self.system == "lsf" and bool(states) and all(state in _ENDED for state in states)

    def __str__(self) -> str:
        task = f"[{self.task}]" if self.task else ""
        return f"{_SYSTEMS[self.system]} job {self.id}{task}"
