"""The options by which a command chooses where targets are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from dynvision.engines.queues.scripts import job_scripts
from dynvision.engines.settings import QUEUES
from dynvision_assets.commands.completion import EngineName

if TYPE_CHECKING:
    from dynvision.engines.settings import EngineSettings
    from dynvision.targets import Target
    from dynvision.workspace import Workspace

__all__ = ["engine_option", "engine_options", "find_settings", "print_job_scripts"]

engine_option = click.option(
    "--engine",
    metavar="NAME",
    type=EngineName(),
    help="Where targets are computed: here, local, slurm, pbs, lsf, sge, oar, htcondor, or the address of a Dask "
    "scheduler. The default is that of config_compute.yaml, or here.",
)
jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Compute up to N targets at once that do not depend on each other: with N workers of this machine (if the "
    "engine is here or local), or as N jobs of a queue. An error with the address of a scheduler.",
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--engine` and `--jobs`."""
    return engine_option(jobs_option(command))


def find_settings(workspace: Workspace, engine: str | None, jobs: int | None) -> EngineSettings:
    """Return the engine that the options and the configuration name.

    Raises:
        ConfigError: If there is no such engine, or the number of jobs does not fit it.
    """
    return workspace.config.compute.engine_settings(workspace.paths.root, engine, jobs)


def print_job_scripts(workspace: Workspace, plan: Sequence[Target], settings: EngineSettings) -> None:
    """Print the script of each kind of job that a plan needs, if the engine sends jobs to a queue.

    Args:
        workspace: The workspace.
        plan: What would be built.
        settings: The engine.
    """
    if settings.kind not in QUEUES:
        return
    from dynvision.workspace.grouping import group_targets

    groups = [group for group in group_targets(workspace, plan) if not group.here]
    scripts = job_scripts(settings, [group.attempts[0] for group in groups])
    for needs, script in scripts.items():
        click.echo(f"\njobs of {needs} (up to {settings.max_jobs} jobs at once):\n\n{script.rstrip()}")
