"""Scheduling a plan: each call goes to an engine as soon as everything that its targets are made from is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynvision.engines.base import Engine
from dynvision.engines.calls import Call, Outcome
from dynvision.errors import ConfigError, DataError, DynvisionError, OutOfTimeError
from dynvision.records import Record
from dynvision.system.progress import say
from dynvision.targets import Target
from dynvision.workspace.failures import say_what_is_kept, summarize_failures
from dynvision.workspace.grouping import (
    Group,
    chain_lengths,
    find_needs,
    group_targets,
    name_targets,
    places_in_line,
    split_evenly,
)
from dynvision.workspace.visibility import await_visible
from dynvision.workspace.workspace import Status, Workspace

__all__ = ["BUILD", "Built", "Schedule", "ScheduleOptions"]

BUILD = "dynvision.workspace.building:build_for_schedule"
"""The function that every call calls."""


@dataclass(frozen=True)
class Built:
    """A finished target.

    Attributes:
        target: The target.
        record: Its record.
        was_built: Whether it was built by this schedule. Otherwise it was up to date when its lock was free.
        where: The machine and process that built it, for people; empty if it is this one.
    """

    target: Target
    record: Record
    was_built: bool = True
    where: str = ""


@dataclass(frozen=True)
class ScheduleOptions:
    """How a plan is built.

    Attributes:
        forced: The targets that are built even if they are up to date.
        wait: Wait for another process that builds a target; otherwise the target fails.
        look_again: Leave out a target that is up to date when its turn comes. Without this, every target is given to
            the engine, and comes back also if there was nothing to build.
        run_settings: Settings for this run only; see `build_targets`.
        tell: Takes lines about what is built and why.
        progress: Takes lines about the progress of running calls; by default `tell`.
        begin: Takes each target just before it is given to the engine.
    """

    forced: frozenset[Target] = frozenset()
    wait: bool = True
    look_again: bool = True
    run_settings: Mapping[str, Any] = field(default_factory=dict)
    tell: Callable[[str], object] = say
    progress: Callable[[str], object] | None = None
    begin: Callable[[Target], object] = lambda target: None


class Schedule:
    """Builds the targets of a plan with an engine, those that do not depend on each other at once.

    Args:
        workspace: The workspace.
        plan: The targets in an order in which they can be built, as `Workspace.plan` returns it.
        engine: The engine. The caller closes it.
        options: How they are built.

    Attributes:
        failed: The targets that failed so far, each with its error.
    """

    def __init__(
        self,
        workspace: Workspace,
        plan: Sequence[Target],
        engine: Engine,
        options: ScheduleOptions = ScheduleOptions(),  # it is frozen
    ) -> None:
        self.workspace, self.engine, self.options = workspace, engine, options
        self._needs = find_needs(workspace, plan)
        self._priorities = (places_in_line if engine.has_one_place else chain_lengths)(self._needs)
        self._waiting = group_targets(workspace, plan)
        self._running: dict[tuple[str, ...], Group] = {}
        self._done: set[Target] = set()
        self.failed: dict[Target, DynvisionError] = {}
        self._dropped: list[Target] = []

    def run(self) -> Iterator[Built]:
        """Build everything, and yield each finished target at once; what depends on it follows after that.

        A target that fails takes everything along that is made from it. The others are built all the same.

        Raises:
            DynvisionError: At the end, if a target failed: the first error, and the names of what else failed or was
                not built because of it. At once if the engine itself does not work.
            ConfigError: Before anything is built, if the engine can never compute a target.
            KeyboardInterrupt: After a signal. The engine still has to be closed.
        """
        for group in self._waiting:
            if (why := self.engine.refusal(group.attempts[0], group.here)) and self._has_work(group):
                raise ConfigError(f"{name_targets(group.targets)}: {why}")
        while True:
            self._submit_ready()
            if not self._running:
                break
            outcome = self.engine.wait(self.options.progress or self.options.tell)
            group = self._running.pop(tuple(outcome.call.arguments["targets"]))
            for built in self._take(group, outcome):
                yield built
                if built.target not in self.failed:
                    self._done.add(built.target)
            self._drop_dependents()
        if self.failed:
            raise summarize_failures(self.failed, self._dropped)

    def fail(self, target: Target, error: DynvisionError) -> None:
        """Let a target that was yielded count as failed, because whoever received it refuses it."""
        self.failed[target] = error

    def _has_work(self, group: Group) -> bool:
        """Whether anything of a group has to be built. A plan of `make` holds nothing else, one of assets may."""
        known: dict[Target, Status] = {}
        return any(
            target in self.options.forced or self.workspace.status(target, known).state != "fresh"
            for target in group.targets
        )

    def _submit_ready(self) -> None:
        """Give everything to the engine whose inputs are there."""
        calls: list[tuple[Group, bool]] = []
        while ready := [g for g in self._waiting if all(self._needs[t] <= self._done for t in g.targets)]:
            self._waiting = [group for group in self._waiting if group not in ready]
            # What is up to date by now counts as done at once, so that more may be ready.
            for group in ready:
                calls += self._look_again(group)
        busy = len(self._running)
        for group, is_forced in calls:
            free = self.engine.slots_for(group.attempts[0], group.here) - busy
            parts = max(1, free // len(calls)) if self.workspace.stage(group.targets[0]).builds_many else 1
            for targets in split_evenly(group.targets, parts):
                self._submit(group.of(targets), is_forced)

    def _look_again(self, group: Group) -> Iterator[tuple[Group, bool]]:
        """Yield what of a group has to be built, and whether it is forced.

        An input may have been built again with the same content, or another process may have built the target.
        """
        forced = [target for target in group.targets if target in self.options.forced]
        others = [target for target in group.targets if target not in self.options.forced]
        known: dict[Target, Status] = {}
        if self.options.look_again:
            fresh = {target for target in others if self.workspace.status(target, known).state == "fresh"}
            self._done |= fresh
            others = [target for target in others if target not in fresh]
        for targets, is_forced in ((others, False), (forced, True)):
            if targets:
                if self.options.look_again:
                    reason = "forced" if is_forced else self.workspace.status(targets[0], known).reason
                    self.options.tell(f"{name_targets(targets)}: {reason}")
                yield group.of(targets), is_forced

    def _submit(self, group: Group, is_forced: bool, wait: bool | None = None) -> None:
        for target in group.targets:
            self.options.begin(target)
        arguments: dict[str, Any] = {
            "targets": [str(target) for target in group.targets],
            "root": str(self.workspace.paths.root),
            "config": self.workspace.snapshot,
            "force": is_forced,
            "wait": self.options.wait if wait is None else wait,
        }
        if self.options.run_settings:
            arguments["run_settings"] = dict(self.options.run_settings)
        self._running[tuple(arguments["targets"])] = group
        priority = max(self._priorities[target] for target in group.targets)
        name = name_targets(group.targets)
        # The lock of a worker that is lost on another machine lasts until it has not been refreshed for a while.
        again = {"wait": True}
        self.engine.submit(Call(name, BUILD, arguments, group.attempts, priority, group.here, again))

    def _take(self, group: Group, outcome: Outcome) -> Iterator[Built]:
        """Yield what of a call is finished, and note what failed."""
        if outcome.error is None:
            built = set(outcome.result["built"])
            for target, content in zip(group.targets, outcome.result["records"], strict=True):
                record = Record.from_dict(content, target)
                if outcome.where and not await_visible(self.workspace, target, record):
                    self.failed[target] = _invisible(target, outcome.where)
                    continue
                yield Built(target, record, str(target) in built, outcome.where)
            return
        is_forced = bool(outcome.call.arguments["force"])
        if isinstance(outcome.error, DataError) and len(group.targets) > 1:
            # One of them is at fault. Each alone says which, and goes on where it was; the others are kept.
            for target in group.targets:
                self._submit(group.of([target]), is_forced)
            return
        if isinstance(outcome.error, OutOfTimeError) and len(group.targets) > 1:
            # They advance together, so that all of them are unfinished. Recordings go on where they were.
            self.options.tell(
                f"{outcome.call.name}: the time was too short for all of them together; they go on in two calls"
            )
            for targets in split_evenly(group.targets, 2):
                self._submit(group.of(targets), is_forced, wait=True)
            return
        error = outcome.error if is_forced else say_what_is_kept(self.workspace, group.targets, outcome.error)
        for target in group.targets:
            existing = self.workspace.read_record(target)
            if not is_forced and existing is not None and self.workspace.status(target).state == "fresh":
                yield Built(target, existing, where=outcome.where)
            else:
                self.failed[target] = error

    def _drop_dependents(self) -> None:
        """Take everything out of the plan that is made from what failed."""
        lost = {*self.failed, *self._dropped}
        kept = []
        for group in self._waiting:
            hit = [target for target in group.targets if self._needs[target] & lost]
            self._dropped += hit
            lost |= set(hit)
            rest = [target for target in group.targets if target not in hit]
            if rest:
                kept.append(group.of(rest))
        self._waiting = kept


def _invisible(target: Target, where: str) -> DynvisionError:
    return DynvisionError(
        f"{target} was built by {where}, but its files cannot be seen on this machine. Put the root on a file system "
        "that both share; 'dynvision doctor' tests that."
    )
