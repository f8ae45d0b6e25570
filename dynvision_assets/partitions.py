"""Partitions of the assets, their mappings, and the way between partition keys and targets.

All mappings are stock ones between keys of one dimension: the webserver and the daemon do not see a
mapping class of one's own and would silently skip what is downstream of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import dagster as dg

from dynvision.targets import Target
from dynvision.workspace import Workspace

__all__ = ["asset_key", "deps_of", "make_partitions", "partition_key", "stage_partitions", "target_of"]


def asset_key(key: tuple[str, ...]) -> dg.AssetKey:
    """Return the asset key of a target's key; the two are spelled alike."""
    return dg.AssetKey(list(key))


@cache
def make_partitions(levels: tuple[tuple[str, tuple[str, ...]], ...]) -> dg.PartitionsDefinition[str]:
    """Make the partitions over some dimensions.

    Assets with the same dimensions, such as the subjects of one experiment, share one definition: one backfill can then
    span them.
    """
    dimensions = {name: dg.StaticPartitionsDefinition(list(values)) for name, values in levels}
    if len(dimensions) == 1:
        return next(iter(dimensions.values()))
    return dg.MultiPartitionsDefinition(dimensions)


def stage_partitions(workspace: Workspace, key: tuple[str, ...]) -> dg.PartitionsDefinition[str] | None:
    """Make the partitions of an asset; `None` if it has none."""
    dimensions = workspace.stages[key[0]].dimensions(key)
    return make_partitions(tuple((name, tuple(values)) for name, values in dimensions.items())) if dimensions else None


def target_of(workspace: Workspace, key: Iterable[str], partition: str | None) -> Target:
    """Return the target that a partition key of Dagster means."""
    parts = tuple(key)
    if partition is None:
        return Target(parts, None)
    stage = workspace.stages[parts[0]]
    # Dagster orders the dimensions of a key by their names.
    levels = dict(zip(sorted(stage.dimensions(parts)), partition.split("|"), strict=True))
    return Target(parts, stage.partition_at(parts, levels))


def partition_key(workspace: Workspace, target: Target) -> str | None:
    """Return the partition key by which Dagster knows a target; `None` if it has none."""
    levels = workspace.stage(target).levels(target)
    return "|".join(levels[name] for name in sorted(levels)) if levels else None


def deps_of(workspace: Workspace, key: tuple[str, ...]) -> list[dg.AssetDep]:
    """Return the assets that an asset is made from, each with its partition mapping stated."""
    edges: dict[tuple[str, ...], dict[str | None, list[str | None]]] = {}
    for target in workspace.targets(key):
        for upstream in workspace.upstream(target):
            downstream = edges.setdefault(upstream.key, defaultdict(list))
            downstream[upstream.partition].append(partition_key(workspace, target))
    return [
        dg.AssetDep(asset_key(up), partition_mapping=_mapping(workspace, key, up, pairs)) for up, pairs in edges.items()
    ]


def _mapping(
    workspace: Workspace,
    key: tuple[str, ...],
    upstream: tuple[str, ...],
    pairs: dict[str | None, list[str | None]],
) -> dg.PartitionMapping:
    if not workspace.stages[key[0]].is_partitioned:
        return dg.AllPartitionMapping()  # It is made from all partitions of what is upstream, if that has any.
    if workspace.stages[key[0]].shares_inputs:
        return dg.SpecificPartitionsPartitionMapping([str(name) for name in pairs])
    if all(down == [up] for up, down in pairs.items()) and stage_partitions(workspace, key) == stage_partitions(
        workspace, upstream
    ):
        # A backfill then makes a partition of both in one run, and waits for one turn of the daemon instead of two.
        return dg.IdentityPartitionMapping()
    return dg.StaticPartitionMapping({str(up): [str(d) for d in down] for up, down in pairs.items()})
