"""What is up to date although Dagster does not know it: made elsewhere, or before its database was deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter

import dagster as dg

from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace import Status, Workspace
from dynvision_assets.partitions import asset_key, partition_key, stage_partitions
from dynvision_assets.runs.events import VERSION, is_known

__all__ = ["find_unknown"]

_FAILED, _IN_PROGRESS = "FAILED", "IN_PROGRESS"


def find_unknown(
    workspace: Workspace, instance: dg.DagsterInstance, wanted: Iterable[Target]
) -> list[tuple[Target, Record]]:
    """Find what of targets, and of everything they are made from, is up to date without Dagster showing it so.

    Dagster has no event of its version, or shows that the last attempt failed. What another run is making is left to
    that run.

    Args:
        workspace: The workspace.
        instance: Dagster's instance.
        wanted: The targets.

    Returns:
        The targets with their records, each after everything that it is made from.
    """
    ordered = _find_closure(workspace, wanted)
    by_key: dict[tuple[str, ...], list[Target]] = {}
    for target in ordered:
        by_key.setdefault(target.key, []).append(target)
    records = {target: record for target in ordered if (record := workspace.read_record(target)) is not None}
    unknown = {
        target for targets in by_key.values() for target in _find_in_asset(workspace, instance, targets, records)
    }
    states: dict[Target, Status] = {}
    return [
        (target, records[target])
        for target in ordered
        if target in unknown and workspace.status(target, states).state == "fresh"
    ]


def _find_closure(workspace: Workspace, wanted: Iterable[Target]) -> list[Target]:
    """Return targets and everything that they are made from, inputs first."""
    graph: dict[Target, list[Target]] = {}
    pending = list(wanted)
    for target in pending:  # it grows meanwhile
        if target not in graph:
            graph[target] = workspace.upstream(target)
            pending += graph[target]
    return list(TopologicalSorter(graph).static_order())


def _find_in_asset(
    workspace: Workspace, instance: dg.DagsterInstance, targets: Sequence[Target], records: dict[Target, Record]
) -> list[Target]:
    """Return the targets of one asset that have a record of which Dagster does not know, or that it calls failed."""
    key = targets[0].key
    partitions = stage_partitions(workspace, key)
    if partitions is None:
        (target,) = targets
        state = _state_of_asset(instance, asset_key(key))
        is_unknown = target in records and (
            state == _FAILED or not is_known(workspace, instance, target, records[target])
        )
        return [target] if is_unknown and state != _IN_PROGRESS else []
    names = {target: str(partition_key(workspace, target)) for target in targets if target in records}
    # Two queries for the whole asset: an experiment may have thousands of conditions.
    states = instance.get_status_by_partition(asset_key(key), list(names.values()), partitions) or {}
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        asset_key(key), dg.DagsterEventType.ASSET_MATERIALIZATION, [VERSION]
    )
    unknown = []
    for target, name in names.items():
        status = states.get(name)
        state = "" if status is None else status.value
        is_unknown = state == _FAILED or tags.get(name, {}).get(VERSION) != records[target].data_version
        if is_unknown and state != _IN_PROGRESS:
            unknown.append(target)
    return unknown


def _state_of_asset(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    """Say whether the last attempt to make an asset without partitions failed, or is in progress."""
    planned = instance.event_log_storage.get_latest_planned_materialization_info(key)
    run = None if planned is None else instance.get_run_by_id(planned.run_id)
    if planned is None or run is None:
        return ""
    newest = instance.fetch_materializations(key, limit=1).records
    if newest and newest[0].storage_id > planned.storage_id:
        return ""
    if not run.is_finished:
        return _IN_PROGRESS
    return _FAILED if run.status == dg.DagsterRunStatus.FAILURE else ""
