"""Telling Dagster with which settings a target is about to be made."""

from __future__ import annotations

import dagster as dg

from dynvision.system.files import digest_json
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.partitions import asset_key

__all__ = ["config_key", "config_version", "find_observation", "observe_config", "observed_keys"]

_RECENT = 5
"""How many observations are looked at for the settings that were used."""


def config_key(dataset: str) -> dg.AssetKey:
    """Return the key of the asset that shows the configuration of a dataset."""
    return asset_key(("config", dataset))


def config_version(workspace: Workspace, dataset: str, partition: str) -> str:
    """Return the digest of the settings that the stages of a partition depend on."""
    targets = [Target(key, partition) for key in observed_keys(workspace, dataset)]
    return digest_json([workspace.stage(target).settings(target) for target in targets])


def observed_keys(workspace: Workspace, dataset: str) -> list[tuple[str, ...]]:
    """Return the keys of a dataset whose settings are observed. All of them have the same partitions."""
    return [key for key in workspace.keys if key[1:] == (dataset,) and workspace.stages[key[0]].observes_config]


def observe_config(workspace: Workspace, instance: dg.DagsterInstance, target: Target) -> None:
    """Report to Dagster the version of the configuration with which a target is about to be made, if it is a new one.

    Args:
        workspace: The workspace.
        instance: Dagster's instance.
        target: The target.
    """
    if workspace.stage(target).observes_config:
        dataset, partition = target.key[1], str(target.partition)
        version = config_version(workspace, dataset, partition)
        if [reported for _, reported in _recent_observations(instance, dataset, partition, limit=1)] != [version]:
            tags = {"dagster/data_version": version}
            instance.report_runless_asset_event(
                dg.AssetObservation(config_key(dataset), partition=partition, tags=tags)
            )


def find_observation(workspace: Workspace, instance: dg.DagsterInstance, target: Target) -> int:
    """Return the number of the newest observation of the settings with which a target was made.

    Others may have been reported since, for example while it was built. If nobody has reported these, they are now.

    Args:
        workspace: The workspace, with the configuration with which the target was made.
        instance: Dagster's instance.
        target: The target, of a stage that observes its settings.
    """
    dataset, partition = target.key[1], str(target.partition)
    version = config_version(workspace, dataset, partition)
    seen = _recent_observations(instance, dataset, partition, _RECENT)
    if version not in [reported for _, reported in seen]:
        observe_config(workspace, instance, target)
        seen = _recent_observations(instance, dataset, partition, _RECENT)
    return next(number for number, reported in seen if reported == version)


def _recent_observations(
    instance: dg.DagsterInstance, dataset: str, partition: str, limit: int
) -> list[tuple[int, str | None]]:
    """Return the newest observations of a partition's settings: their numbers and versions, newest first."""
    chosen = dg.AssetRecordsFilter(config_key(dataset), asset_partitions=[partition])
    records = instance.fetch_observations(chosen, limit=limit).records
    events = [(record.storage_id, record.asset_observation) for record in records]
    return [(number, event.data_version) for number, event in events if event is not None]
