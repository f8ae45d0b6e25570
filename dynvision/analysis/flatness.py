"""Tests of a fitted curve against responses that do not follow it: a constant, and a constant but for one level."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from dynvision.analysis.fits import Values

__all__ = ["compare_variances", "compare_with_chance", "compare_with_errors", "find_single_level"]

_ALL_ORDERS, _SAMPLED_ORDERS = 6, 999


def compare_with_chance(values: Values, shapes: Values, is_two_sided: bool) -> float:
    """Return how likely a curve describes the same values as well if they are put in random order.

    The test is exact, whatever the distribution of the scatter, allows for the choice of the best shape, and holds for
    any number of levels. Up to 6 levels are put in all orders, more in 999 random ones (with a fixed seed).

    Args:
        values: The value at each level, shape `[N]`.
        shapes: The curve without offset and scale for G shapes, shape `[G, N]`.
        is_two_sided: Whether the curve may fall as well as rise.

    Returns:
        The p value, which is at least 1 / number of orders.

    Source: Ernst, Statistical Science 19, 2004 (permutation methods).
    """
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    centred = centred[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    if not len(centred):
        return 1.0
    # The best curve has the highest correlation with the values.
    correlation = centred @ (values - values.mean())[_orders(len(values))].T
    best = (np.abs(correlation) if is_two_sided else correlation).max(axis=0)
    return float(np.mean(best >= best[0] * (1 - 1e-9))) if best[0] > 0 else 1.0


@functools.lru_cache(maxsize=8)
def _orders(count: int) -> np.ndarray:
    """Return orders of N levels, shape `[P, N]`; the first one leaves them as they are."""
    if count <= _ALL_ORDERS:
        return np.array(list(itertools.permutations(range(count))))
    rng = np.random.default_rng(0)
    return np.array([np.arange(count), *(rng.permutation(count) for _ in range(_SAMPLED_ORDERS))])


def compare_variances(simple: float, curve: float, extra: int, freedom: int) -> float:
    """Return the p value of the F test of a curve against a simpler description.

    Args:
        simple: Residual sum of squares of the simpler description.
        curve: That of the curve.
        extra: How many parameters more the curve has.
        freedom: Levels minus parameters of the curve.
    """
    from scipy.special import fdtrc

    if curve <= 0:
        return 0.0
    return float(fdtrc(extra, freedom, max(simple - curve, 0.0) / extra / (curve / freedom)))


def compare_with_errors(values: Values, errors: Values) -> float:
    """Return the p value of the χ² test that values are one constant.

    Args:
        values: The values, shape `[N]`.
        errors: Their standard errors, above 0, shape `[N]`.
    """
    from scipy.special import chdtrc

    weights = 1 / errors**2
    mean = (weights * values).sum() / weights.sum()
    return float(chdtrc(len(values) - 1, (weights * (values - mean) ** 2).sum()))


def find_single_level(values: Values) -> int:
    """Return the level that differs most from the others: those are closest to a constant without it."""
    rest = [((np.delete(values, i) - np.delete(values, i).mean()) ** 2).sum() for i in range(len(values))]
    return int(np.argmin(rest))
