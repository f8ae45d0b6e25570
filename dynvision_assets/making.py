"""Making targets in this process: first whatever upstream is missing or stale. Dagster's instance records the runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.system.locks import FOR_EVER, output_lock
from dynvision.system.locks.holders import lock_path
from dynvision.system.progress import say
from dynvision.system.stopping import STOPPING
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import NOT_BUILT
from dynvision_assets.instances.event_log import quiet_event_log
from dynvision_assets.instances.homes import describe_home
from dynvision_assets.instances.opening import open_instance, prepare_home
from dynvision_assets.instances.run_processes import fail_dead_runs, process_tags
from dynvision_assets.instances.stopped_runs import end_stopped_runs
from dynvision_assets.signals import check_stopped

__all__ = ["Made", "make_targets", "partition_ranges"]


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


def make_targets(workspace: Workspace, targets: Iterable[Target], force: bool = False, *, wait: bool = True) -> Made:
    """Build targets and whatever upstream of them is missing or stale.

    Args:
        workspace: The workspace.
        targets: The targets.
        force: Build these targets even if they are up to date.
        wait: Wait while another process builds a target, and then look again whether it is up to date.

    Returns:
        What was built.

    Raises:
        OutputBusyError: If another process builds a target, and this one is not to wait.
        DynvisionError: If something could not be built.
        KeyboardInterrupt: After Ctrl-C; everything that was finished is kept.
    """
    start = time.perf_counter()
    made = Made(list(dict.fromkeys(targets)))
    plan = workspace.plan(made.wanted, force)
    if plan:
        runner: _Runner | None = None
        forced = set(made.wanted) if force else set()
        for group in _group(workspace, plan):
            _await_others(workspace, group, wait)
            # Look again: an input may have been rebuilt with the same content, so that this target is up to date.
            stale = [t for t in group if t not in forced and workspace.status(t).state != "fresh"]
            for pending, is_forced in ((stale, False), ([t for t in group if t in forced], True)):
                if pending:
                    reason = "forced" if is_forced else workspace.status(pending[0]).reason
                    say(f"{_name(pending)}: {reason}")
                    # If everything was built by others meanwhile, Dagster is not needed at all.
                    runner = runner or _Runner(workspace, wait)
                    taken_over = runner.run(pending, is_forced)
                    made.built += [target for target in pending if str(target) not in taken_over]
    made.seconds = time.perf_counter() - start
    return made


def _await_others(workspace: Workspace, targets: list[Target], wait: bool) -> None:
    """Wait until no other process builds one of these targets, so that what it has built is not built again.

    Raises:
        OutputBusyError: If another process does, and this one is not to wait.
    """
    for target in targets:
        output = workspace.stage(target).written(target)[0]
        if lock_path(output).exists():
            with output_lock(output, FOR_EVER if wait else 0.0, say):
                pass


def _group(workspace: Workspace, plan: list[Target]) -> list[list[Target]]:
    """Group the targets that are built together: those of one asset if its stage builds many, else each alone."""
    groups: dict[Any, list[Target]] = {}
    for target in plan:
        groups.setdefault(target.key if workspace.stage(target).builds_many else target, []).append(target)
    return list(groups.values())


def _name(targets: list[Target]) -> str:
    key = "/".join(targets[0].key)
    return str(targets[0]) if len(targets) == 1 else f"{key} ({len(targets)} partitions)"


class _Runner:
    """Runs assets in this process, on the instance that the UI shows.

    Modules that import Dagster are imported in its methods: a command that finds everything up to date needs none.

    Args:
        workspace: The workspace.
        wait: Whether a run waits for another process that builds the same.
    """

    def __init__(self, workspace: Workspace, wait: bool) -> None:
        from dynvision_assets.wiring import make_definitions

        self.wait = wait
        self.workspace = workspace
        home = describe_home(workspace.paths)
        if home:
            say(home)
        self.instance = open_instance(prepare_home(workspace.paths), capture=False)
        fail_dead_runs(self.instance)
        self.tags = process_tags()
        self.job = make_definitions(workspace).resolve_implicit_global_asset_job_def()

    def run(self, targets: list[Target], force: bool) -> set[str]:
        """Build targets of one asset, in as few runs as Dagster's partition ranges allow.

        Args:
            targets: The targets; several only if the stage builds many.
            force: Build them even if they are up to date.

        Returns:
            The targets that another process has built meanwhile, as text.

        Raises:
            DynvisionError: If one could not be built.
            KeyboardInterrupt: After Ctrl-C.
        """
        from dynvision_assets.assets.config import observe_config

        for target in targets:
            observe_config(self.workspace, self.instance, target)
        taken_over: set[str] = set()
        for tags in self._select(targets):
            check_stopped()
            try:
                run_id = self._execute(targets[0], tags, force)
            except KeyboardInterrupt:
                end_stopped_runs(self.instance, self.tags)
                raise
            taken_over.update(self._find_taken_over(run_id))
        return taken_over

    def _find_taken_over(self, run_id: str) -> list[str]:
        """Return the targets that a run found up to date when their locks were free, as its log says."""
        lines = [entry.user_message for entry in self.instance.all_logs(run_id)]
        named = [line.removeprefix(NOT_BUILT) for line in lines if line.startswith(NOT_BUILT)]
        return [name for names in named for name in names.split("; ")]

    def _execute(self, target: Target, tags: dict[str, str], force: bool) -> str:
        """Run the asset of a target once, on the partitions that the tags name; return the id of the run."""
        import dagster as dg

        from dynvision_assets.assets.table import asset_type
        from dynvision_assets.partitions import asset_key

        key = asset_key(target.key)
        name = key.to_python_identifier()
        config: dict[str, Any] = {"config": {"force": force, "wait": self.wait}}
        ops = {name: asset_type(target.stage).nest_config(config)}
        logger = {"console": {"config": {"log_level": "CRITICAL"}}}
        try:
            with quiet_event_log():
                done = self.job.execute_in_process(
                    run_config={"ops": ops, "loggers": logger},
                    instance=self.instance,
                    asset_selection=[key],
                    tags={**tags, **self.tags},
                    partition_key=tags.get("dagster/partition"),
                )
            return done.run_id
        except dg.Failure as failure:
            if isinstance(failure.__cause__, DynvisionError):
                raise failure.__cause__ from None
            raise DynvisionError(str(failure.description)) from failure
        except dg.DagsterExecutionInterruptedError as interruption:
            STOPPING.was_raised = True
            raise KeyboardInterrupt from interruption

    def _select(self, targets: list[Target]) -> list[dict[str, str]]:
        """Return the tags by which Dagster selects the partitions of each run that builds the targets."""
        from dynvision_assets.partitions import partition_key

        stage = self.workspace.stage(targets[0])
        if len(targets) == 1 or not stage.builds_many:
            keys = [partition_key(self.workspace, target) for target in targets]
            return [{"dagster/partition": key} if key is not None else {} for key in keys]
        levels = stage.dimensions(targets[0].key)
        conditions = [stage.levels(target) for target in targets]
        return [
            {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
            for first, last in partition_ranges(levels, conditions)
        ]


def partition_ranges(levels: dict[str, list[str]], conditions: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Cover conditions, and no others, with ranges of Dagster's partition keys.

    Args:
        levels: The levels of each swept parameter, in order; one parameter or two.
        conditions: The level of each parameter in every condition to cover.

    Returns:
        The first and last key of each range. A range is a stretch of neighbouring levels; with two parameters, a
        rectangle of them.
    """
    *outer, inner = levels
    if not outer:
        return _stretches(levels[inner], {condition[inner] for condition in conditions})
    rows = {
        row: _stretches(levels[inner], {c[inner] for c in conditions if c[outer[0]] == row}) for row in levels[outer[0]]
    }
    rectangles: list[tuple[str, str]] = []
    # Neighbouring rows with the same stretches are one rectangle for each of these.
    for stretches, group in itertools.groupby(rows.items(), key=lambda item: item[1]):
        names = [name for name, _ in group]
        for first, last in stretches:
            corners = ({outer[0]: names[0], inner: first}, {outer[0]: names[-1], inner: last})
            # Dagster orders the dimensions of a key by their names.
            start, end = ("|".join(corner[name] for name in sorted(corner)) for corner in corners)
            rectangles.append((start, end))
    return rectangles


def _stretches(values: list[str], chosen: set[str]) -> list[tuple[str, str]]:
    """Return the first and last value of each run of neighbouring values that are chosen."""
    groups = [(is_chosen, list(group)) for is_chosen, group in itertools.groupby(values, key=chosen.__contains__)]
    return [(group[0], group[-1]) for is_chosen, group in groups if is_chosen]
