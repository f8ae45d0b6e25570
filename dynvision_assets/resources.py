"""Resources of the assets: the configuration of a run, and the engine that computes its heavy work."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import Field, PrivateAttr

from dynvision.engines.base import Engine
from dynvision.engines.opening import open_engine
from dynvision.engines.settings import HERE, EngineSettings
from dynvision.errors import ConfigError
from dynvision.system.error_log import describe_error
from dynvision.workspace import Workspace

__all__ = ["AS_CONFIGURED", "ComputeResource", "Project", "plain_failures"]

AS_CONFIGURED = "as_configured"
"""The word for the engine of config_compute.yaml. The Launchpad shows it; a setting that is null is left out there."""

_OF_THIS_MACHINE = (HERE, "local")
"""Engines whose calls do not wait in the queue of a cluster."""


@dataclass(frozen=True)
class Project:
    """Where things are, and what was read of the configuration. It is nothing to set for a run.

    Attributes:
        root: The folder that contains `data/` and `.dagster/`.
        config: What was read of the configuration when the definitions were made, as `Workspace.snapshot` has it. All
            calls use it, so that a file that is edited meanwhile does not change a run.
        engine: The engine that the command line named, if it did.
    """

    root: str
    config: dict[str, Any] = field(repr=False)
    engine: str | None = None

    @classmethod
    def of(cls, workspace: Workspace, engine: str | None = None) -> Self:
        """Return the project of a workspace, with the configuration as the workspace has read it."""
        return cls(str(workspace.paths.root), workspace.snapshot, engine)


class ComputeResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # it gives itself
    """Where the heavy work of a run is computed. config_compute.yaml decides, unless something is set here.

    No result depends on it as long as the kind of device is the same: a GPU changes the last digits.
    """

    # The engine is opened when a step first asks for it. So this process does not load torch, and a file that is
    # truncated while it is read kills the process that reads it, not the run.

    engine: str = Field(
        default=AS_CONFIGURED,
        description="The engine of this run: as_configured (that of config_compute.yaml), here (one target after "
        "another), local (several at once on the cores and GPUs of this machine), slurm, pbs, lsf, sge, oar, htcondor, "
        "or address (the running Dask scheduler that config_compute.yaml names).",
    )
    jobs: int | None = Field(
        default=None,
        description="How many targets are computed at once, 1 or more: workers of this machine (with more than one, "
        "here becomes local) or jobs of a cluster. null means workers or max_jobs of config_compute.yaml.",
    )
    project: dg.ResourceDependency[Project]
    _opened: Engine | None = PrivateAttr(default=None)

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Self]:
        """Give each run an object of its own, whose engine is closed at the end of the run."""
        try:
            yield self
        finally:
            self.close()

    def open_workspace(self) -> Workspace:
        """Return the workspace with the same configuration as all calls."""
        return Workspace.of_reading(self.project.root, self.project.config)

    @property
    def settings(self) -> EngineSettings:
        """Which engine it is.

        Raises:
            ConfigError: If there is no such engine, the number of jobs does not fit it, or the engine is an address
                that neither the configuration nor the command line names.
        """
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError(
                f"jobs of the resource compute is {self.jobs}. It says how many targets are computed at once: write 1 "
                "or more, or leave it out."
            )
        compute = self.open_workspace().config.compute
        engine = None if self.engine == AS_CONFIGURED else self.engine
        # Whoever is at that address runs code as this user. A web page may send such a run to Dagster's server.
        if engine is not None and "://" in engine and engine not in (compute.address, self.project.engine):
            raise ConfigError(
                f"the engine of the resource compute is the address {engine[:80]}, which is not that of "
                "config_compute.yaml. Write it there as 'address', then set the engine to address."
            )
        return compute.engine_settings(Path(self.project.root), engine, self.jobs)

    @property
    def run_tags(self) -> dict[str, str]:
        """The tags of a run. A run whose calls wait in a queue may take as long as it has to."""
        return {} if self.settings.kind in _OF_THIS_MACHINE else {"dagster/max_runtime": "0"}

    def open_engine(self, tell: Callable[[str], object] | None = None) -> Engine:
        """Return the engine, the same one for all steps of a run; another one if it was closed because it had failed.

        Args:
            tell: Takes a line that says where its work can be watched, if there is such a place.

        Raises:
            ConfigError: If this machine does not have what the engine needs.
        """
        if self._opened is None or self._opened.is_closed:
            self._opened = open_engine(self.settings)
            if tell is not None and self._opened.link:
                tell(f"the work of the engine can be watched at {self._opened.link}")
        return self._opened

    def close(self) -> None:
        """End everything that still runs, here and on other machines."""
        engine, self._opened = self._opened, None
        if engine is not None:
            engine.close()

    @contextlib.contextmanager
    def closed_if_stopped(self) -> Iterator[None]:
        """Close the engine at once if the run is stopped, before Dagster ends the run.

        A step that fails leaves it open for the next one, unless calls of the failed one are still with it.
        """
        try:
            yield
        except Exception:
            if self._opened is not None and self._opened.has_calls:
                self.close()  # Otherwise the next step would wait for them, and receive what it did not submit.
            raise
        except BaseException:
            self.close()
            raise


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
