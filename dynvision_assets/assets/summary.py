"""`summary/<experiment>/<subject>`: tables and pictures over all conditions."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.stage_asset import make_stage_asset

__all__ = ["make_summary_assets"]


def make_summary_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Make one asset for each pair of an experiment and a subject."""
    return [
        make_stage_asset(
            workspace,
            key,
            kinds={"matplotlib", "parquet"},
            description=f"The experiment {key[1]} on {key[2]}: accuracy and each layer's response over time as a tidy "
            "table (`condition, time, layer, measure, value`), the tuning curve, and both as pictures.",
        )
        for key in workspace.stages["summary"].keys()
    ]
