from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.stats import t

from dynvision.analysis.fits import format_estimate
from dynvision.analysis.flatness import compare_with_chance
from dynvision.analysis.naka_rushton import fit_naka_rushton, naka_rushton
from dynvision.analysis.psychometric import fit_psychometric, psychometric

CONTRASTS = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0])
SIGNALS = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0])


# Naka–Rushton


def test_half_of_the_response_is_reached_at_c50():
    assert naka_rushton(np.array([0.3]), 8, 0.3, 2.7, 1)[0] == pytest.approx(5)
    assert naka_rushton(np.array([0.0, 1e9]), 8, 0.3, 2, 1) == pytest.approx([1, 9])


@pytest.mark.slow
@given(
    r_max=st.floats(0.01, 1000),
    c50=st.floats(0.06, 0.6),
    n=st.floats(1, 4),
    b=st.floats(-10, 10),
)
@settings(max_examples=40)
def test_parameters_of_a_curve_without_noise_are_recovered(r_max, c50, n, b):
    fit = fit_naka_rushton(CONTRASTS, naka_rushton(CONTRASTS, r_max, c50, n, b))
    fitted = {name: estimate.value for name, estimate in fit.parameters.items()}
    assert fitted["r_max"] == pytest.approx(r_max, rel=0.01)
    assert fitted["c50"] == pytest.approx(c50, rel=0.01)
    assert fitted["n"] == pytest.approx(n, rel=0.01)
    assert fitted["b"] == pytest.approx(b, abs=0.01 * r_max)
    assert fit.r2 > 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_confidence_intervals_hold_the_parameters_as_often_as_they_say(noise):
    """95 % intervals: of 200 simulated experiments, between 88 % and 99.5 % hold the truth."""
    rng, truth = np.random.default_rng(0), {"r_max": 5.0, "c50": 0.2, "n": 2.0, "b": 1.0}
    covered = dict.fromkeys(truth, 0)
    curve = naka_rushton(CONTRASTS, *truth.values())
    for _ in range(200):
        fit = fit_naka_rushton(CONTRASTS, curve + rng.normal(0, noise, len(CONTRASTS)))
        for name, estimate in fit.parameters.items():
            covered[name] += estimate.low <= truth[name] <= estimate.high
    assert all(0.88 * 200 <= count <= 0.995 * 200 for count in covered.values()), covered


def test_intervals_widen_with_the_noise():
    rng = np.random.default_rng(1)
    curve, noise = naka_rushton(CONTRASTS, 5, 0.2, 2, 0), rng.normal(0, 1, len(CONTRASTS))
    fits = [fit_naka_rushton(CONTRASTS, curve + scale * noise).parameters["c50"] for scale in (0.01, 0.1)]
    assert fits[0].high - fits[0].low < fits[1].high - fits[1].low


@pytest.mark.parametrize(
    ("c", "response", "reason"),
    [
        (CONTRASTS[:4], [1, 2, 3, 4], "4 levels for a curve of 4 parameters; it needs 5"),
        (CONTRASTS[:5], [2, 2, 2, 2, 2], "do not vary"),
        (CONTRASTS[:5], [1, 2, np.nan, 4, 5], "not finite"),
        (CONTRASTS[:5], [5, 4, 3, 2, 1], "does not rise with contrast"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(c, response, reason):
    fit = fit_naka_rushton(c, np.array(response, dtype=float))
    assert fit.parameters == {}
    assert fit.note.startswith("not fitted: ")
    assert reason in fit.note
    (row,) = fit.rows()
    assert np.isnan(row["value"])


def test_a_semisaturation_beyond_what_was_shown_is_said_to_be_extrapolated():
    fit = fit_naka_rushton(CONTRASTS, naka_rushton(CONTRASTS, 10, 2.0, 2, 0))
    assert fit.parameters["c50"].value == pytest.approx(2, rel=0.05)
    assert "extrapolated" in fit.note


@pytest.mark.slow
def test_a_curve_that_the_levels_do_not_determine_has_no_interval():
    fit = fit_naka_rushton(CONTRASTS, CONTRASTS**3)
    assert "at the bound" in fit.note
    assert np.isnan(fit.parameters["c50"].low)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1.0, 2.0])
def test_an_interval_is_not_that_of_a_bound_of_the_fit(n):
    """A power of contrast has its exponent only where c50 is infinite, and the fit has a highest c50."""
    fit = fit_naka_rushton(CONTRASTS, CONTRASTS**n)
    assert "c50 at the bound" in fit.note
    assert np.isnan([fit.parameters["n"].low, fit.parameters["n"].high]).all()


@pytest.mark.slow
def test_a_step_between_two_levels_may_be_anywhere_between_them():
    contrasts = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])
    response = fit_naka_rushton(contrasts, (contrasts > 0.15).astype(np.float64))
    accuracy = fit_psychometric(contrasts, np.where(contrasts > 0.15, 1.0, 0.125), np.full(7, 1000), 0.125)
    for fit, name in ((response, "c50"), (accuracy, "half_point")):
        assert fit.parameters[name].low == pytest.approx(0.1)
        assert fit.parameters[name].high == pytest.approx(0.2)


def test_levels_below_zero_are_refused():
    levels = np.array([-0.1, 0.1, 0.2, 0.5, 0.7, 1.0])
    for fit in (fit_naka_rushton(levels, levels**2), fit_psychometric(levels, levels**2, np.full(6, 200), 0.1)):
        assert fit.note == "not fitted: the level -0.1 is below 0, where the curve is not defined"


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_noise_around_a_constant_is_refused(mean):
    """At 95 %: of 60 constants at most 6 may pass."""
    rng = np.random.default_rng(4)
    notes = [fit_naka_rushton(CONTRASTS, rng.normal(mean, 1, len(CONTRASTS))).note for _ in range(60)]
    assert sum(note.startswith("not fitted") for note in notes) >= 54
    assert any("no more than by chance" in note for note in notes)


@pytest.mark.parametrize("levels", [CONTRASTS, CONTRASTS[::2]])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_one_raised_level_is_refused(levels, noise):
    response = np.random.default_rng(6).normal(1, noise, len(levels))
    response[-1] = 9
    fit = fit_naka_rushton(levels, response)
    assert fit.parameters == {}
    assert "one level makes no curve" in fit.note or "by chance" in fit.note


@pytest.mark.slow
def test_a_good_curve_of_five_levels_is_not_refused():
    rng, octaves = np.random.default_rng(8), np.array([0.0625, 0.125, 0.25, 0.5, 1.0])
    for c50 in (0.1, 0.2, 0.4):
        curve = naka_rushton(octaves, 5, c50, 2, 1)
        fits = [fit_naka_rushton(octaves, curve + rng.normal(0, 0.05, 5)) for _ in range(10)]
        assert all(fit.parameters for fit in fits)


def test_known_errors_tell_a_curve_from_noise_that_order_alone_does_not():
    octaves, response = np.array([0.0625, 0.125, 0.25, 0.5, 1.0]), np.array([0.8, 0.0, 4.0, 3.2, 3.6])
    assert "by chance" in fit_naka_rushton(octaves, response).note
    assert "by chance" in fit_naka_rushton(octaves, response, sem=np.full(5, 4.0)).note
    assert fit_naka_rushton(octaves, response, sem=np.full(5, 0.2)).parameters


def test_a_suppressed_layer_has_a_negative_r_max():
    raised = naka_rushton(CONTRASTS, 5, 0.2, 2, 1) + np.random.default_rng(2).normal(0, 0.1, len(CONTRASTS))
    rising, falling = fit_naka_rushton(CONTRASTS, raised).parameters, fit_naka_rushton(CONTRASTS, -raised).parameters
    for name in ("c50", "n"):
        assert falling[name] == rising[name]
    for name in ("r_max", "b"):
        mirrored = (-falling[name].value, -falling[name].high, -falling[name].low)
        assert mirrored == pytest.approx((rising[name].value, rising[name].low, rising[name].high))
    assert falling["r_max"].high < 0


@pytest.mark.slow
def test_the_end_of_an_interval_is_where_the_best_curve_through_it_is_just_too_bad():
    """With c50 held at an end, the least residual sum of squares is S_min (1 + t² / dof)."""
    response = naka_rushton(CONTRASTS, 5, 0.2, 2, 1) + np.random.default_rng(3).normal(0, 0.1, len(CONTRASTS))
    fit = fit_naka_rushton(CONTRASTS, response)
    best = {name: estimate.value for name, estimate in fit.parameters.items()}
    least = ((naka_rushton(CONTRASTS, **best) - response) ** 2).sum()
    limit = least * (1 + t.ppf(0.975, 6) ** 2 / 6)
    for name in best:
        others = [other for other in best if other != name]
        for end in (fit.parameters[name].low, fit.parameters[name].high):

            def residual(values, name=name, others=others, end=end):
                given = {name: end, **dict(zip(others, values, strict=True))}
                return naka_rushton(CONTRASTS, **given) - response

            start = [best[other] for other in others]
            floor = [{"b": -np.inf}.get(other, 1e-6) for other in others]
            cost = 2 * least_squares(residual, start, bounds=(floor, np.inf), xtol=1e-12, ftol=1e-12).cost
            assert cost == pytest.approx(limit, rel=0.02), name


def test_an_interval_without_a_limit_lacks_that_end():
    response = naka_rushton(CONTRASTS, 5, 0.9, 2, 1) + np.random.default_rng(1).normal(0, 0.2, len(CONTRASTS))
    c50 = fit_naka_rushton(CONTRASTS, response).parameters["c50"]
    assert 0.2 < c50.low < 0.9
    assert np.isnan(c50.high)


def test_the_order_of_five_rising_levels_has_a_chance_of_one_in_120():
    shapes = np.linspace(0, 1, 5)[None] ** np.array([[0.5], [1.0], [2.0]])
    assert compare_with_chance(np.array([1.0, 2, 3, 4, 5]), shapes, is_two_sided=False) == pytest.approx(1 / 120)
    assert compare_with_chance(np.array([1.0, 2, 3, 4, 5]), shapes, is_two_sided=True) == pytest.approx(2 / 120)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((0.3714, 0.3361, 0.4102), "0.371 [0.336, 0.41]"),
        ((0.8, 0.6, np.nan), "0.8 [0.6, ∞)"),
        ((0.05, np.nan, 0.07), "0.05 (0, 0.07]"),
        ((0.5, np.nan, np.nan), "0.5"),
        ((1.364, 1.1, 1.6), "> 1"),
        ((0.01, np.nan, np.nan), "< 0.02"),
        ((np.nan, np.nan, np.nan), "–"),
    ],
)
def test_an_estimate_outside_of_what_was_shown_is_written_as_a_bound(estimate, text):
    assert format_estimate(*estimate, 0.02, 1.0) == text


# Psychometric function


def test_accuracy_is_halfway_between_chance_and_ceiling_at_the_half_point():
    levels = np.array([0.0, 0.3, 1e6])
    np.testing.assert_allclose(psychometric(levels, 0.3, 2.5, 0.1, 0.25), [0.25, (0.25 + 0.9) / 2, 0.9])


@pytest.mark.slow
@given(half=st.floats(0.08, 0.5), slope=st.floats(1, 4), lapse=st.floats(0, 0.3), chance=st.sampled_from([0.1, 0.5]))
@settings(max_examples=30)
def test_parameters_of_accuracies_without_scatter_are_recovered(half, slope, lapse, chance):
    accuracy = psychometric(SIGNALS, half, slope, lapse, chance)
    fit = fit_psychometric(SIGNALS, accuracy, np.full(len(SIGNALS), 1000), chance)
    assert fit.parameters["half_point"].value == pytest.approx(half, rel=0.01)
    assert fit.parameters["slope"].value == pytest.approx(slope, rel=0.02)
    assert fit.parameters["lapse"].value == pytest.approx(lapse, abs=0.005)
    assert fit.parameters["guess"].value == chance


@pytest.mark.slow
def test_intervals_of_binomial_accuracies_hold_the_half_point_as_often_as_they_say():
    """95 % intervals: of 200 simulated experiments of 200 trials a level, between 88 % and 99.5 % hold the truth."""
    rng, covered = np.random.default_rng(3), {"half_point": 0, "slope": 0}
    truth = {"half_point": 0.25, "slope": 2.0}
    p = psychometric(SIGNALS, *truth.values(), 0.08, 0.125)
    for _ in range(200):
        fit = fit_psychometric(SIGNALS, rng.binomial(200, p) / 200, np.full(len(SIGNALS), 200), 0.125)
        for name in covered:
            covered[name] += fit.parameters[name].low <= truth[name] <= fit.parameters[name].high
    assert all(0.88 * 200 <= count <= 0.995 * 200 for count in covered.values()), covered


@pytest.mark.slow
@pytest.mark.parametrize(("half", "excess"), [(0.25, 8), (0.8, 1), (0.8, 3)])
def test_intervals_hold_the_half_point_if_accuracies_scatter_more_or_the_ceiling_is_not_seen(half, excess):
    """95 % intervals of accuracies with a multiple of the binomial variance (beta-binomial): at least 90 %."""
    rng, trials, held = np.random.default_rng(5), 200, 0
    p = psychometric(SIGNALS, half, 2.0, 0.08, 0.125)
    total = (trials - excess) / max(excess - 1, 1e-6)
    for _ in range(100):
        accuracy = rng.binomial(trials, rng.beta(p * total, (1 - p) * total)) / trials
        fit = fit_psychometric(SIGNALS, accuracy, np.full(len(SIGNALS), trials), 0.125)
        estimate = fit.parameters["half_point"]
        held += not (half < estimate.low or half > estimate.high)
    assert held >= 90


def test_accuracies_that_scatter_around_a_constant_are_refused():
    accuracy = np.array([0.12, 0.14, 0.1, 0.15, 0.09, 0.13, 0.16, 0.11, 0.14, 0.17])
    fit = fit_psychometric(SIGNALS, accuracy, np.full(len(SIGNALS), 500), 0.125)
    assert fit.note == "not fitted: a curve describes accuracy no better than a constant"


def test_a_half_point_beyond_what_was_shown_is_said_to_be_extrapolated():
    accuracy = psychometric(SIGNALS, 1.5, 2.0, 0.0, 0.125)
    fit = fit_psychometric(SIGNALS, accuracy, np.full(len(SIGNALS), 2000), 0.125)
    assert fit.note == "half point is > 1, above the highest level shown: extrapolated"


def test_more_trials_give_a_narrower_interval():
    p = psychometric(SIGNALS, 0.25, 2, 0.05, 0.125)
    few, many = (
        fit_psychometric(SIGNALS, p, np.full(len(SIGNALS), n), 0.125).parameters["half_point"] for n in (50, 5000)
    )
    assert many.high - many.low < (few.high - few.low) / 5


@pytest.mark.parametrize(
    ("accuracy", "reason"),
    [
        ([0.5, 0.52, 0.49, 0.51, 0.5], "less than two standard errors"),
        ([0.9, 0.7, 0.6, 0.5, 0.2], "does not rise with the signal"),
        ([0.5, np.nan, 0.6, 0.8, 0.9], "not finite"),
        ([0.9, 0.91, 0.93, 0.97, 0.99], "at chance without a signal"),
    ],
)
def test_accuracies_that_cannot_be_fitted_are_refused_with_the_reason(accuracy, reason):
    levels = np.array([0.0, 0.2, 0.4, 0.7, 1.0])
    fit = fit_psychometric(levels, np.array(accuracy), np.full(5, 100), 0.125)
    assert fit.parameters == {}
    assert reason in fit.note


def test_three_levels_are_too_few_for_a_psychometric_function():
    fit = fit_psychometric(np.array([0.1, 0.5, 1.0]), np.array([0.2, 0.6, 0.9]), np.full(3, 100), 0.125)
    assert "3 levels for a curve of 3 parameters; it needs 4" in fit.note
