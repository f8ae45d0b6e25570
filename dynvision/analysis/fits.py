"""Least-squares fits with confidence intervals, as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONFIDENCE", "LARGEST", "Estimate", "Fit", "Values", "fit_curve", "goodness", "refuse"]

Values = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""The confidence of the intervals."""

LARGEST = float(np.log(1e3)) / 2
"""The largest margin of an interval of a logarithm: an interval that spans a factor of 1000 is left out."""

_TRIED = 4
"""From how many starts a fit is tried: those that are nearest to the data."""

_FLAT = 1e-6
"""Values that differ by less than this share of the largest count as equal."""


@dataclass(frozen=True)
class Estimate:
    """A parameter of a fitted curve with its confidence interval, whose ends are NaN if there is none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Fit:
    """A fitted curve, or the reason why there is none.

    Attributes:
        model: The curve's name.
        parameters: The estimates by name; empty if the fit was refused.
        r2: Share of the variance between levels that the curve explains.
        levels: How many levels were fitted.
        note: Why the fit was refused, or a warning.
    """

    model: str
    parameters: dict[str, Estimate] = field(default_factory=dict)
    r2: float = float("nan")
    levels: int = 0
    note: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each parameter, or a single one without a value if the fit was refused."""
        common = {"model": self.model, "r2": self.r2, "levels": self.levels, "note": self.note}
        estimates: list[tuple[str | None, Estimate]] = [*self.parameters.items()] or [(None, Estimate(float("nan")))]
        return [{"parameter": name, "value": e.value, "low": e.low, "high": e.high, **common} for name, e in estimates]


def refuse(model: str, x: Values, y: Values, n_parameters: int) -> Fit | None:
    """Return a fit that says why a curve cannot be fitted to these levels, or `None` if it can.

    A fit is refused if there are no more levels than parameters (no degree of freedom would remain to estimate an error
    from), if a value is not finite, or if the values do not vary.

    Args:
        model: The curve's name.
        x: Levels, shape `[N]`.
        y: The value at each, shape `[N]`.
        n_parameters: How many parameters the curve has.
    """
    note = ""
    levels = len(np.unique(x))
    if levels <= n_parameters:
        count = f"{levels} level{'' if levels == 1 else 's'}"
        note = f"not fitted: {count} for a curve of {n_parameters} parameters; it needs {n_parameters + 1}"
    elif not (np.isfinite(x).all() and np.isfinite(y).all()):
        note = "not fitted: a value is not finite"
    elif np.ptp(y) <= _FLAT * np.abs(y).max() + 1e-12:
        note = "not fitted: the values do not vary"
    return Fit(model, levels=levels, note=note) if note else None


def fit_curve(
    curve: Callable[..., Values],
    x: Values,
    y: Values,
    starts: Sequence[Sequence[float]],
    bounds: tuple[Sequence[float], Sequence[float]],
    sigma: Values | None = None,
) -> tuple[Values, Values] | None:
    """Fit a curve by least squares from the nearest of several starts, and keep the best fit.

    The fit is that of `scipy.optimize.curve_fit` with bounds: trust region reflective (Branch, Coleman & Li, SIAM
    Journal on Scientific Computing 21, 1999).

    Args:
        curve: Takes x and the P parameters.
        x: Levels, shape `[N]`.
        y: Values, shape `[N]`.
        starts: First guesses of the parameters, inside the bounds.
        bounds: Lowest and highest value of each parameter.
        sigma: Standard error of each value, shape `[N]`; by default all are equal and estimated from the residuals.

    Returns:
        The parameters and their standard errors, each of shape `[P]`; `None` if no start converges. The error of a
        parameter that the data do not determine is infinite. With `sigma` the errors follow from it, and are widened by
        ``√(χ² / dof)`` if the values scatter more than it says.
    """
    import warnings

    from scipy.optimize import OptimizeWarning, curve_fit

    best: tuple[float, Values, Values] | None = None
    weights = np.ones_like(y) if sigma is None else 1 / sigma
    nearest = sorted(starts, key=lambda start: float((((curve(x, *start) - y) * weights) ** 2).sum()))
    for start in nearest[:_TRIED]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", OptimizeWarning)  # infinite errors say the same
            try:
                fitted, covariance = curve_fit(
                    curve, x, y, start, sigma, absolute_sigma=sigma is not None, bounds=bounds, maxfev=4000
                )
            except RuntimeError:
                continue
            cost = float((((curve(x, *fitted) - y) * weights) ** 2).sum())
        if best is None or cost < best[0]:
            best = (cost, fitted, np.sqrt(np.diag(covariance)))
    if best is None:
        return None
    cost, fitted, errors = best
    if sigma is not None and len(x) > len(fitted):
        errors = errors * max(1.0, np.sqrt(cost / (len(x) - len(fitted))))
    return fitted, errors


def goodness(y: Values, fitted: Values) -> float:
    """Return the coefficient of determination, ``1 − Σ(y − ŷ)² / Σ(y − ȳ)²``.

    Args:
        y: Values, shape `[N]`, which vary.
        fitted: The curve at the same levels, ŷ, shape `[N]`.
    """
    return float(1 - ((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
