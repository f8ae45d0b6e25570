"""`models/<model>/<dataset>`: trained networks, one partition for each class group and seed."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.stage_asset import make_stage_asset
from dynvision_assets.run_config import ModelsConfig

__all__ = ["make_models_assets"]


def make_models_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Make one asset for each pair of a model and a dataset."""
    size = workspace.config.data.data_resolution
    return [
        make_stage_asset(
            workspace,
            key,
            kinds={"pytorch"},
            config_type=ModelsConfig,
            description=f"The network `{workspace.config.models[key[1]].class_path}` trained on {key[2]}: "
            "`init.safetensors` and `trained.safetensors`, float32, with the configuration in their headers. Takes a "
            f"frame `[batch, channels, {size[key[2]]}, {size[key[2]]}]` a step and gives scores `[batch, classes]`.",
        )
        for key in workspace.stages["models"].keys()
    ]
