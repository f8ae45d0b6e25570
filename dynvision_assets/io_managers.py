"""The IO manager: assets write their own files, and values are read by `dynvision_assets.load`."""

from __future__ import annotations

from typing import Any

import dagster as dg

from dynvision.workspace import Workspace
from dynvision_assets.loading import load
from dynvision_assets.partitions import target_of

__all__ = ["StageIOManager"]


class StageIOManager(dg.IOManager):
    """Loads the values of assets for Dagster.

    Args:
        root: The folder that contains `data/` and `.dagster/`.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Do nothing: the asset's function has already written its files, completely or not at all."""

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an asset, or the partitions of it that are asked for.

        Returns:
            What `dynvision_assets.load` returns; for several partitions, a dictionary of that by partition key.

        Raises:
            MissingError: If it has not been made; the message names the command that makes it.
        """
        key = context.asset_key.path
        if not context.has_asset_partitions:
            return load("/".join(key), root=self.root)
        keys = context.asset_partition_keys
        workspace = Workspace.open(self.root)
        values = {name: load(str(target_of(workspace, key, name)), root=self.root) for name in keys}
        return values[keys[0]] if len(keys) == 1 else values
