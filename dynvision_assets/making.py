"""Making targets: what is missing or stale upstream first, in this process, recorded in Dagster's instance."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.system.progress import say
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target

__all__ = ["Made", "make_targets", "partition_ranges"]


@dataclass
class Made:
    """What `make_targets` did.

    Attributes:
        wanted: The targets that were asked for.
        built: What was built, in order.
        seconds: How long it took.
    """

    wanted: list[Target]
    built: list[Target] = field(default_factory=list)
    seconds: float = 0.0


def make_targets(workspace: Workspace, texts: Iterable[str], force: bool = False) -> Made:
    """Build targets and whatever upstream of them is missing or stale.

    Args:
        workspace: The workspace.
        texts: Paths, keys, or keys with partitions.
        force: Build the named targets even if they are up to date.

    Raises:
        DynvisionError: A name is unknown, or something could not be built.
    """
    start = time.perf_counter()
    wanted = list(dict.fromkeys(t for text in texts for t in parse_target(workspace, text)))
    made = Made(wanted)
    plan = workspace.plan(wanted, force)
    if plan:
        runner = _Runner(workspace)
        forced = set(wanted) if force else set()
        for group in _group(workspace, plan):
            # An input may have come out as it was: then there is nothing to do here after all.
            stale = [t for t in group if t not in forced and workspace.status(t).state != "fresh"]
            for pending, is_forced in ((stale, False), ([t for t in group if t in forced], True)):
                if pending:
                    reason = "forced" if is_forced else workspace.status(pending[0]).reason
                    say(f"{_name(pending)}: {reason}")
                    runner.run(pending, is_forced)
                    made.built += pending
    made.seconds = time.perf_counter() - start
    return made


def _group(workspace: Workspace, plan: list[Target]) -> list[list[Target]]:
    """Targets that one run builds: all conditions of an asset together, everything else by itself."""
    groups: dict[Any, list[Target]] = {}
    for target in plan:
        groups.setdefault(target.key if workspace.stage(target).builds_many else target, []).append(target)
    return list(groups.values())


def _name(targets: list[Target]) -> str:
    key = "/".join(targets[0].key)
    return str(targets[0]) if len(targets) == 1 else f"{key} ({len(targets)} partitions)"


class _Runner:
    """Runs assets in this process on the instance that the UI shows."""

    def __init__(self, workspace: Workspace) -> None:
        from dynvision_assets.definitions import make_definitions
        from dynvision_assets.instance import open_instance, prepare_home
        from dynvision_assets.run_processes import fail_dead_runs, process_tags

        self.workspace = workspace
        self.instance = open_instance(prepare_home(workspace.paths), capture=False)
        fail_dead_runs(self.instance)
        self.tags = process_tags()
        self.job = make_definitions(workspace).resolve_implicit_global_asset_job_def()

    def run(self, targets: list[Target], force: bool) -> None:
        """Build targets of one asset in as few runs as Dagster's ranges allow."""
        from dynvision_assets.assets.config import observe_config

        for target in targets:
            observe_config(self.workspace, self.instance, target)
        for tags in self._selections(targets):
            self._execute(targets[0], tags, force)

    def _execute(self, target: Target, tags: dict[str, str], force: bool) -> None:
        import dagster as dg

        from dynvision_assets.assets.table import asset_type
        from dynvision_assets.partitions import asset_key

        key = asset_key(target.key)
        name = key.to_python_identifier()
        config: dict[str, Any] = {"config": {"force": force}}
        ops = {name: asset_type(target.stage).nest_config(config)}
        logger = {"console": {"config": {"log_level": "CRITICAL"}}}
        try:
            self.job.execute_in_process(
                run_config={"ops": ops, "loggers": logger},
                instance=self.instance,
                asset_selection=[key],
                tags={**tags, **self.tags},
                partition_key=tags.get("dagster/partition"),
            )
        except dg.Failure as failure:
            if isinstance(failure.__cause__, DynvisionError):
                raise failure.__cause__ from None
            raise DynvisionError(str(failure.description)) from failure
        except dg.DagsterExecutionInterruptedError as interruption:
            raise KeyboardInterrupt from interruption

    def _selections(self, targets: list[Target]) -> list[dict[str, str]]:
        from dynvision_assets.partitions import partition_key

        keys = [partition_key(self.workspace, target) for target in targets]
        stage = self.workspace.stage(targets[0])
        if len(targets) == 1 or not stage.builds_many:
            return [{"dagster/partition": key} if key is not None else {} for key in keys]
        levels = stage.dimensions(targets[0].key)
        chosen = [stage.levels(target) for target in targets]
        return [
            {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
            for first, last in partition_ranges(levels, chosen)
        ]


def partition_ranges(levels: dict[str, list[str]], chosen: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Cover chosen conditions, and no others, with ranges of Dagster's partition keys.

    Args:
        levels: The levels of each parameter, in order.
        chosen: Conditions.

    Returns:
        First and last key of each range: a stretch of levels, or for two parameters a rectangle of them.
    """
    *outer, inner = levels
    rows: dict[str, list[tuple[str, str]]] = {}
    for row in levels[outer[0]] if outer else [""]:
        held = {c[inner] for c in chosen if not outer or c[outer[0]] == row}
        rows[row] = _stretches(levels[inner], held)
    if not outer:
        return rows[""]
    rectangles: list[tuple[str, str]] = []
    for same, stretch in itertools.groupby(rows.items(), key=lambda item: item[1]):
        names = [name for name, _ in stretch]
        for first, last in same:
            corners = ({outer[0]: names[0], inner: first}, {outer[0]: names[-1], inner: last})
            start, end = ("|".join(corner[name] for name in sorted(corner)) for corner in corners)
            rectangles.append((start, end))
    return rectangles


def _stretches(values: list[str], held: set[str]) -> list[tuple[str, str]]:
    groups = [(inside, list(group)) for inside, group in itertools.groupby(values, key=held.__contains__)]
    return [(group[0], group[-1]) for inside, group in groups if inside]
