"""What of a forced run is still to be forced when the run is retried, or run again from where it failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.partitions import asset_key, partition_key

__all__ = ["find_forced"]

_PARENT = "dagster/parent_run_id"
_RESUMED = ("dagster/is_resume_retry", "dagster/is_asset_resume_retry", "dagster/retry_number")
"""Tags of a run that goes on with another. One that repeats another from its start has none of them."""


def find_forced(
    workspace: Workspace, instance: dg.DagsterInstance, run_id: str, targets: Iterable[Target]
) -> frozenset[Target]:
    """Return which targets of a forced run have to be built even if they are up to date.

    A run that goes on with another has the settings of that one. What that one has built is not built once more.

    Args:
        workspace: The workspace.
        instance: Dagster's instance.
        run_id: The run.
        targets: The targets that were to be forced.
    """
    chosen = frozenset(targets)
    done = {
        (entry.asset_materialization.asset_key, entry.asset_materialization.partition)
        for resumed in (_find_resumed(instance, run_id) if chosen else ())
        for entry in instance.all_logs(resumed, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        if entry.asset_materialization is not None
    }
    return frozenset(t for t in chosen if (asset_key(t.key), partition_key(workspace, t)) not in done)


def _find_resumed(instance: dg.DagsterInstance, run_id: str) -> Iterator[str]:
    """Yield the runs with which a run goes on, the newest first."""
    run = instance.get_run_by_id(run_id)
    while run is not None and _is_resumed(run.tags):
        yield run.tags[_PARENT]
        run = instance.get_run_by_id(run.tags[_PARENT])


def _is_resumed(tags: Mapping[str, str]) -> bool:
    return _PARENT in tags and any(tag in tags for tag in _RESUMED)
