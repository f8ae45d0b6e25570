"""`processed/<dataset>`: `.beton` files for each split and group."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.stage_asset import make_stage_asset

__all__ = ["make_processed_assets"]


def make_processed_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Make one asset for each dataset; none where `use_ffcv` is false."""
    resolution = workspace.config.data.data_resolution
    return [
        make_stage_asset(
            workspace,
            key,
            kinds={"ffcv"},
            description=f"Images of {key[1]} at {resolution[key[1]]} × {resolution[key[1]]} pixels as FFCV files: "
            "`train.beton` and `val.beton` (a seeded split with every class in both) or `test.beton`, each with a "
            "sidecar that traces every sample to its image.",
        )
        for key in workspace.stages["processed"].keys()
    ]
