from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.analysis.courses import Course, find_onsets
from dynvision.stimuli.presentation import Presentation
from tests.helpers.stores import leaky_response


def course_of(show: Presentation, gain: float = 1.0, offset: float = 0.0, alpha: float = 0.25) -> Course:
    return Course(offset + leaky_response(gain * (show.frames >= 0), alpha), find_onsets(show))


def test_onsets_are_the_first_steps_of_showings():
    assert find_onsets(Presentation.duration(10, 4, 3)) == (3,)
    assert find_onsets(Presentation.interval(30, 4, 3, 5)) == (3, 12)
    assert find_onsets(Presentation.interval(30, 4, 3, 0)) == (3, 7)
    assert find_onsets(Presentation.constant(5)) == (0,)
    stepped = Presentation.from_program([{"void": 2}, {"image": 5, "contrast": 0.5}, {"image": 5, "contrast": 1.0}])
    assert find_onsets(stepped) == (2,)
    masked = Presentation.from_program([{"void": 2}, {"image": 5}, {"image": 5, "which": "next"}])
    assert find_onsets(masked) == (2, 7)
    assert find_onsets(Presentation.from_program([{"void": 5}])) == ()


def test_peak_and_integral_are_above_the_baseline_before_the_stimulus():
    course = Course(np.array([2.0, 2.0, 3.0, 6.0, 4.0, 2.0, 1.0]), (2,))
    assert course.baseline == 2
    assert course.peak() == 4
    assert course.peak_step() == 3
    assert course.integral() == 1 + 4 + 2 + 0 - 1


def test_a_trial_that_begins_with_the_stimulus_has_the_baseline_0():
    course = Course(np.array([1.0, 3.0, 2.0]), (0,))
    assert (course.baseline, course.peak(), course.integral()) == (0, 3, 6)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("intro", [0, 4])
def test_latency_of_a_leaky_integrator_is_that_of_its_exponential(alpha, intro):
    """Its value after k steps is ``1 − (1 − α)^k``; half of the peak lies on the chord between two of these."""
    steps = 120
    course = course_of(Presentation.duration(intro + steps, steps, intro), alpha=alpha)
    values = 1 - (1 - alpha) ** np.arange(steps + 1)
    exact = np.interp(values[-1] / 2, values, np.arange(steps + 1))
    assert course.latency() == pytest.approx(exact)
    assert abs(course.latency() - np.log(0.5) / np.log(1 - alpha)) < 0.3


def test_latency_counts_the_step_of_the_onset_as_one():
    assert Course(np.array([0.0, 0.0, 1.0, 1.0]), (2,)).latency() == 0.5
    assert Course(np.array([0.0, 0.0, 0.0, 1.0]), (2,)).latency() == 1.5


@given(
    values=st.lists(st.floats(0, 100), min_size=6, max_size=20),
    gain=st.floats(0.01, 100),
    offset=st.floats(-50, 50),
    onset=st.integers(1, 4),
)
def test_latency_and_adaptation_do_not_depend_on_gain_and_offset(values, gain, offset, onset):
    plain = Course(np.array(values), (onset, onset + 1))
    if not plain.peak() > 1e-3:
        return
    scaled = Course(offset + gain * np.array(values), plain.onsets)
    if scaled.peak() <= 2e-6 * np.abs(scaled.values).max():
        return
    assert scaled.latency() == pytest.approx(plain.latency(), abs=1e-4)
    assert scaled.adaptation() == pytest.approx(plain.adaptation(), rel=1e-4, abs=1e-4)
    assert scaled.integral() == pytest.approx(gain * plain.integral(), rel=1e-4, abs=1e-6 * gain + 1e-9)
    assert 0 <= plain.latency() <= len(values) - onset


def test_adaptation_index_is_the_ratio_of_the_peaks():
    first, second = np.array([0, 4, 2, 0]), np.array([0, 3, 1, 0])
    assert Course(np.concatenate([[0], first, second]) + 7.0, (1, 5)).adaptation() == 0.75


@given(interval=st.integers(20, 40))
def test_a_response_that_has_decayed_does_not_adapt(interval):
    course = course_of(Presentation.interval(interval + 60, 5, 2, interval), offset=3)
    assert course.adaptation() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0, 1.0], [3.0, 3.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
def test_without_a_response_there_is_no_latency_and_no_index(values):
    course = Course(np.array(values), (1, 2))
    assert np.isnan(course.latency())
    assert np.isnan(course.adaptation())


def test_nothing_is_read_where_nothing_is_shown_or_nothing_is_known():
    for course in (Course(np.ones(4), ()), Course(np.array([1.0, np.nan, 2.0, 3.0]), (1,))):
        assert np.isnan([course.peak(), course.latency(), course.integral(), course.adaptation()]).all()
        assert course.peak_step() is None


def test_trial_that_begins_with_the_stimulus_is_compared_with_what_the_network_rested_at():
    values = 10 + np.array([0.0, 20, 10, 0, 15, 0])
    assert Course(values, (0, 4), rest=10.0).adaptation() == pytest.approx(15 / 20)
    assert Course(values, (0, 4), rest=10.0).peak() == pytest.approx(20)
