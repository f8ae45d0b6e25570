"""The definitions that Dagster loads: wiring only.

While this module is imported, Python's garbage collector runs less often, which makes importing Dagster a fifth faster.
The former thresholds are set again at the end.
"""

# ruff: noqa: E402  # Dagster has to be imported after the thresholds are changed.
from __future__ import annotations

import gc

from dynvision.system.machine import collect_garbage_seldom

_THRESHOLDS = collect_garbage_seldom()

import dagster as dg

from dynvision.errors import ConfigError, DynvisionError
from dynvision.paths import find_root
from dynvision.system.environment import load_environment
from dynvision.workspace import Workspace
from dynvision_assets.assets.config import make_config_assets
from dynvision_assets.assets.table import make_assets
from dynvision_assets.automation import make_sensors
from dynvision_assets.io_managers import StageIOManager
from dynvision_assets.resources import ComputeResource

__all__ = ["defs", "make_definitions"]


def make_definitions(workspace: Workspace) -> dg.Definitions:
    """Make the definitions for everything that a workspace's configuration names.

    Args:
        workspace: The workspace.

    Returns:
        The assets, their resources and sensors.
    """
    root = str(workspace.paths.root)
    return dg.Definitions(
        assets=[*make_config_assets(workspace), *make_assets(workspace)],
        resources={
            "compute": ComputeResource(root=root, config_folder=str(workspace.config.folder)),
            "io_manager": StageIOManager(root=root),
            # For values between the steps of one run. All steps run in one process, so they can stay in memory.
            "step_io_manager": dg.mem_io_manager,
        },
        sensors=make_sensors(workspace),
        executor=dg.in_process_executor,
    )


class UnusableConfigurationError(dg.DagsterError, ConfigError):
    """The configuration cannot be used.

    Dagster puts a heading of its own above every error of another kind, so that the sentence would stand below a page
    of Dagster's traceback.
    """


def _load() -> dg.Definitions:
    """Make the definitions of the root that the environment names.

    Raises:
        UnusableConfigurationError: If the configuration is not valid.
    """
    try:
        load_environment(find_root())
        return make_definitions(Workspace.open())
    except DynvisionError as error:
        reason = str(error)
    raise UnusableConfigurationError(f"{reason.rstrip('.')}.\n\nMend it, then reload the definitions.")


defs = _load()
gc.set_threshold(*_THRESHOLDS)
