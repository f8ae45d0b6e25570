"""The tags by which people find a run: what it makes, and from where it was started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg

from dynvision.targets import Target
from dynvision.workspace import Workspace

__all__ = ["COMMAND_LINE", "FROM_TAG", "describe_run", "name_origin"]

FROM_TAG = "dynvision/from"
"""The tag that says from where a run was started."""

COMMAND_LINE = "command line"

_OF_SENSORS = ("dagster/sensor_name", "dagster/schedule_name", "dagster/from_automation_condition")
_MOST_NAMED = 4


def describe_run(
    workspace: Workspace, instance: dg.DagsterInstance, run_id: str, targets: Iterable[Target]
) -> dict[str, str]:
    """Return the tags of a run, to which a further step may add its targets.

    Args:
        workspace: The workspace.
        instance: Dagster's instance.
        run_id: The run.
        targets: What it makes.

    Returns:
        `dynvision/from` (see `name_origin`), `dynvision/stage`, and what the parts of the keys are: experiment and
        subject, model and dataset. Of several there is a list, of many its beginning.
    """
    run = instance.get_run_by_id(run_id)
    before = {} if run is None else run.tags
    names: dict[str, list[str]] = {}
    for key in dict.fromkeys(target.key for target in targets):
        parts = zip(("stage", *workspace.stages[key[0]].key_names), key, strict=False)
        for name, value in parts:
            names.setdefault(f"dynvision/{name}", []).append(value)
    return {FROM_TAG: name_origin(before), **{tag: _join(before.get(tag), values) for tag, values in names.items()}}


def name_origin(tags: Mapping[str, str]) -> str:
    """Say from where a run was started: `command line`, `browser`, `backfill` or `sensor`.

    Args:
        tags: The tags of the run. A retry has those of the run that it repeats; it was asked for in the browser.
    """
    if any(tag in tags for tag in _OF_SENSORS):
        return "sensor"
    if "dagster/backfill" in tags:
        return "backfill"
    is_retry = "dagster/parent_run_id" in tags
    return COMMAND_LINE if tags.get(FROM_TAG) == COMMAND_LINE and not is_retry else "browser"


def _join(before: str | None, values: list[str]) -> str:
    """Add values to those that a tag lists already, each once; of many, the first ones are named."""
    known = [] if before is None else before.split(", ")
    every = list(dict.fromkeys([*known, *values]))
    if "…" in known:
        return ", ".join(known)
    return ", ".join(every if len(every) <= _MOST_NAMED else [*every[:_MOST_NAMED], "…"])
