"""`config/<dataset>`: the configuration of a dataset, as an asset that Dagster observes and never makes.

An observation gives each partition a digest of the settings that the interim and processed stages depend on. So if a
group, resolution or split changes, Dagster's lineage shows a new version of exactly the partitions that it affects.

`config/models/<model>` and `config/experiments/<experiment>` show the settings of a model and an experiment. They have
no versions: `up_to_date` says what a change of them makes stale, target by target.
"""

from __future__ import annotations

import warnings
from typing import Any

import dagster as dg

from dynvision.system.escaping import escape_markdown
from dynvision.workspace import Workspace
from dynvision_assets.assets.config_text import EXPERIMENTS, MODELS, ConfigTexts, show_settings
from dynvision_assets.partitions import asset_key, stage_partitions
from dynvision_assets.resources import ComputeResource
from dynvision_assets.runs.observing import config_key, config_version, observed_keys

__all__ = ["config_dep", "make_config_assets"]


def make_config_assets(workspace: Workspace) -> list[dg.SourceAsset | dg.AssetSpec]:
    """Make one observable asset for each dataset, and one to look at for each model and each experiment."""
    texts, config = ConfigTexts(workspace), workspace.config
    datasets = [_make_asset(workspace, dataset, texts.of_dataset(dataset)) for dataset in config.datasets]
    models = [_make_spec("models", MODELS, name, texts.of_model(name)) for name in config.models]
    experiments = [
        _make_spec("experiments", EXPERIMENTS, name, texts.of_experiment(name)) for name in config.experiments
    ]
    return [*datasets, *models, *experiments]


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


def _make_spec(section: str, file: str, name: str, settings: dict[str, Any]) -> dg.AssetSpec:
    """Make the asset that shows the settings of a model or an experiment."""
    about = f"The settings of {name} in {file}, as they were when the definitions were loaded."
    return dg.AssetSpec(
        asset_key(("config", section, name)),
        description=f"{escape_markdown(about)}\n\n{show_settings(settings)}",
        group_name="config",
        kinds={"yaml"},
    )


def _make_asset(workspace: Workspace, dataset: str, settings: dict[str, Any]) -> dg.SourceAsset:
    """Make the observable asset of a dataset."""

    def observe(compute: ComputeResource) -> dg.DataVersionsByPartition:
        # Here the files themselves are looked at. The digests tell what a run that begins now would read.
        current = Workspace.open(compute.project.root, compute.project.config["folder"])
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
            description=f"The settings of config_data.yaml that {escape_markdown(dataset)} depends on; observed, never "
            f"made.\n\n{show_settings(settings)}",
        )(observe)
