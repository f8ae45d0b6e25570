"""Resources: where the heavy work of an asset runs."""

from __future__ import annotations

import importlib
from typing import Any

import dagster as dg
from pydantic import Field

__all__ = ["ComputeResource"]


class ComputeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Runs functions of the library that are named by import path and take JSON-ready arguments.

    Here they run in this process; because of the form of the call, another resource can run them in a
    child process or on a cluster, and no asset changes.
    """

    root: str = Field(description="The folder that holds data/ and .dagster/.")
    config_folder: str = Field(description="The folder of the config files.")

    def call(self, function: str, **arguments: Any) -> Any:
        """Call `module:function` with the workspace's root and config folder.

        Args:
            function: The import path.
            arguments: JSON-ready arguments.

        Raises:
            dagster.Failure: The function raised an error that is meant for a user; its text is the failure's.
        """
        from dynvision.errors import DynvisionError

        module, _, name = function.partition(":")
        try:
            return getattr(importlib.import_module(module), name)(
                **arguments, root=self.root, config=self.config_folder
            )
        except DynvisionError as error:
            raise dg.Failure(description=str(error), metadata={"error": type(error).__name__}) from error
