"""`interim/<dataset>`: one symlink a class for each split and group."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.stage_asset import make_stage_asset

__all__ = ["make_interim_assets"]


def make_interim_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Make one asset for each dataset."""
    return [
        make_stage_asset(
            workspace,
            key,
            kinds={"symlink"},
            description=f"Class groups of {key[1]} as links to its raw class folders: "
            f"`data/interim/{key[1]}/<split>_<group>/<class>`, with `folder.link` saying what is linked.",
        )
        for key in workspace.stages["interim"].keys()
    ]
