"""IO manager: assets write their own files; values are read the way `dynvision_assets.load` reads them."""

from __future__ import annotations

from typing import Any

import dagster as dg

from dynvision_assets.loading import load

__all__ = ["StageIOManager"]


class StageIOManager(dg.IOManager):
    """Reads what a partition holds; proves that it exists and says how to make it where it does not.

    Args:
        root: The folder that holds data/ and .dagster/.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Do nothing: an asset's own function has written its files, whole or not at all."""

    def load_input(self, context: dg.InputContext) -> Any:
        """Load the asset, or the one partition of it that is asked for."""
        from dynvision.workspace import Workspace
        from dynvision_assets.partitions import target_of

        key = context.asset_key.path
        if not context.has_asset_partitions:
            return load("/".join(key), root=self.root)
        keys = context.asset_partition_keys
        workspace = Workspace.open(self.root)
        values = {name: load(str(target_of(workspace, key, name)), root=self.root) for name in keys}
        return values[keys[0]] if len(keys) == 1 else values
