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
"""An interval of a logarithm with a larger margin says nothing and is left out."""

_TRIED = 4
"""How many of the starts, the nearest to the data, a fit is tried from."""

_FLAT = 1e-6
"""Values that differ by less than this share of the largest are one value."""


@dataclass(frozen=True)
class Estimate:
    """A parameter of a fitted curve with its confidence interval; NaN where there is none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Fit:
    """A fitted curve, or the reason why there is none.

    Attributes:
        model: The curve's name.
        parameters: By name; empty where the fit was refused.
        r2: Share of the variance between levels that the curve explains.
        levels: How many levels went into it.
        note: Why it was refused, or what to beware of.
    """

    model: str
    parameters: dict[str, Estimate] = field(default_factory=dict)
    r2: float = float("nan")
    levels: int = 0
    note: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """One row for each parameter; one without a value where the fit was refused."""
        common = {"model": self.model, "r2": self.r2, "levels": self.levels, "note": self.note}
        found: list[tuple[str | None, Estimate]] = [*self.parameters.items()] or [(None, Estimate(float("nan")))]
        return [{"parameter": name, "value": e.value, "low": e.low, "high": e.high, **common} for name, e in found]


def refuse(model: str, x: Values, y: Values, n_parameters: int) -> Fit | None:
    """Say why a curve cannot be fitted to these levels; `None` where it can.

    Refused are levels that are no more than the curve's parameters (nothing would be left to estimate an error from),
    values that are not finite, and values that do not vary.
    """
    note = ""
    levels = len(np.unique(x))
    if levels <= n_parameters:
        held = f"{levels} level{'' if levels == 1 else 's'}"
        note = f"not fitted: {held} for a curve of {n_parameters} parameters; it needs {n_parameters + 1}"
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
    """Fit a curve from the nearest of several starts and keep the best (`scipy.optimize.curve_fit`).

    The method is the one with bounds: trust region reflective.

    Args:
        curve: Takes x and the parameters.
        x: Levels.
        y: Values.
        starts: First guesses, inside the bounds.
        bounds: Lowest and highest value of each parameter.
        sigma: Standard error of each value; by default all are equal and estimated from the residuals.

    Returns:
        The parameters and their standard errors, which are infinite where the data do not determine them; `None` where
        no start converges. With `sigma` the errors follow from it, and are widened by ``√(χ² / dof)`` where the values
        scatter more than it says.
    """
    import warnings

    from scipy.optimize import OptimizeWarning, curve_fit

    best: tuple[float, Values, Values] | None = None
    weights = np.ones_like(y) if sigma is None else 1 / sigma
    nearest = sorted(starts, key=lambda start: float((((curve(x, *start) - y) * weights) ** 2).sum()))
    for start in nearest[:_TRIED]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", OptimizeWarning)  # its infinite errors say the same
            try:
                found, covariance = curve_fit(
                    curve, x, y, start, sigma, absolute_sigma=sigma is not None, bounds=bounds, maxfev=4000
                )
            except RuntimeError:
                continue
            cost = float((((curve(x, *found) - y) * weights) ** 2).sum())
        if best is None or cost < best[0]:
            best = (cost, found, np.sqrt(np.diag(covariance)))
    if best is None:
        return None
    cost, found, errors = best
    if sigma is not None and len(x) > len(found):
        errors = errors * max(1.0, np.sqrt(cost / (len(x) - len(found))))
    return found, errors


def goodness(y: Values, fitted: Values) -> float:
    """The coefficient of determination, ``1 − Σ(y − ŷ)² / Σ(y − ȳ)²``."""
    return float(1 - ((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
