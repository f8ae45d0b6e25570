"""Ending the runs of a process that was stopped between their steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["end_stopped_runs"]


def end_stopped_runs(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> None:
    """Mark the unfinished runs of this process as canceled. Dagster does so only if it is interrupted in a step.

    Args:
        instance: Dagster's instance.
        tags: The tags that name this process.
    """
    import dagster as dg

    for run in instance.get_runs(dg.RunsFilter(tags=dict(tags))):
        if not run.is_finished:
            instance.report_run_canceled(run, "The command was stopped. What was finished is kept.")
