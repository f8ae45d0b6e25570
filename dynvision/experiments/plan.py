"""The plan of a sweep: presentations that begin alike are computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dynvision.data.schedule import Presentation

__all__ = ["Branch", "plan_sweep"]


@dataclass(frozen=True)
class Branch:
    """A stretch of steps that the same conditions share, and what follows it: a part of the prefix tree.

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
        conditions: Which presentations share it, by their place.
        children: What follows, the one with the fewest steps first.
    """

    start: int
    stop: int
    conditions: tuple[int, ...]
    children: tuple[Branch, ...] = ()

    @cached_property
    def n_steps(self) -> int:
        """Steps of this branch and all that follows: the nodes of the prefix tree from here."""
        return self.stop - self.start + sum(child.n_steps for child in self.children)

    @property
    def shown_by(self) -> int:
        """A condition that has this branch: the one that is finished last."""
        return self.children[-1].shown_by if self.children else self.conditions[0]

    @cached_property
    def most_states(self) -> int:
        """How many states of the network are held at once where children are computed one after the other.

        While a child is computed the state that its siblings begin with is kept; the last child takes it over. As the
        largest child comes last, this is at most 1 + log2 of the number of conditions.
        """
        if not self.children:
            return 1
        *before, last = self.children
        return max([last.most_states, *(1 + child.most_states for child in before)])

    def __iter__(self) -> Iterator[Branch]:
        """This branch and every one below it, in the order in which they are computed."""
        pending = [self]
        while pending:
            branch = pending.pop()
            yield branch
            pending += reversed(branch.children)


def plan_sweep(presentations: Sequence[Presentation]) -> Branch:
    """Find the distinct prefixes of presentations: their prefix tree.

    A network with a state has to be run once for each step of the tree; presentations that show the same up to
    a step share its responses.

    Args:
        presentations: Of equal length.

    Raises:
        ValueError: They differ in length, or there are none.
    """
    lengths = sorted({p.n_timesteps for p in presentations})
    if len(lengths) != 1:
        raise ValueError(f"presentations of one sweep have one length, but there are {lengths}")
    return _grow(presentations, tuple(range(len(presentations))), 0, lengths[0])


def _grow(presentations: Sequence[Presentation], conditions: tuple[int, ...], start: int, length: int) -> Branch:
    for stop in range(start, length):
        parts: dict[object, list[int]] = {}
        for condition in conditions:
            parts.setdefault(presentations[condition].step_key(stop), []).append(condition)
        if len(parts) > 1:
            children = [_grow(presentations, tuple(part), stop, length) for part in parts.values()]
            # The largest goes last, by the number of conditions: that bounds the states that are held.
            children.sort(key=lambda child: (len(child.conditions), child.n_steps, child.conditions))
            return Branch(start, stop, conditions, tuple(children))
    return Branch(start, length, conditions)
