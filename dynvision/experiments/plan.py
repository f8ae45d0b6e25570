"""The plan of a sweep: what presentations share at their start is computed once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dynvision.stimuli.presentation import Presentation

__all__ = ["Branch", "count_states", "plan_sweep", "plan_whole"]


@dataclass(frozen=True)
class Branch:
    """A stretch of steps that some conditions share, and what follows it: a part of the prefix tree.

    Durations of 1, 2 and 5 steps after one void step, in a trial of 6 steps::

        step      0 1 2 3 4 5
        all       · 0               start 0, stop 2, conditions (0, 1, 2)
        1 step        · · · ·       its first child
        2 and 5       0             its second child, which has two children of its own:
        2 steps         · · ·
        5 steps         0 0 0

    Attributes:
        start: The first step.
        stop: The step after the last one; equal to `start` only in a root whose conditions share nothing.
        conditions: The numbers of the presentations that share it.
        children: What follows, the child with the fewest conditions first.
        n_steps: Steps of this branch and all that follows: the nodes of the prefix tree from here.
        shown_by: The condition whose presentation draws the frames of this branch: of those that share it, the one
            that is computed last.
        most_states: The most states of the network that are in memory at once if children are computed one after the
            other. While a child is computed, the state at the fork is kept for its siblings; the last child uses
            that state itself, without a copy.
            Because the largest child comes last, this is at most 1 + log2 of the number of conditions.
    """

    start: int
    stop: int
    conditions: tuple[int, ...]
    children: tuple[Branch, ...] = ()
    n_steps: int = field(init=False)
    shown_by: int = field(init=False)
    most_states: int = field(init=False)

    def __post_init__(self) -> None:
        # Each child has its totals already. Recursion would fail: a tree may be deeper than Python allows.
        steps = self.stop - self.start + sum(child.n_steps for child in self.children)
        *before, last = self.children or (None,)
        states = [1 if last is None else last.most_states, *(1 + c.most_states for c in before if c is not None)]
        object.__setattr__(self, "n_steps", steps)
        object.__setattr__(self, "shown_by", self.conditions[0] if last is None else last.shown_by)
        object.__setattr__(self, "most_states", max(states))

    def __iter__(self) -> Iterator[Branch]:
        """Go through this branch and every one below it, in the order in which they are computed."""
        pending = [self]
        while pending:
            branch = pending.pop()
            yield branch
            pending += reversed(branch.children)


def plan_sweep(presentations: Sequence[Presentation]) -> Branch:
    """Make the prefix tree of presentations.

    A network with a state has to be run once for each step of the tree: presentations that show the same up to
    a step share its responses.

    Args:
        presentations: Of equal length.

    Returns:
        The root of the tree.

    Raises:
        ValueError: If they differ in length, or there are none.
    """
    lengths = sorted({p.n_timesteps for p in presentations})
    if len(lengths) != 1:
        raise ValueError(f"presentations of one sweep have one length, but there are {lengths}")
    # Parents first, each with the position of its own parent; then the branches are made from the leaves up.
    stretches: list[tuple[int, int, tuple[int, ...], int]] = []
    waiting: list[tuple[tuple[int, ...], int, int]] = [(tuple(range(len(presentations))), 0, -1)]
    while waiting:
        conditions, start, parent = waiting.pop()
        stop, parts = _find_fork(presentations, conditions, start, lengths[0])
        waiting += [(tuple(part), stop, len(stretches)) for part in parts]
        stretches.append((start, stop, conditions, parent))
    children: dict[int, list[Branch]] = {}
    for position in reversed(range(len(stretches))):
        start, stop, conditions, parent = stretches[position]
        # The child with the most conditions comes last: that bounds the number of states kept at once.
        ordered = sorted(
            children.pop(position, []), key=lambda child: (len(child.conditions), child.n_steps, child.conditions)
        )
        children.setdefault(parent, []).append(Branch(start, stop, conditions, tuple(ordered)))
    return children[-1][0]


def plan_whole(presentations: Sequence[Presentation]) -> Branch:
    """Make the tree of presentations for a network that takes a whole trial at once: nothing but equals is shared.

    Args:
        presentations: Of equal length.

    Returns:
        The root of the tree.
    """
    alike: dict[object, list[int]] = {}
    for number, presentation in enumerate(presentations):
        key = tuple(presentation.step_key(t) for t in range(presentation.n_timesteps))
        alike.setdefault(key, []).append(number)
    leaves = [Branch(0, presentations[0].n_timesteps, tuple(numbers)) for numbers in alike.values()]
    return leaves[0] if len(leaves) == 1 else Branch(0, 0, tuple(range(len(presentations))), tuple(leaves))


def count_states(n_conditions: int) -> int:
    """Return for how many states of the network memory is reserved: 8 for all experiments of up to 64 conditions.

    So another level does not change the size of batches, and with it the last digits of the other levels. Each
    condition may have two runs of its own that it is compared with.
    """
    return 1 + int(math.log2(3 * max(n_conditions, 64)))


def _find_fork(
    presentations: Sequence[Presentation], conditions: Sequence[int], start: int, length: int
) -> tuple[int, list[list[int]]]:
    """Return the first step from `start` on in which conditions differ, and the groups that do not.

    If they never differ, return the end of the trial and no groups.
    """
    for stop in range(start, length):
        parts: dict[object, list[int]] = {}
        for condition in conditions:
            parts.setdefault(presentations[condition].step_key(stop), []).append(condition)
        if len(parts) > 1:
            return stop, list(parts.values())
    return length, []
