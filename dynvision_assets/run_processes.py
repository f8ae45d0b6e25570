"""Which process a run is in, and runs whose process is gone: a power cut or a kill leaves them unfinished."""

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


def process_tags() -> dict[str, str]:
    """Tags that say which process a run is in."""
    return {HOST_TAG: socket.gethostname(), PID_TAG: str(os.getpid()), START_TAG: _start_time(os.getpid())}


def tag_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Say of a run that it is in this process.

    A run that was started again inherits its parent's tags; the run's own id among them says that they are its own.
    """
    instance.add_run_tags(run_id, {**process_tags(), RUN_TAG: run_id})


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this machine whose process is gone as failed; they would hold a place in the queue for ever.

    Their places in concurrency pools are freed; the locks on their outputs went with their process.

    Returns:
        The runs that were marked.
    """
    import dagster as dg

    states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    running = instance.get_runs(dg.RunsFilter(statuses=states, tags={HOST_TAG: socket.gethostname()}))
    own = [run for run in running if run.parent_run_id is None or run.tags.get(RUN_TAG) == run.run_id]
    dead = [run for run in own if run.tags.get(PID_TAG, "").isdigit() and not _is_alive(run.tags)]
    for run in dead:
        message = f"The process of this run ({run.tags[PID_TAG]}) is gone: it was killed, or the machine stopped. "
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message + "It was being stopped anyway.")
        else:
            instance.report_run_failed(run, message + "Nothing is half done; make it again.")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def _is_alive(tags: Mapping[str, str]) -> bool:
    pid = int(tags[PID_TAG])
    started = _start_time(pid)
    if started and tags.get(START_TAG, started) != started:
        return False  # The number belongs to another process by now.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks since the machine started; empty where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
