"""The event by which Dagster knows a finished target: its own version, and the versions that it was made from.

Dagster gives all partitions of a run one version. So each partition gets an event of its own, with the tags that
Dagster would have written; without them the UI calls a partition unsynced.
"""

from __future__ import annotations

import hashlib
import logging

import dagster as dg

from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.metadata import describe_record
from dynvision_assets.partitions import asset_key, partition_key
from dynvision_assets.runs.observing import config_key, config_version, find_observation

__all__ = ["OWN_EVENTS", "VERSION", "is_known", "make_materialization", "show_as_begun"]

OWN_EVENTS = {"__source_asset_observation__": True}
"""Metadata of an asset's output for which Dagster writes no event, because the asset has yielded its own."""

VERSION = "dagster/data_version"
"""The tag of an event with the version of what was made."""

_NO_EVENT = "NULL"
_RECENT = 5
"""How many events of an input are looked at for the version that was used."""


def make_materialization(
    workspace: Workspace, instance: dg.DagsterInstance, target: Target, record: Record
) -> dg.AssetMaterialization:
    """Make the event of a finished target.

    Args:
        workspace: The workspace.
        instance: Dagster's instance, which knows the events of the inputs.
        target: The target.
        record: Its record.
    """
    levels = workspace.stage(target).levels(target)
    dimensions = {f"dagster/partition/{name}": level for name, level in levels.items()} if len(levels) > 1 else {}
    return dg.AssetMaterialization(
        asset_key(target.key),
        partition=partition_key(workspace, target),
        metadata=describe_record(workspace, target, record),
        tags={
            VERSION: record.data_version,
            "dagster/data_version_is_user_provided": "true",
            "dagster/code_version": record.code_version,
            **_input_tags(workspace, instance, target, record),
            **dimensions,
        },
    )


def show_as_begun(workspace: Workspace, context: dg.OpExecutionContext, target: Target) -> None:
    """Let the page of an asset show that a target is being made, until its event comes or the run ends.

    What a run of assets makes is planned when it starts; what the job `make` makes is known to us alone, so we report
    the plan of each target when its turn comes. Automation then starts no second run of it, nor of what is made from
    it. If the run fails, Dagster calls each planned partition failed that the run has not made.

    Args:
        workspace: The workspace.
        context: The step of the run.
        target: The target.
    """
    from dagster._core.events import AssetMaterializationPlannedData

    planned = AssetMaterializationPlannedData(asset_key(target.key), partition_key(workspace, target))
    event = dg.DagsterEvent.build_asset_materialization_planned_event(context.job_name, context.op_handle.name, planned)
    context.instance.report_dagster_event(event, context.run_id, logging.DEBUG)


def is_known(workspace: Workspace, instance: dg.DagsterInstance, target: Target, record: Record) -> bool:
    """Whether the newest event of a target has the version of its record."""
    key, partition = asset_key(target.key), partition_key(workspace, target)
    newest = _recent_events(instance, key, partition, limit=1)
    return bool(newest) and newest[0][1] == record.data_version


def _input_tags(workspace: Workspace, instance: dg.DagsterInstance, target: Target, record: Record) -> dict[str, str]:
    """Return the tags for the versions of everything directly upstream, and for the events that reported them."""
    inputs: dict[dg.AssetKey, list[tuple[str | None, str]]] = {}
    for upstream in workspace.upstream(target):
        pair = (partition_key(workspace, upstream), record.inputs.get(str(upstream), ""))
        inputs.setdefault(asset_key(upstream.key), []).append(pair)
    tags: dict[str, str] = {}
    for key, pairs in inputs.items():
        tags |= _tags_of(
            key, _join([v for _, v in sorted(pairs, key=lambda p: str(p[0]))]), _pointer(instance, key, pairs)
        )
    if workspace.stage(target).observes_config:
        dataset, partition = target.key[1], str(target.partition)
        version = config_version(workspace, dataset, partition)
        tags |= _tags_of(config_key(dataset), version, str(find_observation(workspace, instance, target)))
    return tags


def _tags_of(key: dg.AssetKey, version: str, pointer: str) -> dict[str, str]:
    name = key.to_user_string()
    return {f"dagster/input_data_version/{name}": version, f"dagster/input_event_pointer/{name}": pointer}


def _join(versions: list[str]) -> str:
    """Return the version of an input: that of its only partition, or a digest of all, as Dagster has it."""
    return versions[0] if len(versions) == 1 else hashlib.sha256("".join(versions).encode()).hexdigest()


def _pointer(instance: dg.DagsterInstance, key: dg.AssetKey, pairs: list[tuple[str | None, str]]) -> str:
    """Return the event from which on an input counts as changed.

    It is the one that reported the version that was used. If there are many inputs, or nobody reported it, it is the
    newest of the asset.
    """
    if len(pairs) == 1:
        partition, version = pairs[0]
        for storage_id, reported in _recent_events(instance, key, partition, _RECENT):
            if reported == version:
                return str(storage_id)
    newest = _recent_events(instance, key, None, limit=1)
    return str(newest[0][0]) if newest else _NO_EVENT


def _recent_events(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None, limit: int
) -> list[tuple[int, str | None]]:
    """Return the newest materializations of an asset or a partition: their numbers and versions, newest first."""
    chosen = dg.AssetRecordsFilter(key, asset_partitions=None if partition is None else [partition])
    records = instance.fetch_materializations(chosen, limit=limit).records
    events = [(record.storage_id, record.asset_materialization) for record in records]
    return [(number, (event.tags or {}).get(VERSION)) for number, event in events if event is not None]
