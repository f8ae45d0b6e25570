"""The psychometric function: accuracy as a function of the strength of a signal."""

from __future__ import annotations

import numpy as np

from dynvision.analysis.fits import CONFIDENCE, LARGEST, Estimate, Fit, Values, fit_curve, goodness, refuse

__all__ = ["fit_psychometric", "psychometric"]

NAME = "weibull"
_PARAMETERS = 3


def psychometric(x: Values, half_point: float, slope: float, lapse: float, guess: float) -> Values:
    """Return ``ψ(x) = γ + (1 − γ − λ) · F(x)`` with the Weibull function ``F(x) = 1 − 2^(−(x / h)^β)``.

    F is written with its half point, ``F(h) = 1/2``; in the usual form ``F = 1 − exp(−(x / α)^β)``,
    ``h = α · (ln 2)^(1/β)``.

    Args:
        x: Strength of the signal, from 0 (no signal, ψ is the guess rate); any shape.
        half_point: h, in the units of `x`: accuracy is halfway between guess rate and ceiling; above 0.
        slope: β, above 0.
        lapse: λ, the errors that remain at full signal; unlike an observer's, a network's is not small.
        guess: γ, the accuracy of guessing.

    Returns:
        The accuracy, of the shape of `x`.

    Source: Wichmann & Hill, Perception & Psychophysics 63, 2001, equation 1.
    """
    with np.errstate(over="ignore"):
        share = 1 - np.exp2(-((np.asarray(x, dtype=np.float64) / half_point) ** slope))
    return guess + (1 - guess - lapse) * share


def fit_psychometric(x: Values, accuracy: Values, samples: Values, chance: float) -> Fit:
    """Fit the psychometric function by weighted least squares; the guess rate is chance and is not fitted.

    Each level is weighted by its binomial standard error ``√(p(1 − p) / N)``, with ``p = (k + ½) / (N + 1)`` so that
    none is 0. The logarithms of half point (a hundredth of the lowest to ten times the highest level) and slope (0.1 to
    20) are fitted. Confidence intervals are estimate ± normal quantile × standard error; those of half point and slope
    are computed for their logarithms. The errors are widened if accuracies scatter more than binomially (`fit_curve`).

    Args:
        x: Levels of the signal, from 0, shape `[N]`.
        accuracy: Share of correct trials at each, shape `[N]`.
        samples: Number of trials at each, shape `[N]`.
        chance: The guess rate, from 0 and below 1.

    Returns:
        The fit. It is refused, with a note, if there are 3 levels or fewer, if values are not finite, or if accuracy
        varies by less than two standard errors, falls with the signal, or is described worse than by its mean (r² < 0).
    """
    x, accuracy = np.asarray(x, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    refused = refuse(NAME, x, accuracy, _PARAMETERS)
    if refused is not None:
        return refused
    count = np.asarray(samples, dtype=np.float64)
    share = (accuracy * count + 0.5) / (count + 1)
    sigma = np.sqrt(share * (1 - share) / count)
    if np.ptp(accuracy) < 2 * sigma.max():
        return Fit(NAME, levels=len(x), note="not fitted: accuracy varies by less than two standard errors")
    if np.polyfit(x, accuracy, 1)[0] <= 0:
        return Fit(NAME, levels=len(x), note="not fitted: accuracy does not rise with the signal")
    return _fit(x, accuracy, sigma, chance)


def _fit(x: Values, accuracy: Values, sigma: Values, chance: float) -> Fit:
    from scipy.stats import norm

    lowest, highest = float(x[x > 0].min()), float(x.max())
    bounds = ([np.log(lowest / 100), np.log(0.1), 0.0], [np.log(10 * highest), np.log(20), 1 - chance])
    lapse = float(np.clip(1 - accuracy.max(), 0.01, 0.9 * (1 - chance)))
    starts = [[np.log(h), np.log(slope), lapse] for h in np.geomspace(lowest, highest, 4) for slope in (1.0, 3.0)]

    def curve(level: Values, log_half: float, log_slope: float, lapse: float) -> Values:
        return psychometric(level, np.exp(log_half), np.exp(log_slope), lapse, chance)

    fitted = fit_curve(curve, x, accuracy, starts, bounds, sigma)
    if fitted is None:
        return Fit(NAME, levels=len(x), note="not fitted: the fit does not converge")
    best, errors = fitted
    margin = float(norm.ppf((1 + CONFIDENCE) / 2)) * np.where(np.isfinite(errors), errors, np.nan)
    r2 = goodness(accuracy, curve(x, *best))
    if r2 < 0:
        note = "not fitted: accuracy is described worse than by its mean; is it at chance without a signal?"
        return Fit(NAME, levels=len(x), note=note)
    edge = (best[:2] - bounds[0][:2] < 1e-3) | (np.asarray(bounds[1][:2]) - best[:2] < 1e-3)
    margin[:2][edge | (margin[:2] > LARGEST)] = np.nan
    half, slope = ((best[i], best[i] - margin[i], best[i] + margin[i]) for i in range(2))
    parameters = {
        "half_point": Estimate(*(float(np.exp(v)) for v in half)),
        "slope": Estimate(*(float(np.exp(v)) for v in slope)),
        "lapse": Estimate(best[2], max(best[2] - margin[2], 0.0), min(best[2] + margin[2], 1 - chance)),
        "guess": Estimate(chance),
    }
    note = "half point above the highest level shown: extrapolated" if np.exp(best[0]) > highest else ""
    if edge.any():
        note = "half point or slope at the bound of the fit: the levels do not determine the curve"
    return Fit(NAME, parameters, r2, len(x), note)
