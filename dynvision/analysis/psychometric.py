"""The psychometric function: accuracy as a function of the strength of a signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynvision.analysis.fits import CONFIDENCE, Estimate, Fit, Values, goodness, is_shown, refuse
from dynvision.analysis.profiles import find_best, find_intervals, loosen_intervals

__all__ = ["fit_psychometric", "psychometric"]

NAME = "weibull"
_PARAMETERS = 3

_STEPS = 3
"""Steps of iteratively reweighted least squares, which start close to the ceiling that they find."""

_LEAST = 1e-9
"""The smallest probability of a trial that is right, and of one that is wrong."""


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
    """Fit the psychometric function by maximum likelihood; the guess rate is chance and is not fitted.

    The half point is between a hundredth of the lowest and ten times the highest level, the slope between 0.1 and 20.
    The confidence interval of a parameter has all its values for which the deviance D, minimised over the other
    parameters, is within ``D_min + φ · q``: profile likelihood. The dispersion φ is Pearson's χ² / (N - 3), and 1 if
    that is less. The quantile q is that of χ² with 1 degree of freedom if φ is 1, and that of F with 1 and N - 3 if
    accuracies scatter more than binomially. An end is NaN if the data set no limit on its side. If the half point is at
    a bound of the fit, or the slope at its lower one, neither has an interval. If the slope has no upper limit, the
    interval of the half point has all levels between the two around it.

    Args:
        x: Levels of the signal, from 0, shape `[N]`.
        accuracy: Share of correct trials at each, shape `[N]`.
        samples: Number of trials at each, shape `[N]`.
        chance: The guess rate, from 0 and below 1.

    Returns:
        The fit. It is refused, with a note, if there are 3 levels or fewer, if values are not finite, or if accuracy
        varies by less than two standard errors, falls with the signal, is described worse than by its mean (r² < 0), or
        no better than by a constant (likelihood ratio with the same φ and 2 degrees of freedom, at 95 %).

    Source: Wichmann & Hill, Perception & Psychophysics 63, 2001 (likelihood, deviance); McCullagh & Nelder, Generalized
    Linear Models, 1989, section 4.5 (dispersion).
    """
    x, accuracy = np.asarray(x, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    refused = refuse(NAME, x, accuracy, _PARAMETERS)
    if refused is not None:
        return refused
    count = np.asarray(samples, dtype=np.float64)
    share = (accuracy * count + 0.5) / (count + 1)
    if np.ptp(accuracy) < 2 * np.sqrt(share * (1 - share) / count).max():
        return Fit(NAME, levels=len(x), note="not fitted: accuracy varies by less than two standard errors")
    if np.polyfit(x, accuracy, 1)[0] <= 0:
        return Fit(NAME, levels=len(x), note="not fitted: accuracy does not rise with the signal")
    return _fit(_Surface(x, accuracy, count, chance))


@dataclass(frozen=True)
class _Surface:
    """The deviance over log half point and log slope; the rise from chance to the ceiling is fitted for each."""

    x: Values
    accuracy: Values
    count: Values
    chance: float

    opens = np.zeros((2, 2))  # The lapse rate has its own bounds.

    @property
    def range(self) -> tuple[float, float]:
        """The lowest level above 0, and the highest."""
        return float(self.x[self.x > 0].min()), float(self.x.max())

    @property
    def bounds(self) -> Values:
        lowest, highest = self.range
        return np.log([[lowest / 100, 10 * highest], [0.1, 20]])

    def shape(self, u: Values, v: Values) -> Values:
        """Return F(x), shape `[..., N]`."""
        with np.errstate(divide="ignore", over="ignore"):
            share: Values = 1 - np.exp2(-np.exp(np.exp(v)[..., None] * (np.log(self.x) - u[..., None])))
        return share

    def predict(self, rise: Values, shape: Values) -> Values:
        """Return the accuracy for ``1 - γ - λ`` of shape `[...]` and F of shape `[..., N]`, never quite 0 or 1."""
        accuracy: Values = np.clip(self.chance + rise[..., None] * shape, _LEAST, 1 - _LEAST)
        return accuracy

    def fit_rise(self, shape: Values) -> Values:
        """Return the most likely ``1 - γ - λ`` for F of shape `[..., N]`."""
        above = self.accuracy - self.chance
        share = (self.accuracy * self.count + 0.5) / (self.count + 1)
        weights = self.count / (share * (1 - share))
        rise = np.zeros(shape.shape[:-1])
        for step in range(_STEPS):
            if step:
                predicted = self.predict(rise, shape)
                weights = self.count / (predicted * (1 - predicted))
            weighted = weights * shape
            power = np.maximum(np.einsum("...n,...n", weighted, shape), 1e-60)
            rise = np.clip(weighted @ above / power, 0, 1 - self.chance)
        return rise

    def deviance(self, predicted: Values) -> Values:
        """Return ``2 Σ N [p log(p / ψ) + (1 - p) log((1 - p) / (1 - ψ))]`` for ψ of shape `[..., N]`."""
        right, wrong = self.count * self.accuracy, self.count * (1 - self.accuracy)
        best = np.clip(self.accuracy, _LEAST, 1 - _LEAST)
        highest = np.log(best) @ right + np.log1p(-best) @ wrong
        return 2 * np.maximum(highest - np.log(predicted) @ right - np.log1p(-predicted) @ wrong, 0)

    def cost(self, u: Values, v: Values) -> Values:
        shape = self.shape(u, v)
        return self.deviance(self.predict(self.fit_rise(shape), shape))

    def spans(self, u: Values, v: Values, limit: float) -> Values:
        shape = self.shape(u, v)
        best = self.fit_rise(shape)
        ends = []
        for bound in (1 - self.chance, 0.0):  # The highest rise has the lowest lapse rate.
            inner, outer = best, np.full(best.shape, bound)
            is_free = self.deviance(self.predict(outer, shape)) <= limit
            for _ in range(20):
                middle = (inner + outer) / 2
                is_within = self.deviance(self.predict(middle, shape)) <= limit
                inner, outer = np.where(is_within, middle, inner), np.where(is_within, outer, middle)
            ends.append(1 - self.chance - np.where(is_free, bound, inner))
        return np.array([ends])


def _fit(surface: _Surface) -> Fit:
    from scipy.special import chdtri, fdtri

    *best, cost = find_best(surface)
    shape = surface.shape(*(np.array(value) for value in best))
    rise = surface.fit_rise(shape)
    fitted, levels = surface.predict(rise, shape), len(surface.x)
    r2 = goodness(surface.accuracy, fitted)
    if r2 < 0:
        note = "not fitted: accuracy is described worse than by its mean; is it at chance without a signal?"
        return Fit(NAME, levels=levels, note=note)
    freedom = levels - _PARAMETERS
    pearson = (surface.count * (surface.accuracy - fitted) ** 2 / (fitted * (1 - fitted))).sum()
    dispersion = max(1.0, float(pearson) / freedom)

    def quantile(parameters: int) -> float:
        if dispersion == 1:
            return float(chdtri(parameters, 1 - CONFIDENCE))
        return parameters * float(fdtri(parameters, freedom, CONFIDENCE))

    mean = np.full(levels, np.average(surface.accuracy, weights=surface.count))
    if surface.deviance(mean) - cost < dispersion * quantile(_PARAMETERS - 1):
        return Fit(NAME, levels=levels, note="not fitted: a curve describes accuracy no better than a constant")
    intervals = find_intervals(surface, (best[0], best[1]), cost + dispersion * quantile(1))
    edges = loosen_intervals(surface, (best[0], best[1]), intervals, surface.x[surface.x > 0])
    parameters = {
        "half_point": Estimate(*(float(np.exp(value)) for value in (best[0], *intervals[0]))),
        "slope": Estimate(*(float(np.exp(value)) for value in (best[1], *intervals[1]))),
        "lapse": Estimate(1 - surface.chance - float(rise), *(float(end) for end in intervals[2])),
        "guess": Estimate(surface.chance),
    }
    return Fit(NAME, parameters, r2, levels, _warn(parameters["half_point"].value, surface.range, any(edges)))


def _warn(half_point: float, shown: tuple[float, float], is_on_edge: bool) -> str:
    if is_on_edge:
        return "half point or slope at the bound of the fit: the levels do not determine the curve"
    if not is_shown(half_point, *shown):
        end = f"> {shown[1]:g}, above the highest" if half_point > shown[1] else f"< {shown[0]:g}, below the lowest"
        return f"half point is {end} level shown: extrapolated"
    return ""
