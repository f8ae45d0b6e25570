"""The definitions that Dagster loads: wiring only."""

# ruff: noqa: E402  # Dagster is imported while the collector waits
from __future__ import annotations

import gc

from dynvision.system.machine import collect_garbage_seldom

_THRESHOLDS = collect_garbage_seldom()

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.config import make_config_assets
from dynvision_assets.assets.table import make_assets
from dynvision_assets.automation import make_sensors
from dynvision_assets.io_managers import StageIOManager
from dynvision_assets.resources import ComputeResource

__all__ = ["defs", "make_definitions"]


def make_definitions(workspace: Workspace) -> dg.Definitions:
    """Make the definitions of everything that a workspace's configuration names."""
    root = str(workspace.paths.root)
    return dg.Definitions(
        assets=[*make_config_assets(workspace), *make_assets(workspace)],
        resources={
            "compute": ComputeResource(root=root, config_folder=str(workspace.config.folder)),
            "io_manager": StageIOManager(root=root),
            # Values between the steps of one run, which is one process.
            "step_io_manager": dg.mem_io_manager,
        },
        sensors=make_sensors(workspace),
        executor=dg.in_process_executor,
    )


defs = make_definitions(Workspace.open())
gc.set_threshold(*_THRESHOLDS)
