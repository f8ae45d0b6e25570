"""Partitions of the assets, their mappings, and the way between partition keys and targets.

All mappings are stock ones between keys of one dimension: the webserver and the daemon do not see a
mapping class of one's own and would silently skip what is downstream of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import dagster as dg

from dynvision.config.conditions import condition_text
from dynvision.targets import Target
from dynvision.workspace import Workspace

__all__ = ["asset_key", "deps_of", "experiment_partitions", "partition_key", "stage_partitions", "target_of"]


def asset_key(key: tuple[str, ...]) -> dg.AssetKey:
    """The asset key of a target's key; the two are spelled alike."""
    return dg.AssetKey(list(key))


@cache
def experiment_partitions(levels: tuple[tuple[str, tuple[str, ...]], ...]) -> dg.PartitionsDefinition[str]:
    """Partitions of an experiment: one dimension for each swept parameter, shared by its subjects."""
    dimensions = {name: dg.StaticPartitionsDefinition(list(values)) for name, values in levels}
    if len(dimensions) == 1:
        return next(iter(dimensions.values()))
    return dg.MultiPartitionsDefinition(dimensions)


def stage_partitions(workspace: Workspace, key: tuple[str, ...]) -> dg.PartitionsDefinition[str] | None:
    """The partitions of an asset; `None` where it has none."""
    if key[0] == "responses":
        levels = workspace.config.experiments[key[1]].levels()
        return experiment_partitions(tuple((name, tuple(values)) for name, values in levels.items()))
    names = [name for name in workspace.stages[key[0]].partitions(key) if name is not None]
    return dg.StaticPartitionsDefinition(names) if names else None


def target_of(workspace: Workspace, key: Iterable[str], partition: str | None) -> Target:
    """The target that a partition key of Dagster means."""
    parts = tuple(key)
    if parts[0] != "responses" or partition is None:
        return Target(parts, partition)
    parameters = workspace.config.experiments[parts[1]].parameters
    if len(parameters) == 1:
        return Target(parts, f"{parameters[0]}={partition}")
    # Dagster orders the dimensions of a key by their names.
    levels = dict(zip(sorted(parameters), partition.split("|"), strict=True))
    return Target(parts, condition_text({name: levels[name] for name in parameters}))


def partition_key(workspace: Workspace, target: Target) -> str | None:
    """The partition key by which Dagster knows a target."""
    if target.stage != "responses" or target.partition is None:
        return target.partition
    levels = dict(part.split("=", 1) for part in target.partition.split(","))
    return "|".join(levels[name] for name in sorted(levels))


def deps_of(workspace: Workspace, key: tuple[str, ...]) -> list[dg.AssetDep]:
    """The assets that an asset is made from, each with its partition mapping stated."""
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
    if key[0] == "summary":
        return dg.AllPartitionMapping()  # of conditions; summaries of subjects have no partitions
    if key[0] == "responses":
        return dg.SpecificPartitionsPartitionMapping([str(name) for name in pairs])
    if all(down == [up] for up, down in pairs.items()) and stage_partitions(workspace, key) == stage_partitions(
        workspace, upstream
    ):
        # A backfill then makes a partition of both in one run, and waits for one turn of the daemon instead of two.
        return dg.IdentityPartitionMapping()
    return dg.StaticPartitionMapping({str(up): [str(d) for d in down] for up, down in pairs.items()})
