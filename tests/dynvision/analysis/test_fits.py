from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
