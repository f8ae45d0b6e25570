"""`raw/<dataset>`: images in class folders, one partition a split."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.stage_asset import make_stage_asset
from dynvision_assets.run_config import RawConfig

__all__ = ["make_raw_assets"]


def make_raw_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Make one asset for each dataset."""
    return [
        make_stage_asset(
            workspace,
            key,
            kinds={"png"},
            config_type=RawConfig,
            description=f"Images of {key[1]} as 8-bit files in one folder a class: "
            f"`data/raw/{key[1]}/<split>/<class>/<n>.png`. A folder's name is "
            "the class index in the dataset's own order.",
        )
        for key in workspace.stages["raw"].keys()
    ]
