"""Resources of the assets: the configuration of a run, and the engine that computes its heavy work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from dynvision.engines.base import Engine
from dynvision.engines.opening import open_engine
from dynvision.engines.settings import HERE, EngineSettings
from dynvision.system.error_log import describe_error
from dynvision.workspace import Workspace

__all__ = ["ComputeResource", "compute_of_runs", "plain_failures"]

_OF_THIS_MACHINE = (HERE, "local")
"""Engines whose calls do not wait in the queue of a cluster."""


@dataclass
class ComputeResource:
    """The workspace of a run, and the engine to which its steps give their calls.

    The engine is opened when a step first asks for it. So this process does not load torch, and a file that is
    truncated while it is read kills the process that reads it, not the run.

    Attributes:
        root: The folder that contains `data/` and `.dagster/`.
        config: What was read of the configuration when the definitions were made, as `Workspace.snapshot` has it. All
            calls use it, so that a file that is edited meanwhile does not change a run.
        engine_name: Another engine than that of the configuration, or the address of a scheduler.
        jobs: How many targets are computed at once, if it is not what the configuration says.
    """

    root: str
    config: dict[str, Any] = field(repr=False)
    engine_name: str | None = None
    jobs: int | None = None
    _engine: Engine | None = field(default=None, init=False, repr=False)

    def open_workspace(self) -> Workspace:
        """Return the workspace with the same configuration as all calls."""
        return Workspace.of_reading(self.root, self.config)

    @property
    def settings(self) -> EngineSettings:
        """Which engine it is.

        Raises:
            ConfigError: If there is no such engine.
        """
        compute = self.open_workspace().config.compute
        return compute.engine_settings(Path(self.root), self.engine_name, self.jobs)

    @property
    def run_tags(self) -> dict[str, str]:
        """The tags of a run. A run whose calls wait in a queue may take as long as it has to."""
        return {} if self.settings.kind in _OF_THIS_MACHINE else {"dagster/max_runtime": "0"}

    def engine(self, tell: Callable[[str], object] | None = None) -> Engine:
        """Return the engine, the same one for all steps of a run.

        Args:
            tell: Takes a line that says where its work can be watched, if there is such a place.

        Raises:
            ConfigError: If this machine does not have what the engine needs.
        """
        if self._engine is None:
            self._engine = open_engine(self.settings)
            if tell is not None and self._engine.link:
                tell(f"the work of the engine can be watched at {self._engine.link}")
        return self._engine

    def close(self) -> None:
        """End everything that still runs, here and on other machines."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    @contextlib.contextmanager
    def closed_if_stopped(self) -> Iterator[None]:
        """Close the engine at once if the run is stopped, before Dagster ends the run."""
        try:
            yield
        except Exception:
            raise  # the engine goes on with other steps
        except BaseException:
            self.close()
            raise


def compute_of_runs(
    workspace: Workspace, engine_name: str | None = None, jobs: int | None = None
) -> dg.ResourceDefinition:
    """Make the resource `compute`: each run has one of its own, whose engine is closed at the end of the run.

    It has no settings, so that the Launchpad does not offer the root as one of a run.

    Args:
        workspace: The workspace.
        engine_name: See `ComputeResource`.
        jobs: See `ComputeResource`.
    """
    root, config = str(workspace.paths.root), workspace.snapshot

    @contextlib.contextmanager
    def open_compute(context: dg.InitResourceContext) -> Iterator[ComputeResource]:
        compute = ComputeResource(root, config, engine_name, jobs)
        try:
            yield compute
        finally:
            compute.close()

    return dg.ResourceDefinition(open_compute, description="The configuration and the engine of a run.")


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
