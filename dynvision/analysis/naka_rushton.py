"""The contrast response function of Naka and Rushton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynvision.analysis.fits import CONFIDENCE, Estimate, Fit, Values, goodness, is_shown, refuse
from dynvision.analysis.flatness import (
    compare_variances,
    compare_with_chance,
    compare_with_errors,
    find_single_level,
)
from dynvision.analysis.profiles import find_best, find_intervals, loosen_intervals

__all__ = ["fit_naka_rushton", "naka_rushton"]

NAME = "naka_rushton"
_PARAMETERS = 4

_EXACT = 1e-7
"""Standard error, as a share of the range of responses, that even responses without scatter have: that of float32."""


def naka_rushton(c: Values, r_max: float, c50: float, n: float, b: float) -> Values:
    """Return ``R(c) = Rmax · cⁿ / (cⁿ + c50ⁿ) + b``, the hyperbolic ratio of contrast.

    Args:
        c: Contrast, from 0; any shape.
        r_max: Response above b at infinite contrast, in the units of the response.
        c50: Semisaturation contrast, at which the response above b is half of `r_max`; above 0.
        n: Exponent, the steepness; above 0.
        b: Response at contrast 0.

    Returns:
        The response, of the shape of `c`.

    Source: Naka & Rushton, J. Physiol. 185, 1966; for cortical cells with the exponent Albrecht & Hamilton,
    J. Neurophysiol. 48, 1982.
    """
    with np.errstate(divide="ignore", over="ignore"):
        # cⁿ / (cⁿ + c50ⁿ) without powers that overflow
        ratio: Values = 1 / (1 + (c50 / np.asarray(c, dtype=np.float64)) ** n)
    return r_max * ratio + b


def fit_naka_rushton(c: Values, response: Values, sem: Values | None = None) -> Fit:
    """Fit the contrast response function by least squares.

    All levels have the same weight: conditions show the same images, so the scatter around the curve is far below the
    standard error over images. c50 is between a tenth of the lowest and ten times the highest contrast, n between 0.1
    and 20. `r_max` is not negative, unless the layer is suppressed: if the response falls with contrast and is negative
    at the highest one, -response is fitted, and `r_max` is negative.

    A fit must describe the responses better than a constant, and than a constant with one level of its own, which any
    steep curve of any `r_max` passes through. It does if one of these tests says so at 95 %:

    - the F test of the curve against the simpler description;
    - a permutation test, which has power where hardly a degree of freedom is left: the best curve explains more of the
      responses in their order than in random ones. Against one level of its own, the responses of the others are
      tested;
    - if `sem` is given, the χ² test that the responses, or those of the others, are equal.

    The confidence interval of a parameter has all its values for which the residual sum of squares S, minimised over
    the other parameters, is within ``S_min · (1 + t² / (N - 4))``, with t the quantile of Student's t for N - 4 degrees
    of freedom: profile likelihood. An end is NaN if the data set no limit on its side. If c50 is at a bound of the
    fit, or n at its lower one, neither has an interval. If n has no upper limit, the interval of c50 has all contrasts
    between the two levels around it.

    Args:
        c: Contrasts, from 0, shape `[N]`.
        response: The response to each, shape `[N]`.
        sem: Standard error of each response, above 0, shape `[N]`; used by the χ² test alone.

    Returns:
        The fit. It is refused, with a note, if there are 4 levels or fewer, if values are not finite, if the response
        falls with contrast and is not negative, or if the curve does not pass the tests.

    Source: Bates & Watts, Nonlinear Regression Analysis and Its Applications, 1988, chapter 6 (intervals).
    """
    c, response = np.asarray(c, dtype=np.float64), np.asarray(response, dtype=np.float64)
    refused = refuse(NAME, c, response, _PARAMETERS)
    if refused is not None:
        return refused
    sign = 1.0
    if np.polyfit(c, response, 1)[0] <= 0:
        if response[c.argmax()] >= 0:
            return Fit(NAME, levels=len(c), note="not fitted: the response does not rise with contrast")
        sign = -1.0
    scale, floor = float(np.ptp(response)), float((sign * response).min())
    surface = _Surface(c, (sign * response - floor) / scale)
    best = find_best(surface)
    errors = None if sem is None else np.asarray(sem, dtype=np.float64) / scale
    note = _find_fault(surface, best[2], errors, is_two_sided=bool((response < 0).any()))
    if note:
        return Fit(NAME, levels=len(c), note=f"not fitted: {note}")
    return _describe(surface, best, sign * scale, sign * floor, response)


@dataclass(frozen=True)
class _Surface:
    """The residual sum of squares over log c50 and log n; `r_max` and b follow from linear regression."""

    c: Values
    y: Values

    opens = np.array([[1, 1], [1, 0]])  # A steep curve has an r_max and a b within the responses.

    @property
    def range(self) -> tuple[float, float]:
        """The lowest contrast above 0, and the highest."""
        return float(self.c[self.c > 0].min()), float(self.c.max())

    @property
    def bounds(self) -> Values:
        lowest, highest = self.range
        return np.log([[lowest / 10, 10 * highest], [0.1, 20]])

    def shape(self, u: Values, v: Values) -> Values:
        """Return ``cⁿ / (cⁿ + c50ⁿ)``, shape `[..., N]`."""
        with np.errstate(divide="ignore", over="ignore"):
            ratio: Values = 1 / (1 + np.exp(np.exp(v)[..., None] * (u[..., None] - np.log(self.c))))
        return ratio

    def regress(self, u: Values, v: Values) -> tuple[Values, Values, Values, Values]:
        """Return r_max, b, the cost, and the shapes of the curve `[..., N]`."""
        ratio, y = self.shape(u, v), self.y - self.y.mean()
        mean = ratio.sum(axis=-1) / y.size
        centred = ratio - mean[..., None]
        power = np.einsum("...n,...n", centred, centred)
        r_max = np.maximum(centred @ y / np.maximum(power, 1e-60), 0)
        residual = y - r_max[..., None] * centred
        return r_max, self.y.mean() - r_max * mean, np.einsum("...n,...n", residual, residual), ratio

    def cost(self, u: Values, v: Values) -> Values:
        return self.regress(u, v)[2]

    def spans(self, u: Values, v: Values, limit: float) -> Values:
        r_max, b, cost, ratio = self.regress(u, v)
        mean, count = ratio.mean(axis=-1), self.y.size
        power = np.maximum(((ratio - mean[:, None]) ** 2).sum(axis=-1), 1e-60)
        room = np.maximum(limit - cost, 0)
        # The cost is a parabola in r_max with curvature Σ(s - s̄)², and one in b with curvature N · Σ(s - s̄)² / Σs².
        of_r_max, of_b = np.sqrt(room / power), np.sqrt(room * (ratio**2).sum(axis=-1) / (count * power))
        return np.array([[np.maximum(r_max - of_r_max, 0), r_max + of_r_max], [b - of_b, b + of_b]])


def _find_fault(surface: _Surface, cost: float, sem: Values | None, is_two_sided: bool) -> str:
    """Return why the responses are no curve: they do not differ, or only one of them does. Empty if they are one."""
    u, v = np.meshgrid(*(np.linspace(low, high, 20) for low, high in surface.bounds))
    shapes, c, y = surface.shape(u.ravel(), v.ravel()), surface.c, surface.y
    single = find_single_level(y)
    rest = np.arange(len(c)) != single
    notes = (
        "the response varies with contrast no more than by chance",
        f"without contrast {c[single]:g} the response varies no more than by chance, and one level makes no curve",
    )
    for note, chosen, simpler in zip(notes, (np.ones_like(rest), rest), (1, 2), strict=True):
        values = y[chosen]
        spread = float(((values - values.mean()) ** 2).sum())
        chance = compare_variances(spread, cost, _PARAMETERS - simpler, len(c) - _PARAMETERS)
        if sem is not None and (sem > 0).all():
            chance = min(chance, compare_with_errors(values, sem[chosen]))
        if chance > 1 - CONFIDENCE:  # The last test takes the longest.
            chance = compare_with_chance(values, shapes[:, chosen], is_two_sided)
        if chance > 1 - CONFIDENCE:
            return note
    return ""


def _describe(surface: _Surface, best: tuple[float, float, float], scale: float, floor: float, response: Values) -> Fit:
    """Return the fit in the units of the response; a negative scale turns a curve that was fitted to -response."""
    from scipy.special import stdtrit

    *shape, cost = best
    freedom = len(surface.c) - _PARAMETERS
    variance = max(cost / freedom, _EXACT**2)
    limit = cost + variance * float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) ** 2
    intervals = find_intervals(surface, (shape[0], shape[1]), limit)
    edges = loosen_intervals(surface, (shape[0], shape[1]), intervals, surface.c[surface.c > 0])
    r_max, b, *_ = (float(value[0]) for value in surface.regress(np.array(shape[:1]), np.array(shape[1:]))[:2])
    parameters = {
        "r_max": _scale(r_max, intervals[2], scale, 0.0),
        "c50": Estimate(*(float(np.exp(v)) for v in (shape[0], *intervals[0]))),
        "n": Estimate(*(float(np.exp(v)) for v in (shape[1], *intervals[1]))),
        "b": _scale(b, intervals[3], scale, floor),
    }
    fitted = naka_rushton(surface.c, **{name: estimate.value for name, estimate in parameters.items()})
    note = _warn(parameters["c50"].value, surface.range, [n for n, e in zip(("c50", "n"), edges, strict=True) if e])
    return Fit(NAME, parameters, goodness(response, fitted), len(surface.c), note)


def _scale(value: float, interval: Values, scale: float, offset: float) -> Estimate:
    low, high = offset + scale * (interval if scale > 0 else interval[::-1])
    return Estimate(offset + scale * value, float(low), float(high))


def _warn(c50: float, shown: tuple[float, float], edges: Sequence[str]) -> str:
    if edges:
        return f"{' and '.join(edges)} at the bound of the fit: the levels do not determine the curve"
    if not is_shown(c50, *shown):
        end = f"> {shown[1]:g}, above the highest" if c50 > shown[1] else f"< {shown[0]:g}, below the lowest"
        return f"c50 is {end} contrast shown: extrapolated"
    return ""
