"""Which process executes a run, and ending the runs that a power cut or a kill left unfinished."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["fail_dead_runs", "process_tags", "tag_run"]

HOST_TAG, PID_TAG, START_TAG, RUN_TAG = "dynvision/host", "dynvision/pid", "dynvision/pid_start", "dynvision/run"
"""Tags of a run: its machine, the id and start time of its process, and its own id."""


def process_tags() -> dict[str, str]:
    """Return the tags that name this process."""
    return {HOST_TAG: socket.gethostname(), PID_TAG: str(os.getpid()), START_TAG: _start_time(os.getpid())}


def tag_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tag a run as executed by this process.

    A retry of a run inherits its parent's tags. The run's own id among the tags shows that they are not inherited.

    Args:
        instance: Dagster's instance.
        run_id: The run.
    """
    instance.add_run_tags(run_id, {**process_tags(), RUN_TAG: run_id})


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark unfinished runs of this machine as failed if their process has ended.

    Otherwise they would occupy the queue for ever. Their slots in concurrency pools are freed, too. Their locks on
    outputs need no care: the operating system released them when the process ended.

    Args:
        instance: Dagster's instance.

    Returns:
        The ids of the runs that were marked.
    """
    import dagster as dg

    states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    running = instance.get_runs(dg.RunsFilter(statuses=states, tags={HOST_TAG: socket.gethostname()}))
    own = [run for run in running if run.parent_run_id is None or run.tags.get(RUN_TAG) == run.run_id]
    dead = [run for run in own if run.tags.get(PID_TAG, "").isdigit() and not _is_alive(run.tags)]
    for run in dead:
        message = f"The process of this run ({run.tags[PID_TAG]}) is gone: it was killed, or the machine stopped. "
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message + "The run was being stopped anyway.")
        else:
            instance.report_run_failed(run, message + "Nothing is half done: make it again.")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def _is_alive(tags: Mapping[str, str]) -> bool:
    """Return whether the process that a run's tags name is still running on this machine."""
    pid = int(tags[PID_TAG])
    started = _start_time(pid)
    if started and tags.get(START_TAG, started) != started:
        return False  # The same id was given to another process.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # It exists, and belongs to another user.
    return True


def _start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks since the machine started; empty if that is not known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
