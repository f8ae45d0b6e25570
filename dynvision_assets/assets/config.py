"""`config/<dataset>`: the configuration of a dataset, as an asset that Dagster observes and never makes.

An observation gives each partition a digest of the settings that the interim and processed stages depend on. So if a
group, resolution or split changes, Dagster's lineage shows a new version of exactly the partitions that it affects.
"""

from __future__ import annotations

import warnings

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.partitions import stage_partitions
from dynvision_assets.resources import ComputeResource
from dynvision_assets.runs.observing import config_key, config_version, observed_keys

__all__ = ["config_dep", "make_config_assets"]


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
    return [dg.AssetDep(config_key(key[1]), partition_mapping=mapping)]


def _make_asset(workspace: Workspace, dataset: str) -> dg.SourceAsset:
    """Make the observable asset of a dataset."""

    def observe(compute: dg.ResourceParam[ComputeResource]) -> dg.DataVersionsByPartition:
        # Here the files themselves are looked at. The digests tell what a run that begins now would read.
        current = Workspace.open(compute.root, compute.config["folder"])
        names = [str(target.partition) for target in current.targets(observed_keys(current, dataset)[0])]
        versions = {name: dg.DataVersion(config_version(current, dataset, name)) for name in names}
        return dg.DataVersionsByPartition(versions)

    with warnings.catch_warnings():
        # The function is in beta, but there is no other way to observe partitions. Our tests would notice a change.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.observable_source_asset(
            key=config_key(dataset),
            partitions_def=stage_partitions(workspace, observed_keys(workspace, dataset)[0]),
            group_name="config",
            description=f"The settings of config_data.yaml that {dataset} depends on; observed, never made.",
        )(observe)
