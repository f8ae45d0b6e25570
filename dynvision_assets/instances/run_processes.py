"""Which process executes a run, and ending the runs that a power cut or a kill left unfinished."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dynvision.system.owners import Owner

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["fail_dead_runs", "find_owner", "find_unseen_runs", "process_tags", "tag_run"]

_HIDDEN, _FORMER = ".dagster/dynvision_", "dynvision/"
"""How the tags of a run begin that are for programs: Dagster shows those with a dot to nobody. They were shown once."""

_NAMES = {"host": "host", "boot_id": "boot_id", "pid_namespace": "pid_namespace", "pid": "pid", "start": "pid_start"}
HOST_TAG, BOOT_TAG, NAMESPACE_TAG, PID_TAG, START_TAG = (f"{_HIDDEN}{name}" for name in _NAMES.values())
RUN_TAG = f"{_HIDDEN}run"
"""Tags of a run: what its process is known by (see `Owner`), and its own id."""


def process_tags() -> dict[str, str]:
    """Return the tags that name this process."""
    return {f"{_HIDDEN}{_NAMES[name]}": str(value) for name, value in Owner.here().to_dict().items()}


def find_owner(tags: Mapping[str, str]) -> Owner | None:
    """Return the process that a run's tags name; `None` if they do not name one whole.

    An earlier version tagged neither the start of the machine nor the container: they are taken to be those of here.
    """
    here = Owner.here().to_dict()
    found = {name: _find(tags, f"{_HIDDEN}{tag}") for name, tag in _NAMES.items()}
    known = {name: value for name, value in found.items() if value is not None}
    if not known.keys() & {"boot_id", "pid_namespace"}:
        known = {"boot_id": here["boot_id"], "pid_namespace": here["pid_namespace"], "start": "", **known}
    return Owner.from_dict(known)


def _find(tags: Mapping[str, str], tag: str) -> str | None:
    """Return the value of a hidden tag, or of the one that an earlier version had in its place."""
    return tags.get(tag, tags.get(tag.replace(_HIDDEN, _FORMER)))


def tag_run(instance: dg.DagsterInstance, run_id: str, others: Mapping[str, str] | None = None) -> None:
    """Tag a run as executed by this process.

    A retry of a run inherits its parent's tags. The run's own id among the tags shows that they are not inherited.

    Args:
        instance: Dagster's instance.
        run_id: The run.
        others: Further tags.
    """
    instance.add_run_tags(run_id, {**process_tags(), RUN_TAG: run_id, **(others or {})})


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark unfinished runs as failed if their process has certainly ended.

    Otherwise they would occupy the queue for ever. A run whose process cannot be seen from here, on another machine or
    in another container, is left alone. Their slots in concurrency pools are freed, too. Their locks on
    outputs need no care: the operating system released them when the process ended.

    Args:
        instance: Dagster's instance.

    Returns:
        The ids of the runs that were marked.
    """
    import dagster as dg

    here = Owner.here().host
    dead = [run for run, owner in _find_unfinished(instance) if owner.host == here and owner.liveness() == "dead"]
    for run in dead:
        message = (
            f"The process of this run ({_find(run.tags, PID_TAG)}) is gone: it was killed, or the machine stopped. "
        )
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message + "The run was being stopped anyway.")
        else:
            instance.report_run_failed(run, message + "Nothing is half done: make it again.")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def find_unseen_runs(instance: dg.DagsterInstance) -> dict[str, Owner]:
    """Find runs that count as running, although nobody here can see whether they do.

    Their processes are on another machine or in another container. They take places of the queue until they are ended.

    Args:
        instance: Dagster's instance.

    Returns:
        The process of each run, by the run's id.
    """
    here = Owner.here().host
    found = [(run, owner, owner.liveness()) for run, owner in _find_unfinished(instance)]
    return {
        run.run_id: owner
        for run, owner, liveness in found
        if liveness == "unknown" or (owner.host != here and liveness == "dead")
    }


def _find_unfinished(instance: dg.DagsterInstance) -> list[tuple[dg.DagsterRun, Owner]]:
    """Return the runs that have begun and not ended, with their processes, if their own tags name one."""
    import dagster as dg

    states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    runs = instance.get_runs(dg.RunsFilter(statuses=states))
    own = [run for run in runs if run.parent_run_id is None or _find(run.tags, RUN_TAG) == run.run_id]
    return [(run, owner) for run in own if (owner := find_owner(run.tags)) is not None]
