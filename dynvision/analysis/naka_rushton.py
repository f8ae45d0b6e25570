"""The contrast response function of Naka and Rushton."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dynvision.analysis.fits import CONFIDENCE, LARGEST, Estimate, Fit, Values, fit_curve, goodness, refuse

__all__ = ["fit_naka_rushton", "naka_rushton"]

NAME = "naka_rushton"
_PARAMETERS = 4


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


def fit_naka_rushton(c: Values, response: Values) -> Fit:
    """Fit the contrast response function by least squares.

    All levels have the same weight: conditions show the same images, so the scatter around the curve is far below the
    standard error over images. ``log c50`` and ``log n`` are fitted. c50 is between a tenth of the lowest and ten times
    the highest contrast, n between 0.1 and 20, and `r_max` is not negative. Confidence intervals are estimate ±
    quantile of Student's t (levels − 4 degrees of freedom) × standard error from the covariance of the fit (residual
    variance × (JᵀJ)⁻¹); those of c50 and n are computed for their logarithms. A parameter at its bound has no interval,
    and neither has one whose interval would span a factor of 1000.

    Args:
        c: Contrasts, from 0, shape `[N]`.
        response: The response to each, shape `[N]`.

    Returns:
        The fit. It is refused, with a note, if there are 4 levels or fewer, if values are not finite or do not vary,
        or if the response falls with contrast.
    """
    c, response = np.asarray(c, dtype=np.float64), np.asarray(response, dtype=np.float64)
    refused = refuse(NAME, c, response, _PARAMETERS)
    if refused is not None:
        return refused
    if np.polyfit(c, response, 1)[0] <= 0:
        return Fit(NAME, levels=len(c), note="not fitted: the response does not rise with contrast")
    return _fit(c, response)


def _fit(c: Values, response: Values) -> Fit:
    from scipy.stats import t

    scale, floor = float(np.ptp(response)), float(response.min())
    y = (response - floor) / scale
    lowest, highest = float(c[c > 0].min()), float(c.max())
    bounds = ([0, np.log(lowest / 10), np.log(0.1), -np.inf], [np.inf, np.log(10 * highest), np.log(20), np.inf])
    starts = [[1.2, np.log(c50), np.log(n), 0.0] for c50 in np.geomspace(lowest, highest, 4) for n in (1.0, 2.0, 4.0)]

    def curve(x: Values, r_max: float, log_c50: float, log_n: float, b: float) -> Values:
        return naka_rushton(x, r_max, np.exp(log_c50), np.exp(log_n), b)

    fitted = fit_curve(curve, c, y, starts, bounds)
    if fitted is None:
        return Fit(NAME, levels=len(c), note="not fitted: the fit does not converge")
    best, errors = fitted
    margin = float(t.ppf((1 + CONFIDENCE) / 2, len(c) - _PARAMETERS)) * errors
    is_unknown = _at_bound(best, bounds) | ~np.isfinite(errors)
    is_unknown[1:3] |= margin[1:3] > LARGEST
    margin = np.where(is_unknown, np.nan, margin)
    r_max, log_c50, log_n, b = ((value, value - m, value + m) for value, m in zip(best, margin, strict=True))
    parameters = {
        "r_max": Estimate(*(scale * v for v in (r_max[0], np.maximum(r_max[1], 0), r_max[2]))),
        "c50": Estimate(*(float(np.exp(v)) for v in log_c50)),
        "n": Estimate(*(float(np.exp(v)) for v in log_n)),
        "b": Estimate(*(floor + scale * v for v in b)),
    }
    return Fit(NAME, parameters, goodness(y, curve(c, *best)), len(c), _warn(best, bounds, highest))


def _at_bound(best: Values, bounds: tuple[list[float], list[float]]) -> npt.NDArray[np.bool_]:
    low, high = (np.asarray(values) for values in bounds)
    edges: npt.NDArray[np.bool_] = (best - low < 1e-3) | (high - best < 1e-3)
    return edges


def _warn(best: Values, bounds: tuple[list[float], list[float]], highest: float) -> str:
    names = ("r_max", "c50", "n", "b")
    edges = [name for name, edge in zip(names, _at_bound(best, bounds), strict=True) if edge]
    if edges:
        return f"{' and '.join(edges)} at the bound of the fit: the levels do not determine the curve"
    if np.exp(best[1]) > highest:
        return "c50 is above the highest contrast shown: extrapolated"
    return ""
