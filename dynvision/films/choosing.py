"""Which steps of a trial a film shows: where something changes, and evenly in between."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from dynvision.films.timeline import Timeline

__all__ = ["choose_steps", "pick_evenly"]

Item = TypeVar("Item")

_VOID_WEIGHT = 0.1
"""How much a step of void counts where gaps are filled; there is less to see than in a step of an image."""


def choose_steps(timeline: Timeline, most: int) -> list[int]:
    """Choose the steps that say most about a trial.

    These are the first and the last step, and those at which an image appears or disappears; if they are too many,
    those at which one appears. Then come steps with another change, as of contrast, and steps in the middle of the
    widest gaps.

    Args:
        timeline: The trial.
        most: How many steps at most; at least 2.

    Returns:
        The steps in order.
    """
    if timeline.n_steps <= most:
        return list(range(timeline.n_steps))
    ends, bounds = {0, timeline.n_steps - 1}, timeline.bounds
    if len(ends.union(bounds)) > most:
        bounds = tuple(step for step in bounds if timeline.shown[step] >= 0)
    if len(ends.union(bounds)) > most:
        return sorted({*pick_evenly(bounds, most - 1), 0})
    chosen = ends.union(bounds)
    others = sorted(set(timeline.changes) - chosen)
    if others and len(chosen) < most:
        chosen.update(pick_evenly(others, max(1, (most - len(chosen)) // 2)))
    return _fill_gaps(chosen, timeline, most)


def pick_evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Return all items or `most` of them, evenly spread from the first to the last."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[len(items) // 2]]
    return [items[place] for place in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))]


def _fill_gaps(chosen: Collection[int], timeline: Timeline, most: int) -> list[int]:
    steps = sorted(chosen)
    while len(steps) < most:
        gaps = np.diff(steps)
        weights = np.where(timeline.shown[steps[:-1]] >= 0, gaps, gaps * _VOID_WEIGHT)
        widest = int(np.where(gaps > 1, weights, 0).argmax())
        if gaps[widest] < 2:
            break
        steps.insert(widest + 1, steps[widest] + int(gaps[widest]) // 2)
    return steps
