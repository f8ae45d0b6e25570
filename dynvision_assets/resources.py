"""Resources of the assets: where their heavy work is computed."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from dynvision.errors import DynvisionError
from dynvision.system.child_process import shared_process
from dynvision.workspace import Workspace

__all__ = ["ComputeResource"]


@dataclass(frozen=True)
class ComputeResource:
    """Calls functions of the library by import path, with JSON-ready arguments.

    The functions run in one child process, which is started on the first call. So this process does not load torch, and
    a file that is truncated while it is read kills the child, not the run. Import paths and JSON also allow another
    resource to make the same calls on a cluster; the assets would not change.

    This is a plain object, not one of Dagster's configurable resources, so that the Launchpad does not offer the root
    as a setting of a run.

    Attributes:
        root: The folder that contains `data/` and `.dagster/`.
        config: What was read of the configuration when the definitions were made, as `Workspace.snapshot` has it. All
            calls use it, so that a file that is edited meanwhile does not change a run.
        in_child: Whether `call` uses a child process. Otherwise it does the same as `call_here`.
    """

    root: str
    config: dict[str, Any] = field(repr=False)
    in_child: bool = True

    def call(self, function: str, tell: Callable[[str], object] | None = None, **arguments: Any) -> Any:
        """Call a function with the workspace's root and configuration, in the child process.

        Args:
            function: Its import path, `module:function`.
            tell: Receives lines about the progress of the call.
            arguments: JSON-ready arguments.

        Returns:
            What the function returns, a JSON-ready value.

        Raises:
            dagster.Failure: If the function raised an error that is meant for users, or the child died. The text of the
                error is the description of the failure.
        """
        if not self.in_child:
            return self.call_here(function, **arguments)
        try:
            return shared_process().call(function, tell, **arguments, root=self.root, config=self.config)
        except DynvisionError as error:
            raise _failure(error) from error

    def open_workspace(self) -> Workspace:
        """Return the workspace with the same configuration as all calls."""
        return Workspace.of_reading(self.root, self.config)

    def call_here(self, function: str, tell: Callable[[str], object] | None = None, **arguments: Any) -> Any:
        """Call a function in this process, if its work is light.

        Args:
            function: Its import path, `module:function`.
            tell: Ignored: such a call reports no progress.
            arguments: JSON-ready arguments.

        Returns:
            What the function returns.

        Raises:
            dagster.Failure: If the function raised an error that is meant for users.
        """
        try:
            return pkgutil.resolve_name(function)(**arguments, root=self.root, config=self.config)
        except DynvisionError as error:
            raise _failure(error) from error


def _failure(error: DynvisionError) -> dg.Failure:
    return dg.Failure(description=str(error), metadata={"error": type(error).__name__})
