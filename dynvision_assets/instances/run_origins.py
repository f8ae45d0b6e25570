"""Of which job of which definitions a run is. Dagster's timeline, and the page of a job, show only runs that say so."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["DEFINITIONS", "LOCATION", "NO_LIMIT", "NO_RETRY", "REPOSITORY", "name_origin"]

LOCATION = "dynvision"
"""The name of the definitions in the UI."""

DEFINITIONS = "dynvision_assets.definitions"
"""The module that holds them."""

REPOSITORY = "__repository__"
"""Dagster's name for the contents of a `Definitions`."""

NO_RETRY = {"dagster/max_retries": "0"}
"""The tag of a run that the daemon does not start again: the person at the terminal who ended it decides."""

NO_LIMIT = {"dagster/max_runtime": "0"}
"""The tag of a run that may take as long as it has to. Dagster would call it failed, and could not end it."""


def name_origin(instance: dg.DagsterInstance, job_name: str) -> None:
    """Let the runs that an instance creates from now on, in this process, be those of a job of our definitions.

    `execute_in_process` would create them as runs of nothing in particular.

    Args:
        instance: Dagster's instance.
        job_name: The job.
    """
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=DEFINITIONS), LOCATION)
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), job_name)
    create = functools.partial(instance.create_run_for_job, remote_job_origin=origin)
    instance.create_run_for_job = create  # type: ignore[method-assign]
