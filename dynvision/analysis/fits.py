"""Fits with confidence intervals: as rows of a table, and as a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONFIDENCE", "Estimate", "Fit", "Values", "format_estimate", "goodness", "is_shown", "refuse"]

Values = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""The confidence of the intervals."""

_FLAT = 1e-6
"""Values that differ by less than this share of the largest count as equal."""


@dataclass(frozen=True)
class Estimate:
    """A parameter of a fitted curve and its confidence interval; an end is NaN if the data set no limit on its side."""

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
    from), if a value is not finite, if a level is below 0, or if the values do not vary.

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
    elif x.min() < 0:
        note = f"not fitted: the level {x.min():g} is below 0, where the curve is not defined"
    elif np.ptp(y) <= _FLAT * np.abs(y).max() + 1e-12:
        note = "not fitted: the values do not vary"
    return Fit(model, levels=levels, note=note) if note else None


def goodness(y: Values, fitted: Values) -> float:
    """Return the coefficient of determination, ``1 − Σ(y − ŷ)² / Σ(y − ȳ)²``.

    Args:
        y: Values, shape `[N]`, which vary.
        fitted: The curve at the same levels, ŷ, shape `[N]`.
    """
    return float(1 - ((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def is_shown(value: float, lowest: float, highest: float) -> bool:
    """Tell whether a value lies in the range of the levels shown; one outside of it is extrapolated."""
    return lowest <= value <= highest


def format_estimate(value: float, low: float, high: float, lowest: float, highest: float) -> str:
    """Return an estimate of a level as a text: its value if it was shown, or else the bound that it lies beyond.

    Args:
        value: The estimate, in the units of the levels.
        low: Lower end of its interval; NaN if there is no limit.
        high: Upper end of its interval; NaN if there is no limit.
        lowest: The lowest level shown (above 0 if the curve has a logarithmic axis).
        highest: The highest level shown.

    Returns:
        For example `0.371 [0.336, 0.41]`, with an unlimited end `0.8 [0.6, ∞)`, without an interval `0.371`; outside
        of the levels `> 1` or `< 0.02`. A fit that was refused is `–`.
    """
    if np.isnan(value):
        return "–"
    if not is_shown(value, lowest, highest):
        return f"> {highest:.3g}" if value > highest else f"< {lowest:.3g}"
    if np.isnan(low) and np.isnan(high):
        return f"{value:.3g}"
    ends = ("(0" if np.isnan(low) else f"[{low:.3g}", "∞)" if np.isnan(high) else f"{high:.3g}]")
    return f"{value:.3g} {ends[0]}, {ends[1]}"
