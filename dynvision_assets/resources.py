"""Resources: where the heavy work of an asset runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

__all__ = ["ComputeResource"]


@dataclass(frozen=True)
class ComputeResource:
    """Runs functions of the library that are named by import path and take JSON-ready arguments.

    What computes runs in a child process, one for this process: torch is not loaded here, and a file that is truncated
    while it is read ends the child and not the run. Because of the form of the call, another resource can run it on a
    cluster, and no asset changes.

    It is a plain object and no configurable resource: where a root is, is nothing to set for a run in the Launchpad.

    Attributes:
        root: The folder that holds data/ and .dagster/.
        config_folder: The folder of the config files.
        in_child: Compute in a child process.
    """

    root: str
    config_folder: str
    in_child: bool = True

    def call(self, function: str, tell: Callable[[str], object] | None = None, **arguments: Any) -> Any:
        """Call `module:function` with the workspace's root and config folder, in the child process.

        Args:
            function: The import path.
            tell: Takes lines about the progress of the call.
            arguments: JSON-ready arguments.

        Raises:
            dagster.Failure: The function raised an error that is meant for a user, or the child died; its text is the
                failure's.
        """
        from dynvision.errors import DynvisionError
        from dynvision.system.child_process import shared_process

        if not self.in_child:
            return self.call_here(function, **arguments)
        try:
            return shared_process().call(function, tell, **arguments, root=self.root, config=self.config_folder)
        except DynvisionError as error:
            raise _failure(error) from error

    def call_here(self, function: str, tell: Callable[[str], object] | None = None, **arguments: Any) -> Any:
        """The same in this process, for what is light; it tells nothing of its progress."""
        from dynvision.errors import DynvisionError

        module, _, name = function.partition(":")
        try:
            return getattr(importlib.import_module(module), name)(
                **arguments, root=self.root, config=self.config_folder
            )
        except DynvisionError as error:
            raise _failure(error) from error


def _failure(error: Exception) -> dg.Failure:
    return dg.Failure(description=str(error), metadata={"error": type(error).__name__})
