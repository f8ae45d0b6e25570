"""Telling Dagster with which settings a target is about to be made."""

from __future__ import annotations

import dagster as dg

from dynvision.system.files import digest_json
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.partitions import asset_key

__all__ = ["config_key", "config_version", "observe_config", "observed_keys"]


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
    """Report to Dagster the version of the configuration with which a target is about to be made.

    Args:
        workspace: The workspace.
        instance: Dagster's instance.
        target: The target.
    """
    if workspace.stage(target).observes_config:
        version = config_version(workspace, target.key[1], str(target.partition))
        instance.report_runless_asset_event(
            dg.AssetObservation(
                config_key(target.key[1]),
                partition=str(target.partition),
                tags={"dagster/data_version": version},
            )
        )
