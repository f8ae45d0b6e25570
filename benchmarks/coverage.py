"""Coverage of the 95 % intervals of fits, over simulated experiments.

Each setting is simulated 200 times. A row says how many fits were refused and, for each parameter, how many of the
intervals hold the true value. An interval with one end holds all values beyond it. The shares of fits that lack one end
and both ends are in brackets; those that lack both do not count for the coverage.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.results import save_results
from dynvision.analysis.fits import Estimate, Fit, Values
from dynvision.analysis.naka_rushton import fit_naka_rushton, naka_rushton
from dynvision.analysis.psychometric import fit_psychometric, psychometric

EXPERIMENTS = 200

CONTRASTS = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0])
SEVEN = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])
OCTAVES = np.array([0.0625, 0.125, 0.25, 0.5, 1.0])
SIGNALS = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0])
FIVE = np.array([0.1, 0.2, 0.3, 0.5, 1.0])

CHANCE = 0.125

Simulate = Callable[[np.random.Generator], Fit]


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        name: Its name in the table.
        truth: The true parameters; empty if there is no curve, so that every fit is a false one.
        simulate: Simulates an experiment and fits it.
    """

    name: str
    truth: Mapping[str, float]
    simulate: Simulate


def responses(
    name: str, c: Values, noise: float, *, is_known: bool = False, is_relative: bool = False, **changed: float
) -> Setting:
    """Return a contrast response function with normal noise.

    Args:
        name: The setting's name.
        c: Contrasts, shape `[N]`.
        noise: Standard deviation of the noise, as a share of r_max.
        is_known: Whether the fit is given the standard error.
        is_relative: Whether the noise is a share of each response instead.
        changed: Parameters other than r_max 5, c50 0.2, n 2, b 1.
    """
    truth = {"r_max": 5.0, "c50": 0.2, "n": 2.0, "b": 1.0, **changed}
    curve = naka_rushton(c, **truth)
    sem = noise * np.abs(curve if is_relative else np.full(len(c), truth["r_max"]))

    def simulate(rng: np.random.Generator) -> Fit:
        return fit_naka_rushton(c, curve + rng.normal(0, sem), sem if is_known else None)

    return Setting(name, truth, simulate)


def no_curve(name: str, c: Values, mean: Values, is_known: bool = False) -> Setting:
    """Return responses with normal noise of standard deviation 1 that follow no curve."""

    def simulate(rng: np.random.Generator) -> Fit:
        return fit_naka_rushton(c, mean + rng.normal(0, 1, len(c)), np.ones(len(c)) if is_known else None)

    return Setting(name, {}, simulate)


def accuracies(name: str, x: Values, trials: int, dispersion: float = 1.0, **changed: float) -> Setting:
    """Return a psychometric function with (beta-)binomial scatter.

    Args:
        name: The setting's name.
        x: Levels, shape `[N]`.
        trials: Trials at each.
        dispersion: How many times the variance is that of a binomial distribution.
        changed: Parameters other than half point 0.25, slope 2, lapse 0.08.
    """
    truth = {"half_point": 0.25, "slope": 2.0, "lapse": 0.08, **changed}
    p = psychometric(x, **truth, guess=CHANCE)

    def simulate(rng: np.random.Generator) -> Fit:
        return fit_psychometric(x, draw_share(rng, p, trials, dispersion), np.full(len(x), trials), CHANCE)

    return Setting(name, truth, simulate)


def draw_share(rng: np.random.Generator, p: Values, trials: int, dispersion: float) -> Values:
    """Draw shares of correct trials, whose variance is `dispersion` times ``p(1 - p) / trials``."""
    if dispersion > 1:
        correlation = (dispersion - 1) / (trials - 1)
        total = (1 - correlation) / correlation
        p = rng.beta(np.maximum(p * total, 1e-9), np.maximum((1 - p) * total, 1e-9))
    return np.asarray(rng.binomial(trials, p) / trials)


def accuracy_at(name: str, x: Values, trials: int, p: float) -> Setting:
    """Return accuracies that do not depend on the signal."""

    def simulate(rng: np.random.Generator) -> Fit:
        return fit_psychometric(x, rng.binomial(trials, p, len(x)) / trials, np.full(len(x), trials), CHANCE)

    return Setting(name, {}, simulate)


NAKA_RUSHTON = (
    responses("10 levels, noise 2 %", CONTRASTS, 0.02),
    responses("10 levels, noise 5 %", CONTRASTS, 0.05),
    responses("10 levels, noise 5 % of each response", CONTRASTS, 0.05, is_relative=True),
    responses("10 levels, noise 2 %, n 3.5", CONTRASTS, 0.02, n=3.5),
    responses("10 levels, noise 2 %, suppressed", CONTRASTS, 0.02, r_max=-5.0, b=-1.0),
    responses("7 levels, noise 2 %", SEVEN, 0.02),
    responses("5 levels, noise 1 %", OCTAVES, 0.01),
    responses("5 levels, noise 3 %", OCTAVES, 0.03),
    responses("5 levels, noise 3 %, known", OCTAVES, 0.03, is_known=True),
    responses("10 levels, noise 2 %, c50 0.8", CONTRASTS, 0.02, c50=0.8),
    responses("10 levels, noise 0.5 %, c50 2", CONTRASTS, 0.005, c50=2.0),
    responses("10 levels, noise 2 %, c50 0.03", CONTRASTS, 0.02, c50=0.03),
    no_curve("10 levels, a constant", CONTRASTS, np.full(10, 10.0)),
    no_curve("10 levels, zero", CONTRASTS, np.zeros(10)),
    no_curve("10 levels, zero, noise known", CONTRASTS, np.zeros(10), is_known=True),
    no_curve("5 levels, a constant", OCTAVES, np.full(5, 10.0)),
    no_curve("10 levels, one raised", CONTRASTS, 100.0 * (CONTRASTS == 1)),
    no_curve("7 levels, one raised", SEVEN, 100.0 * (SEVEN == 1)),
    no_curve("5 levels, one raised", OCTAVES, 100.0 * (OCTAVES == 1)),
)

PSYCHOMETRIC = (
    accuracies("10 levels, 200 trials", SIGNALS, 200),
    accuracies("10 levels, 50 trials", SIGNALS, 50),
    accuracies("10 levels, 2000 trials", SIGNALS, 2000),
    accuracies("5 levels, 200 trials", FIVE, 200),
    accuracies("10 levels, 200 trials, no lapses", SIGNALS, 200, lapse=0.0),
    accuracies("10 levels, 200 trials, lapse 0.3", SIGNALS, 200, lapse=0.3),
    accuracies("10 levels, 200 trials, half point 0.8: ceiling not seen", SIGNALS, 200, half_point=0.8),
    accuracies("10 levels, 200 trials, half point 1.2", SIGNALS, 200, half_point=1.2),
    accuracies("10 levels, 200 trials, 3 × binomial variance", SIGNALS, 200, 3.0),
    accuracies("10 levels, 1000 trials, 10 × binomial variance", SIGNALS, 1000, 10.0),
    accuracies("5 levels, 200 trials, 3 × binomial variance", FIVE, 200, 3.0),
    accuracies("10 levels, 200 trials, half point 0.8, 3 × binomial variance", SIGNALS, 200, 3.0, half_point=0.8),
    accuracy_at("10 levels, 200 trials, chance", SIGNALS, 200, CHANCE),
    accuracy_at("10 levels, 200 trials, accuracy 0.5", SIGNALS, 200, 0.5),
)

CURVES = {
    "Naka–Rushton": (NAKA_RUSHTON, ("c50", "n", "r_max", "b")),
    "psychometric": (PSYCHOMETRIC, ("half_point", "slope", "lapse")),
}


def run() -> None:
    """Simulate all settings, print a table for each curve, and write the numbers as JSON."""
    results = {}
    for curve, (settings, names) in CURVES.items():
        print(f"\n| {curve} | refused | {' | '.join(names)} |\n| --- | --- |{' --- |' * len(names)}")
        start = time.process_time()
        for setting in settings:
            fits = simulate(setting)
            results[f"{curve}: {setting.name}"] = row = describe(fits, setting.truth, names)
            cells = " | ".join(row[name] for name in names)
            print(f"| {setting.name} | {row['refused']} | {cells} |", flush=True)
        spent = (time.process_time() - start) / (EXPERIMENTS * len(settings))
        print(f"\n{1000 * spent:.0f} ms of CPU time a fit")
    save_results("coverage", results)


def simulate(setting: Setting) -> list[Fit]:
    """Simulate the experiments of a setting; its name is the seed."""
    rng = np.random.default_rng(zlib.crc32(setting.name.encode()))
    return [setting.simulate(rng) for _ in range(EXPERIMENTS)]


def describe(fits: list[Fit], truth: Mapping[str, float], names: tuple[str, ...]) -> dict[str, str]:
    """Return the share of fits that were refused and, for each parameter, the coverage and the share that is open."""
    made = [fit for fit in fits if fit.parameters]
    row = {"refused": f"{1 - len(made) / len(fits):.2f}"}
    for name in names:
        estimates = [fit.parameters[name] for fit in made]
        if not truth or not estimates:
            row[name] = "–"
            continue
        limits = np.array([[e.low, e.high] for e in estimates])
        lacking = np.isnan(limits).sum(axis=1)
        held = [_holds(e, truth[name]) for e, n in zip(estimates, lacking, strict=True) if n < 2]
        row[name] = f"{np.mean(held):.3f}" if held else "–"
        if lacking.any():
            row[name] += f" ({np.mean(lacking == 1):.2f}, {np.mean(lacking == 2):.2f})"
    return row


def _holds(estimate: Estimate, truth: float) -> bool:
    return not (truth < estimate.low or truth > estimate.high)
