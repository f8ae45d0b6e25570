"""Making targets in this process: first whatever upstream is missing or stale. Dagster's instance records the run."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.system.locks import FOR_EVER, output_lock, try_lock
from dynvision.system.locks.holders import lock_path
from dynvision.system.progress import say
from dynvision.system.stopping import STOPPING
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.grouping import find_needs
from dynvision_assets.instances.event_log import quiet_event_log
from dynvision_assets.instances.homes import describe_home
from dynvision_assets.instances.opening import open_instance, prepare_home
from dynvision_assets.instances.run_origins import NO_LIMIT, NO_RETRY, name_origin
from dynvision_assets.instances.run_processes import fail_dead_runs, process_tags
from dynvision_assets.instances.stopped_runs import end_stopped_runs, stop_if_terminated

__all__ = ["Made", "make_targets"]


@dataclass
class Made:
    """What `make_targets` did.

    Attributes:
        wanted: The targets that were asked for.
        built: The targets that were built, in order.
        seconds: How long it took.
    """

    wanted: list[Target]
    built: list[Target] = field(default_factory=list)
    seconds: float = 0.0


def make_targets(
    workspace: Workspace,
    targets: Iterable[Target],
    force: bool = False,
    *,
    wait: bool = True,
    engine: str | None = None,
    jobs: int | None = None,
) -> Made:
    """Build targets and whatever upstream of them is missing or stale, in one run of Dagster.

    Args:
        workspace: The workspace.
        targets: The targets.
        force: Build these targets even if they are up to date.
        wait: Wait while another process builds a target, and then look again whether it is up to date.
        engine: Another engine than that of the configuration, or the address of a scheduler.
        jobs: How many targets are computed at once, if it is not what the configuration says.

    Returns:
        What was built.

    Raises:
        ConfigError: If there is no such engine, or this machine does not have what it needs.
        OutputBusyError: If another process builds a target, and this one is not to wait.
        DynvisionError: If something could not be built; what does not depend on it was built all the same.
        KeyboardInterrupt: After Ctrl-C; everything that was finished is kept.
    """
    start = time.perf_counter()
    made = Made(list(dict.fromkeys(targets)))
    workspace.config.compute.engine_settings(workspace.paths.root, engine, jobs)  # raises before anything is done
    plan = _await_others(workspace, made.wanted, force, wait)
    if plan:
        # If everything is up to date, or was built by others meanwhile, Dagster is not needed at all.
        named = _Runner(workspace, wait, engine, jobs).run(made.wanted, force)
        by_text = {str(target): target for target in [*plan, *made.wanted]}
        made.built = [by_text[text] for text in named if text in by_text]
    made.seconds = time.perf_counter() - start
    return made


def _await_others(workspace: Workspace, wanted: list[Target], force: bool, wait: bool) -> list[Target]:
    """Return what has to be built, once anything can be: wait while others build all that could be built first.

    Raises:
        OutputBusyError: If others build one of these targets, and this process is not to wait.
        UnreadableError: See `Workspace.plan`.
    """
    while plan := workspace.plan(wanted, force):
        needs = find_needs(workspace, plan)
        first = [workspace.stage(target).written(target)[0] for target in plan if not needs[target]]
        locked = [output for output in first if _is_locked(output)]
        if not locked or (wait and len(locked) < len(first)):
            return plan
        with output_lock(locked[0], FOR_EVER if wait else 0.0, say):
            pass
        if force:
            return plan
    return []


def _is_locked(output: Path) -> bool:
    """Whether another process holds the lock of an output."""
    if not lock_path(output).exists():
        return False
    with try_lock(output) as taken:
        return taken is None


class _Runner:
    """Runs the job `make` in this process, on the instance that the UI shows.

    Modules that import Dagster are imported in its methods: a command that finds everything up to date needs none.

    Args:
        workspace: The workspace.
        wait: Whether a run waits for another process that builds the same.
        engine: See `make_targets`.
        jobs: See `make_targets`.
    """

    def __init__(self, workspace: Workspace, wait: bool, engine: str | None, jobs: int | None) -> None:
        from dynvision_assets.wiring import resolve_make_job

        self.wait = wait
        self.workspace = workspace
        home = describe_home(workspace.paths)
        if home:
            say(home)
        self.instance = open_instance(prepare_home(workspace.paths), capture=False)
        fail_dead_runs(self.instance)
        self.tags = {**process_tags(), **NO_RETRY, **NO_LIMIT}
        self.job = resolve_make_job(workspace, engine, jobs)
        name_origin(self.instance, self.job.name)

    def run(self, targets: list[Target], force: bool) -> list[str]:
        """Build targets and what they need in one run.

        Args:
            targets: The targets.
            force: Build them even if they are up to date.

        Returns:
            The targets that were built, in order, as text.

        Raises:
            DynvisionError: If one could not be built.
            KeyboardInterrupt: After Ctrl-C.
        """
        try:
            return self._execute(self.workspace.name_together(targets), force)
        except KeyboardInterrupt:
            end_stopped_runs(self.instance, self.tags)
            raise

    def _execute(self, names: list[str], force: bool) -> list[str]:
        """Run the job once; return what was built."""
        import dagster as dg

        from dynvision_assets.runs.job import BUILD
        from dynvision_assets.runs.tags import COMMAND_LINE, FROM_TAG

        config: dict[str, Any] = {"config": {"targets": names, "force": force, "wait": self.wait}}
        run_id = str(uuid.uuid4())
        logger = {"console": {"config": {"log_level": "CRITICAL"}}}
        try:
            with quiet_event_log(), stop_if_terminated(self.instance, run_id):
                done = self.job.execute_in_process(
                    run_config={"ops": {BUILD: config}, "loggers": logger},
                    instance=self.instance,
                    run_id=run_id,
                    tags={**self.tags, FROM_TAG: COMMAND_LINE},
                )
            return [str(name) for name in done.output_for_node(BUILD, "built")]
        except dg.Failure as failure:
            if isinstance(failure.__cause__, DynvisionError):
                raise failure.__cause__ from None
            raise DynvisionError(str(failure.description)) from failure
        except dg.DagsterExecutionInterruptedError as interruption:
            STOPPING.was_raised = True
            raise KeyboardInterrupt from interruption
