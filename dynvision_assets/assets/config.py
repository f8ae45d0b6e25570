"""`config/<dataset>`: the configuration of a dataset, as an asset that Dagster observes and never makes.

An observation gives each partition a digest of the settings that the interim and processed stages depend on. So if a
group, resolution or split changes, Dagster's lineage shows a new version of exactly the partitions that it affects.
"""

from __future__ import annotations

import warnings

import dagster as dg

from dynvision.system.files import digest_json
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.partitions import asset_key, stage_partitions
from dynvision_assets.resources import ComputeResource

__all__ = ["config_dep", "config_version", "make_config_assets", "observe_config"]


def make_config_assets(workspace: Workspace) -> list[dg.SourceAsset]:
    """Make one observable asset for each dataset."""
    return [_make_asset(workspace, dataset) for dataset in workspace.config.datasets]


def config_dep(workspace: Workspace, key: tuple[str, ...]) -> list[dg.AssetDep]:
    """Return the dependency of an asset on the configuration of its dataset.

    Args:
        workspace: The workspace.
        key: The asset.

    Returns:
        One dependency, or none if the stage does not show its configuration in Dagster.
    """
    stage = workspace.stages[key[0]]
    if not stage.observes_config:
        return []
    names = [str(name) for name in stage.partitions(key)]
    mapping = dg.StaticPartitionMapping({name: [name] for name in names})
    return [dg.AssetDep(asset_key(("config", key[1])), partition_mapping=mapping)]


def config_version(workspace: Workspace, dataset: str, partition: str) -> str:
    """Return the digest of the settings that the stages of a partition depend on."""
    targets = [Target(key, partition) for key in _observed_keys(workspace, dataset)]
    return digest_json([workspace.stage(target).settings(target) for target in targets])


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
                asset_key(("config", target.key[1])),
                partition=str(target.partition),
                tags={"dagster/data_version": version},
            )
        )


def _observed_keys(workspace: Workspace, dataset: str) -> list[tuple[str, ...]]:
    """Return the keys of a dataset whose settings are observed. All of them have the same partitions."""
    return [key for key in workspace.keys if key[1:] == (dataset,) and workspace.stages[key[0]].observes_config]


def _make_asset(workspace: Workspace, dataset: str) -> dg.SourceAsset:
    """Make the observable asset of a dataset."""

    def observe(compute: dg.ResourceParam[ComputeResource]) -> dg.DataVersionsByPartition:
        # Here the files themselves are looked at. The digests tell what a run that begins now would read.
        current = Workspace.open(compute.root, compute.config["folder"])
        names = [str(target.partition) for target in current.targets(_observed_keys(current, dataset)[0])]
        versions = {name: dg.DataVersion(config_version(current, dataset, name)) for name in names}
        return dg.DataVersionsByPartition(versions)

    with warnings.catch_warnings():
        # The function is in beta, but there is no other way to observe partitions. Our tests would notice a change.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.observable_source_asset(
            key=asset_key(("config", dataset)),
            partitions_def=stage_partitions(workspace, _observed_keys(workspace, dataset)[0]),
            group_name="config",
            description=f"The settings of config_data.yaml that {dataset} depends on; observed, never made.",
        )(observe)
