"""`summary/<experiment>/<subject>`: tables and pictures over all conditions; `summary/<experiment>`: all subjects."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.stage_asset import make_stage_asset

__all__ = ["make_summary_assets"]


def make_summary_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Make one asset for each pair of an experiment and a subject, and one for each experiment."""
    return [
        make_stage_asset(workspace, key, kinds={"matplotlib", "parquet"}, description=_describe(key))
        for key in workspace.stages["summary"].keys()
    ]


def _describe(key: tuple[str, ...]) -> str:
    if len(key) == 2:
        return (
            f"The subjects of the experiment {key[1]} side by side: accuracy, what is read from time courses and what "
            "was fitted, one row a subject and condition, and as a picture."
        )
    return (
        f"The experiment {key[1]} on {key[2]}: accuracy, confidence and each layer's response over time as a tidy "
        "table (`condition, time, layer, measure, value`), the tuning and what was fitted to it, and all as pictures."
    )
