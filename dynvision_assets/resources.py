"""Resources of the assets: where their heavy work is computed."""

from __future__ import annotations

import contextlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from dynvision.system.child_process import shared_process
from dynvision.system.error_log import describe_error, name_call
from dynvision.workspace import Workspace

__all__ = ["ComputeResource", "plain_failures"]


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
        with plain_failures(name_call(function, arguments)):
            return shared_process().call(function, tell, **arguments, root=self.root, config=self.config)

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
        with plain_failures(name_call(function, arguments)):
            return pkgutil.resolve_name(function)(**arguments, root=self.root, config=self.config)


@contextlib.contextmanager
def plain_failures(doing: str = "") -> Iterator[None]:
    """Turn every error into a failure that Dagster shows with a sentence.

    Args:
        doing: What is being done, for the start of the sentence about an error that was not expected.

    Raises:
        dagster.Failure: If there was an error; its text is the description, and the error is its cause. The traceback
            of one that was not expected is in the log file that the sentence names.
        dagster.DagsterExecutionInterruptedError: If the run was stopped, with a sentence that says so.
    """
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except dg.DagsterExecutionInterruptedError as interruption:
        if interruption.args:
            raise
        raise dg.DagsterExecutionInterruptedError(
            f"{doing or 'the run'} was stopped; what was finished is kept, nothing is half done. "
            "Launch it again to go on."
        ) from None
    except Exception as error:  # noqa: BLE001  # it is raised again, as a failure
        own = describe_error(error, doing)
        if own is not error:
            own.__cause__ = error
        raise dg.Failure(description=str(own), metadata={"error": type(own).__name__}) from own
