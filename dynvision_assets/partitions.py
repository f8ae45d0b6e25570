"""Partitions of the assets, their mappings, and the translation between partition keys and targets.

All mappings are Dagster's own classes. The webserver and the daemon do not load a mapping class of ours, and would
silently skip everything downstream of it.
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
    """Return Dagster's asset key for a target's key; both have the same parts."""
    return dg.AssetKey(list(key))


@cache
def make_partitions(levels: tuple[tuple[str, tuple[str, ...]], ...]) -> dg.PartitionsDefinition[str]:
    """Make the partitions over one or two dimensions.

    Assets with the same dimensions, such as the subjects of one experiment, share one definition, so that one backfill
    can cover all of them.

    Args:
        levels: The name and the levels of each dimension.
    """
    dimensions = {name: dg.StaticPartitionsDefinition(list(values)) for name, values in levels}
    if len(dimensions) == 1:
        return next(iter(dimensions.values()))
    return dg.MultiPartitionsDefinition(dimensions)


def stage_partitions(workspace: Workspace, key: tuple[str, ...]) -> dg.PartitionsDefinition[str] | None:
    """Return the partitions of an asset; `None` if it has none."""
    dimensions = workspace.stages[key[0]].dimensions(key)
    return make_partitions(tuple((name, tuple(values)) for name, values in dimensions.items())) if dimensions else None


def target_of(workspace: Workspace, key: Iterable[str], partition: str | None) -> Target:
    """Return the target of an asset and one of its partitions.

    Args:
        workspace: The workspace.
        key: The parts of the asset's key.
        partition: Dagster's partition key; `None` if the asset has no partitions.
    """
    parts = tuple(key)
    if partition is None:
        return Target(parts, None)
    stage = workspace.stages[parts[0]]
    # Dagster orders the dimensions of a key by their names.
    levels = dict(zip(sorted(stage.dimensions(parts)), partition.split("|"), strict=True))
    return Target(parts, stage.partition_at(parts, levels))


def partition_key(workspace: Workspace, target: Target) -> str | None:
    """Return Dagster's partition key for a target; `None` if its asset has no partitions."""
    levels = workspace.stage(target).levels(target)
    return "|".join(levels[name] for name in sorted(levels)) if levels else None


def deps_of(workspace: Workspace, key: tuple[str, ...]) -> list[dg.AssetDep]:
    """Return the assets that an asset is made from, each with an explicit partition mapping."""
    edges: dict[tuple[str, ...], dict[str | None, list[str | None]]] = {}
    for target in workspace.targets(key):
        for upstream in workspace.upstream(target):
            pairs = edges.setdefault(upstream.key, defaultdict(list))
            pairs[upstream.partition].append(partition_key(workspace, target))
    return [
        dg.AssetDep(asset_key(up), partition_mapping=_mapping(workspace, key, up, pairs)) for up, pairs in edges.items()
    ]


def _mapping(
    workspace: Workspace,
    key: tuple[str, ...],
    upstream: tuple[str, ...],
    pairs: dict[str | None, list[str | None]],
) -> dg.PartitionMapping:
    """Choose the mapping between an asset and one that it is made from.

    Args:
        workspace: The workspace.
        key: The asset.
        upstream: The asset that it is made from.
        pairs: For each partition upstream, the partition keys that are made from it.
    """
    stage = workspace.stages[key[0]]
    if not stage.is_partitioned:
        return dg.AllPartitionMapping()  # All partitions upstream are inputs, if there are any.
    if stage.shares_inputs:
        return dg.SpecificPartitionsPartitionMapping([str(name) for name in pairs])
    if all(down == [up] for up, down in pairs.items()) and stage_partitions(workspace, key) == stage_partitions(
        workspace, upstream
    ):
        # A backfill then builds both partitions in one run, and waits for one turn of the daemon instead of two.
        return dg.IdentityPartitionMapping()
    return dg.StaticPartitionMapping({str(up): [str(name) for name in down] for up, down in pairs.items()})
