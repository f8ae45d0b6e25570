"""Curves of two shape parameters: the best fit, and confidence intervals by profile likelihood.

The other parameters of a curve are computed at once for each shape, so the cost of a fit is a surface over two numbers.
It is searched on grids that are refined. Such a search needs no start, and follows valleys that are narrow or bent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from dynvision.analysis.fits import Values

__all__ = ["Surface", "find_best", "find_intervals", "loosen_intervals"]

_COARSE, _FINE, _ZOOMS = 40, 17, 6
"""Points of the first grid, of each finer one, and how many finer ones: the step shrinks by 8 with each."""

_DISTANCES = np.geomspace(1e-7, 1, 17)
"""Distances at which the end of an interval is sought, as shares of the way to the bound."""


class Surface(Protocol):
    """The cost of a curve as a function of its two shape parameters."""

    @property
    def bounds(self) -> Values:
        """Lowest and highest value of both shape parameters, shape `[2, 2]`."""

    @property
    def opens(self) -> Values:
        """Whether the other parameters grow without limit beyond a bound, shape `[2, 2]`, 0 or 1."""

    def cost(self, u: Values, v: Values) -> Values:
        """Return the lowest cost over the other parameters, for shapes that broadcast to `[...]`."""

    def spans(self, u: Values, v: Values, limit: float) -> Values:
        """Return the extent of each of the K other parameters where the cost is within the limit.

        Args:
            u: First shape parameter, shape `[M]`.
            v: Second one, shape `[M]`; the cost of each of the M shapes is within the limit.
            limit: The highest cost.

        Returns:
            Lowest and highest value, shape `[K, 2, M]`.
        """


def find_best(surface: Surface) -> tuple[float, float, float]:
    """Return the shape parameters of the lowest cost, and that cost."""
    low, high = surface.bounds[0]
    (u,), _ = _search(lambda x: _profile_at(surface, 0, x, 0.0), np.array([low]), np.array([high]), 0.0)
    (v,), (cost,) = _profile(surface, 0, np.array([u]), 0.0)
    return float(u), float(v), float(cost)


def find_intervals(surface: Surface, best: tuple[float, float], limit: float) -> Values:
    """Find the extent of each parameter over all curves whose cost is within a limit: its profile likelihood interval.

    Args:
        surface: The cost.
        best: The shape parameters of the lowest cost.
        limit: The highest cost of a curve that the data do not rule out.

    Returns:
        Lowest and highest value of the two shape parameters and of the K others, shape `[2 + K, 2]`. An end is infinite
        if curves up to the bound of a shape parameter are within the limit.

    Source: Bates & Watts, Nonlinear Regression Analysis and Its Applications, 1988, chapter 6 (profiles); for
    likelihoods Venzon & Moolgavkar, Applied Statistics 37, 1988.
    """
    cost = float(surface.cost(*(np.array(value) for value in best)))
    tolerance = 1e-4 * (limit - cost)
    ends = np.array([_find_ends(surface, axis, best[axis], limit, tolerance) for axis in (0, 1)])
    u, v = _fill_region(surface, best, np.clip(ends[0], *surface.bounds[0]), limit, tolerance)
    spans = surface.spans(u, v, limit)
    on_bound = np.zeros(u.shape, dtype=bool)
    for axis, x in enumerate((u, v)):
        for side in (0, 1):
            is_on = np.abs(x - surface.bounds[axis][side]) < 1e-9
            on_bound |= is_on & bool(surface.opens[axis][side])
    others = []
    for low, high in spans:
        lowest, highest = int(np.argmin(low)), int(np.argmax(high))
        others.append(
            [
                -np.inf if on_bound[lowest] else low[lowest],
                np.inf if on_bound[highest] else high[highest],
            ]
        )
    return np.concatenate([ends, np.array(others)])


def loosen_intervals(surface: Surface, best: tuple[float, float], intervals: Values, levels: Values) -> list[bool]:
    """Take from intervals, in place, what the bounds of the fit added to the data.

    An infinite end becomes NaN. A shape parameter at a bound has no interval, and the other one neither, because its
    interval is that of curves at the bound. There is one exception: if the data set no upper limit on the steepness,
    they do not tell curves apart that rise between two levels, and the first parameter may lie anywhere between them.

    Args:
        surface: The cost; its first shape parameter is the logarithm of a level, its second that of the steepness.
        best: The shape parameters of the lowest cost.
        intervals: The intervals of `find_intervals`, shape `[2 + K, 2]`.
        levels: The levels above 0, shape `[N]`.

    Returns:
        Whether each shape parameter is at a bound.
    """
    positions = np.log(levels)
    if np.isposinf(intervals[1, 1]):
        intervals[0, 0] = min(intervals[0, 0], positions[positions <= best[0]].max(initial=-np.inf))
        intervals[0, 1] = max(intervals[0, 1], positions[positions >= best[0]].min(initial=np.inf))
    intervals[~np.isfinite(intervals)] = np.nan
    is_at = np.abs(np.array(best)[:, None] - surface.bounds) < 1e-3
    if is_at[0].any() or is_at[1, 0]:
        intervals[:2] = np.nan
    elif is_at[1, 1]:
        intervals[1] = np.nan
    return [bool(ends.any()) for ends in is_at]


def _profile(surface: Surface, axis: int, x: Values, tolerance: float) -> tuple[Values, Values]:
    """Minimise the cost over one shape parameter for each value of the other, x of shape `[B]`; return both."""
    low, high = (np.full(len(x), end) for end in surface.bounds[1 - axis])

    def cost(other: Values) -> Values:
        return surface.cost(x[:, None], other) if axis == 0 else surface.cost(other, x[:, None])

    return _search(cost, low, high, tolerance)


def _search(cost: Callable[[Values], Values], low: Values, high: Values, tolerance: float) -> tuple[Values, Values]:
    """Minimise functions of one number, each between its own ends of shape `[B]`, on finer and finer grids.

    Args:
        cost: Takes the numbers, shape `[B, M]`, and returns the cost of each.
        low: Lowest number, shape `[B]`.
        high: Highest number, shape `[B]`.
        tolerance: The search ends where costs on the finest grid differ by less, or by less than 1e-7 of the lowest.

    Returns:
        The number of the lowest cost, and that cost, both of shape `[B]`.
    """
    rows = np.arange(len(low))
    best, lowest = low, np.full(len(low), np.inf)
    for zoom in range(_ZOOMS + 1):
        share = np.linspace(0, 1, _FINE if zoom else _COARSE)
        x = low[:, None] + (high - low)[:, None] * share
        costs = cost(x)
        i = costs.argmin(axis=1)
        is_lower = costs[rows, i] < lowest
        best, lowest = np.where(is_lower, x[rows, i], best), np.where(is_lower, costs[rows, i], lowest)
        before, after = np.maximum(i - 1, 0), np.minimum(i + 1, len(share) - 1)
        difference = np.maximum(costs[rows, before], costs[rows, after]) - costs[rows, i]
        if (difference <= np.maximum(tolerance, 1e-7 * lowest)).all():
            break
        low, high = x[rows, before], x[rows, after]
    return best, lowest


def _find_ends(surface: Surface, axis: int, best: float, limit: float, tolerance: float) -> Values:
    """Find the lowest and highest value of a shape parameter whose profile is within the limit, shape `[2]`.

    The outermost such value counts. An end is infinite if that is the bound.
    """
    reach = surface.bounds[axis] - best
    sides, count = np.arange(2), len(_DISTANCES)
    is_within = _profile_at(surface, axis, best + reach[:, None] * _DISTANCES, tolerance) <= limit
    beyond = count - is_within[:, ::-1].argmax(axis=1)
    beyond[~is_within.any(axis=1)] = 0
    outer = _DISTANCES[np.minimum(beyond, count - 1)]
    inner = np.where(beyond > 0, _DISTANCES[np.maximum(beyond - 1, 0)], 0)
    shares = inner[:, None] + (outer - inner)[:, None] * np.linspace(0, 1, _FINE)
    excess = _profile_at(surface, axis, best + reach[:, None] * shares, tolerance) - limit
    after = np.maximum((excess > 0).argmax(axis=1), 1)
    low, high = excess[sides, after - 1], excess[sides, after]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.clip(np.nan_to_num(low / (low - high)), 0, 1)
    share = shares[sides, after - 1] + part * (shares[sides, after] - shares[sides, after - 1])
    return np.where(beyond == count, [-np.inf, np.inf], best + reach * share)


def _profile_at(surface: Surface, axis: int, x: Values, tolerance: float) -> Values:
    """Return the cost of each value of a shape parameter, of the shape of the values."""
    return _profile(surface, axis, x.ravel(), tolerance)[1].reshape(x.shape)


def _fill_region(
    surface: Surface, best: tuple[float, float], ends: Values, limit: float, tolerance: float
) -> tuple[Values, Values]:
    """Return shapes that fill the region within the limit, each parameter of shape `[M]`; the best one is the first."""
    u = np.unique(np.append(np.linspace(ends[0], ends[1], _COARSE + 1), best[0]))
    centre, _ = _profile(surface, 0, u, tolerance)
    edges = []
    for bound in surface.bounds[1]:
        reach = (bound - centre)[:, None] * _DISTANCES
        is_within = surface.cost(u[:, None], centre[:, None] + reach) <= limit
        last = np.where(is_within.any(axis=1), len(_DISTANCES) - is_within[:, ::-1].argmax(axis=1), 0)
        edges.append(reach[np.arange(len(u)), np.minimum(last, len(_DISTANCES) - 1)])
    offsets = np.concatenate([edge[:, None] * np.linspace(0, 1, 13) for edge in edges], axis=1)
    v = centre[:, None] + offsets
    u = np.broadcast_to(u[:, None], v.shape)
    is_within = surface.cost(u, v) <= limit
    return np.append(best[0], u[is_within]), np.append(best[1], v[is_within])
