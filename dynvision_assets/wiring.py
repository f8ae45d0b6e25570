"""The wiring of Dagster's definitions: assets, resources and sensors over one workspace."""

from __future__ import annotations

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.assets.config import make_config_assets
from dynvision_assets.assets.table import make_assets
from dynvision_assets.automation import make_sensors
from dynvision_assets.io_managers import StageIOManager
from dynvision_assets.resources import AS_CONFIGURED, ComputeResource, Project
from dynvision_assets.runs.job import MAKE, make_experiment_jobs, make_job

__all__ = ["make_definitions", "resolve_make_job"]


def make_definitions(workspace: Workspace) -> dg.Definitions:
    """Make the definitions for everything that a workspace's configuration names.

    Runs of these definitions use the configuration as the workspace has read it. The sensors read it anew.

    Args:
        workspace: The workspace.

    Returns:
        The assets, their resources and sensors, and the job `make`.
    """
    root, config = str(workspace.paths.root), workspace.snapshot
    return dg.Definitions(
        assets=[*make_config_assets(workspace), *make_assets(workspace)],
        jobs=[make_job(), *make_experiment_jobs(workspace)],
        resources={
            "compute": ComputeResource(project=Project.of(workspace)),
            "io_manager": dg.IOManagerDefinition.hardcoded_io_manager(
                StageIOManager(lambda: Workspace.of_reading(root, config)),
                description="Loads what assets have written, for load_asset_value and inputs. It writes nothing.",
            ),
            # For the output of the job. All steps run in one process, so it can stay in memory.
            "step_io_manager": dg.mem_io_manager,
        },
        sensors=make_sensors(workspace),
        executor=dg.in_process_executor,
    )


def resolve_make_job(workspace: Workspace, engine_name: str | None = None, jobs: int | None = None) -> dg.JobDefinition:
    """Return the job `make` alone, without the assets: a command starts sooner with it.

    Args:
        workspace: The workspace.
        engine_name: Another engine than that of the configuration, or the address of a scheduler.
        jobs: How many targets are computed at once, if it is not what the configuration says.
    """
    definitions = dg.Definitions(
        jobs=[make_job()],
        resources={
            "compute": ComputeResource(
                engine=engine_name or AS_CONFIGURED, jobs=jobs, project=Project.of(workspace, engine_name)
            ),
            "step_io_manager": dg.mem_io_manager,
        },
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def(MAKE)
