"""The runs that a condition is compared with: the same trial without a stimulus, and with its first showing alone.

They are shown along with the conditions, with the same images and noise, and share the start of the trial with them. Of
each run a store keeps the mean of every layer, for each sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dynvision.experiments.stores.layout import REST, SINGLE
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import show_first_only, show_nothing

__all__ = ["References", "plan_references", "reference_names"]


@dataclass(frozen=True)
class References:
    """The runs that the conditions of a sweep are compared with.

    Attributes:
        presentations: Each different run once.
        used: For each condition the position of its runs, by the names of `REFERENCES`.
    """

    presentations: tuple[Presentation, ...] = ()
    used: tuple[Mapping[str, int], ...] = ()


def plan_references(presentations: Sequence[Presentation]) -> References:
    """Find the runs that conditions are compared with; conditions that differ in the stimulus alone share them.

    Args:
        presentations: One for each condition, without idle steps.
    """
    positions: dict[Presentation, int] = {}
    used = [
        {name: positions.setdefault(run, len(positions)) for name, run in _make_runs(presentation).items()}
        for presentation in presentations
    ]
    return References(tuple(positions), tuple(used))


def reference_names(presentation: Presentation) -> tuple[str, ...]:
    """Return which runs a condition is compared with."""
    return tuple(_make_runs(presentation))


def _make_runs(presentation: Presentation) -> dict[str, Presentation]:
    single = show_first_only(presentation)
    return {REST: show_nothing(presentation), **({} if single is None else {SINGLE: single})}
