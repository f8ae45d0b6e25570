"""The IO manager: assets write their own files, and values are read by `dynvision_assets.load`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.loading import load_from
from dynvision_assets.partitions import target_of

__all__ = ["StageIOManager"]


class StageIOManager(dg.IOManager):
    """Loads the values of assets for Dagster.

    Args:
        open_workspace: Returns the workspace with the configuration of the definitions.
    """

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self.open_workspace = open_workspace

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Do nothing: the asset's function has already written its files, completely or not at all."""

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an asset, or the partitions of it that are asked for.

        Returns:
            What `dynvision_assets.load` returns; for several partitions, a dictionary of that by partition key.

        Raises:
            MissingError: If it has not been made; the message names the command that makes it.
        """
        key, workspace = context.asset_key.path, self.open_workspace()
        if not context.has_asset_partitions:
            return load_from(workspace, "/".join(key))
        keys = context.asset_partition_keys
        values = {name: load_from(workspace, str(target_of(workspace, key, name))) for name in keys}
        return values[keys[0]] if len(keys) == 1 else values
