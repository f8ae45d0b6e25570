from __future__ import annotations

import numpy as np
import pytest

from dynvision.analysis.courses import Showing
from dynvision.analysis.evoked import Evoked, compare_integrals

SHOWING = Showing((2,), 8)


def noisy(count: int, gain: float = 1.0, seed: int = 0, noise: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    course = np.where(np.arange(12) >= 2, gain * np.exp(-(np.arange(12) - 2) / 4.0), 0)
    values = course + noise * rng.normal(size=(count, 12))
    values[:, :2] = 0
    return values


def test_errors_of_sums_and_means_are_those_over_samples():
    values = noisy(50)
    numbers = Evoked(values, SHOWING).measure()
    per_sample = {"integral": values[:, 2:].sum(axis=1), "sustained": values[:, 6:8].mean(axis=1)}
    for name, samples in per_sample.items():
        assert numbers[name].value == pytest.approx(samples.mean())
        assert numbers[name].sem == pytest.approx(samples.std(ddof=1) / np.sqrt(50))


def test_error_of_the_peak_is_that_at_its_step():
    values = noisy(50)
    step = int(values.mean(axis=0).argmax())
    assert Evoked(values, SHOWING).measure()["response"].sem == pytest.approx(values[:, step].std(ddof=1) / np.sqrt(50))


@pytest.mark.parametrize("name", ["latency", "sustained_ratio", "integral", "response"])
def test_errors_are_those_that_repeated_experiments_have(name):
    """The jackknife's standard error agrees with the scatter of the number over 300 simulated experiments."""
    measured = [Evoked(noisy(40, seed=seed), SHOWING).measure()[name] for seed in range(300)]
    scatter = np.std([m.value for m in measured], ddof=1)
    assert np.median([m.sem for m in measured]) == pytest.approx(scatter, rel=0.25)


def test_many_samples_are_left_out_in_parts():
    many = [Evoked(noisy(count), SHOWING).measure()["latency"].sem for count in (499, 500, 501, 2000)]
    assert many[2] == pytest.approx(many[1], rel=0.2)
    assert many[3] == pytest.approx(many[1] / 2, rel=0.2)


def test_one_sample_has_no_error():
    numbers = Evoked(noisy(1), SHOWING).measure()
    assert np.isfinite(numbers["response"].value)
    assert all(np.isnan(number.sem) for number in numbers.values())


def test_null_of_a_peak_is_what_noise_reaches():
    """Without a response the peak is above its null in 1 of 20 experiments; a response is far above it."""
    above = [
        abs(silent.measure()["response"].value) > silent.null_of_peak()
        for silent in (Evoked(noisy(60, 0.0, seed), SHOWING) for seed in range(200))
    ]
    assert 0.01 <= np.mean(above) <= 0.11
    clear = Evoked(noisy(60, 1.0), SHOWING)
    assert clear.measure()["response"].value > 3 * clear.null_of_peak()


def test_null_needs_some_samples_and_a_stimulus():
    assert np.isnan(Evoked(noisy(4), SHOWING).null_of_peak())
    assert np.isnan(Evoked(noisy(40), Showing(())).null_of_peak())


def test_integrals_are_compared_over_the_same_samples():
    half = Evoked(noisy(40), SHOWING).integrals()
    ratio = compare_integrals(1.5 * half, half)
    assert ratio.value == pytest.approx(1.5)
    assert ratio.sem == pytest.approx(0, abs=1e-9)  # paired: what samples have in common is no error


def test_numbers_of_a_second_showing_are_there_only_if_there_is_one():
    assert "recovery" not in Evoked(noisy(5), SHOWING).measure()
    assert "recovery" in Evoked(noisy(5), Showing((2, 6), 4), noisy(5, 0.5)).measure()
