"""The wiring of Dagster's definitions: assets, resources and sensors over one workspace."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.config import make_config_assets
from dynvision_assets.assets.table import make_assets
from dynvision_assets.automation import make_sensors
from dynvision_assets.io_managers import StageIOManager
from dynvision_assets.resources import ComputeResource

__all__ = ["make_definitions"]


def make_definitions(workspace: Workspace) -> dg.Definitions:
    """Make the definitions for everything that a workspace's configuration names.

    Runs of these definitions use the configuration as the workspace has read it. The sensors read it anew.

    Args:
        workspace: The workspace.

    Returns:
        The assets, their resources and sensors.
    """
    compute = ComputeResource(root=str(workspace.paths.root), config=workspace.snapshot)
    return dg.Definitions(
        assets=[*make_config_assets(workspace), *make_assets(workspace)],
        resources={
            "compute": compute,
            "io_manager": StageIOManager(compute.open_workspace),
            # For values between the steps of one run. All steps run in one process, so they can stay in memory.
            "step_io_manager": dg.mem_io_manager,
        },
        sensors=make_sensors(workspace),
        executor=dg.in_process_executor,
    )
