"""What of a plan depends on what, and which of its targets are built by one call."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynvision.engines.calls import Resources
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = [
    "Group",
    "chain_lengths",
    "find_needs",
    "group_targets",
    "name_targets",
    "places_in_line",
    "split_evenly",
]


@dataclass(frozen=True)
class Group:
    """Targets of one asset that one call may build together.

    Attributes:
        targets: The targets; several only if their stage builds many.
        attempts: What each attempt at the call needs.
        here: Whether the controlling machine computes it, whatever the engine.
    """

    targets: tuple[Target, ...]
    attempts: tuple[Resources, ...]
    here: bool

    def of(self, targets: Sequence[Target]) -> Group:
        """Return a group of some of the targets."""
        return dataclasses.replace(self, targets=tuple(targets))


def find_needs(workspace: Workspace, plan: Sequence[Target]) -> dict[Target, frozenset[Target]]:
    """Return for each target of a plan the others of the plan that it is made from, also through what is not in it."""
    inside, found = set(plan), dict[Target, frozenset[Target]]()

    def find(target: Target) -> frozenset[Target]:
        if target not in found:
            upstream = workspace.upstream(target)
            found[target] = frozenset().union(*(frozenset({t}) if t in inside else find(t) for t in upstream))
        return found[target]

    return {target: find(target) for target in plan}


def chain_lengths(needs: Mapping[Target, frozenset[Target]]) -> dict[Target, int]:
    """Return how many targets of a plan stand one after the other behind each, itself included.

    Args:
        needs: What each target is made from, in an order in which they can be built.
    """
    lengths = dict.fromkeys(needs, 1)
    for target in reversed(list(needs)):
        for upstream in needs[target]:
            lengths[upstream] = max(lengths[upstream], lengths[target] + 1)
    return lengths


def places_in_line(needs: Mapping[Target, frozenset[Target]]) -> dict[Target, int]:
    """Return priorities by which what nothing else is made from is finished soonest, the first of the plan at first.

    With one place to compute, all takes equally long in any order. So the first result comes as early as it can.

    Args:
        needs: What each target is made from, in an order in which they can be built.
    """
    numbers = {target: number for number, target in enumerate(needs)}
    line: dict[Target, None] = {}

    def put(target: Target) -> None:
        for upstream in sorted(needs[target] - line.keys(), key=numbers.__getitem__):
            put(upstream)
        line[target] = None

    needed = frozenset[Target]().union(*needs.values())
    for target in needs:
        if target not in needed:
            put(target)
    return {target: len(line) - place for place, target in enumerate(line)}


def group_targets(workspace: Workspace, plan: Sequence[Target]) -> list[Group]:
    """Group the targets that are built together: those of one asset if its stage builds many, else each alone.

    Targets that need other resources are not built together.
    """
    compute = workspace.config.compute
    groups: dict[Any, list[Target]] = {}
    for target in plan:
        stage = workspace.stage(target)
        what = target.key if stage.builds_many else target
        attempts = compute.attempts(target, stage.computes_networks)
        groups.setdefault((what, attempts, compute.runs_here(target)), []).append(target)
    return [Group(tuple(targets), attempts, here) for (_, attempts, here), targets in groups.items()]


def name_targets(targets: Sequence[Target]) -> str:
    """Return how people call the targets of a call: the only one, or their asset and how many there are."""
    return str(targets[0]) if len(targets) == 1 else f"{'/'.join(targets[0].key)} ({len(targets)} partitions)"


def split_evenly(targets: Sequence[Target], parts: int) -> list[Sequence[Target]]:
    """Cut targets into parts of neighbours whose sizes differ by one at most; no part is empty."""
    parts = min(parts, len(targets))
    size, larger = divmod(len(targets), parts)
    ends = [number * size + min(number, larger) for number in range(parts + 1)]
    return [targets[start:end] for start, end in itertools.pairwise(ends)]
