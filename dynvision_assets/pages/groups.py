"""The groups by which the UI arranges assets."""

from __future__ import annotations

from dynvision.config.values.names import dagster_name
from dynvision.workspace import Workspace

__all__ = ["name_group"]


def name_group(workspace: Workspace, key: tuple[str, ...]) -> str:
    """Return the group of an asset: its stage, and its experiment if it belongs to one.

    An asset's box shows only the last part of its key, which is a subject where there are experiments. Dagster's names
    of groups have no `-`; no two experiments differ only by that.
    """
    is_of_experiment = "experiment" in workspace.stages[key[0]].key_names
    return dagster_name("_".join(key[:2])) if is_of_experiment else key[0]
