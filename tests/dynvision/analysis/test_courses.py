from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dynvision.analysis.courses import NUMBERS, Course, Showing, find_extreme
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import show_first_only
from tests.helpers.stores import leaky_response


def course_of(show: Presentation, gain: float = 1.0, alpha: float = 0.25) -> Course:
    alone = show_first_only(show)
    single = None if alone is None else leaky_response(gain * (alone.frames >= 0), alpha)
    return Course(leaky_response(gain * (show.frames >= 0), alpha), Showing.of(show), single)


def test_showing_knows_when_the_first_image_ends():
    assert Showing.of(Presentation.duration(10, 4, 3)) == Showing((3,), 7)
    assert Showing.of(Presentation.interval(30, 4, 3, 0)) == Showing((3, 7), 7)
    stepped = Presentation.from_program([{"void": 2}, {"image": 5, "contrast": 0.5}, {"image": 5, "contrast": 1.0}])
    assert Showing.of(stepped) == Showing((2,), 12)
    assert Showing.of(Presentation.from_program([{"void": 5}])) == Showing(())


def test_peak_integral_and_time_to_peak_are_those_of_the_evoked_response():
    course = Course(np.array([0.0, 0.0, 1.0, 4.0, 2.0, 0.0, -1.0]), Showing((2,), 4))
    assert course.peak() == 4
    assert course.peak_step() == 3
    assert course.time_to_peak() == 2
    assert course.integral() == 6


def test_peak_of_a_suppressed_layer_is_its_trough():
    course = Course(-np.array([0.0, 0.0, 1.0, 4.0, 2.0, -0.5]), Showing((2,), 4))
    assert course.peak() == -4
    assert course.latency() == Course(-course.values, course.showing).latency()
    assert course.sustained_ratio() == pytest.approx(1.0)  # the last third of two steps is the second one


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
    assert Course(np.array([0.0, 0.0, 1.0, 1.0]), Showing((2,), 4)).latency() == 0.5
    assert Course(np.array([0.0, 0.0, 0.0, 1.0]), Showing((2,), 4)).latency() == 1.5


def test_width_is_that_between_the_two_crossings_of_half_of_the_peak():
    triangle = np.array([0.0, 1, 2, 3, 4, 3, 2, 1, 0])
    assert Course(triangle, Showing((1,), 5)).width() == 4
    assert np.isnan(Course(triangle[:6], Showing((1,), 5)).width())  # the trial ends before it has fallen so far


def test_sustained_response_is_the_mean_of_the_last_third_of_the_stimulus():
    values = np.array([0.0, 8, 6, 4, 3, 2, 1, 0, 0, 0])
    course = Course(values, Showing((1,), 7))
    assert course.sustained() == 1.5
    assert course.sustained_ratio() == 1.5 / 8
    assert Course(values, Showing((1,), 2)).sustained() == 8


@given(
    values=st.lists(st.floats(0, 100).map(lambda value: round(value, 3)), min_size=6, max_size=20),
    gain=st.floats(0.01, 100),
    onset=st.integers(1, 4),
)
def test_times_and_ratios_do_not_depend_on_the_gain(values, gain, onset):
    evoked = np.where(np.arange(len(values)) < onset, 0, values)
    showing = Showing((onset, onset + 1), onset + 1)
    plain = Course(evoked, showing, evoked / 2)
    assume(plain.peak() > 1e-3)
    scaled = Course(gain * evoked, showing, gain * evoked / 2)
    for name in ("latency", "time_to_peak", "width", "sustained_ratio", "adaptation", "recovery", "recovery_integral"):
        read = NUMBERS[name].read
        assert read(scaled) == pytest.approx(read(plain), rel=1e-4, abs=1e-4, nan_ok=True)
    for name in ("response", "integral", "sustained"):
        assert NUMBERS[name].read(scaled) == pytest.approx(gain * NUMBERS[name].read(plain), rel=1e-6, abs=1e-9)
    assert 0 <= plain.latency() <= len(values) - onset


def test_first_peak_is_that_of_one_showing_and_the_rest_of_it_is_subtracted_from_the_second():
    single = np.array([0.0, 1, 4, 2, 1, 0, 0, 0])
    pair = single + np.array([0.0, 0, 0, 0, 1, 3, 1, 0])
    course = Course(pair, Showing((1, 3), 2), single)
    assert course.peak() == 4
    assert course.adaptation() == 3 / 4
    assert course.recovery() == 3 / 4
    assert course.recovery_integral() == 5 / (1 + 4 + 2 + 1 + 0)
    slow = Course(single + np.array([0.0, 0, 2, 0, 0, 0, 0, 0]), Showing((1, 2), 2), single)
    assert slow.adaptation() == 6 / 4  # what is left of the first response counts
    assert slow.recovery() == 2 / 4


def test_a_third_showing_is_no_part_of_the_recovery():
    single = np.array([0.0, 2, 1, 0, 0, 0, 0, 0, 0, 0])
    pair = single + np.array([0.0, 0, 0, 0, 2, 1, 0, 0, 0, 0])
    triple = pair + np.array([0.0, 0, 0, 0, 0, 0, 0, 2, 1, 0])
    course = Course(triple, Showing((1, 4, 7), 2), single)
    assert course.recovery() == 1
    assert course.recovery_integral() == 1


def test_the_extreme_of_a_suppressed_layer_is_its_lowest_mean_response():
    showing, course = Showing((2,), 4), np.array([0.0, 0.1, 1.0, 4.0, 2.0, 0.0])
    assert find_extreme(5 + course, np.full(6, 5.0), showing) == 9
    assert find_extreme(5 - course, np.full(6, 5.0), showing) == 1
    assert find_extreme(np.full(6, 5.0), np.full(6, 5.0), showing) == 5
    assert find_extreme(course, np.zeros(6), Showing(())) == 4
    assert np.isnan(find_extreme(np.array([0.0, np.nan]), np.zeros(2), Showing((0,), 1)))


@given(interval=st.integers(0, 40), alpha=st.floats(0.1, 0.9))
def test_a_linear_layer_recovers_at_once(interval, alpha):
    """The response of a linear system to a pair is the sum of the responses to each: nothing adapts."""
    course = course_of(Presentation.interval(interval + 80, 5, 2, interval), alpha=alpha)
    assert course.recovery() == pytest.approx(1, abs=1e-3)
    assert course.recovery_integral() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0, 0.0], [0.0, 1e-14, 0.0, 0.0]])
def test_without_a_response_there_is_no_latency_and_no_index(values):
    course = Course(np.array(values), Showing((1, 2), 2), np.zeros(4))
    for name in ("latency", "time_to_peak", "width", "sustained_ratio", "adaptation", "recovery", "recovery_integral"):
        assert np.isnan(NUMBERS[name].read(course)), name


def test_nothing_is_read_where_nothing_is_shown_or_nothing_is_known():
    for course in (Course(np.ones(4), Showing(())), Course(np.array([1.0, np.nan, 2.0, 3.0]), Showing((1,), 2))):
        for name, number in NUMBERS.items():
            assert np.isnan(number.read(course)), name


def test_many_courses_are_read_as_each_alone():
    rng = np.random.default_rng(0)
    values, single = rng.normal(size=(2, 7, 12))
    showing = Showing((2, 6), 5)
    for name, number in NUMBERS.items():
        alone = [number.read(Course(v, showing, s)) for v, s in zip(values, single, strict=True)]
        np.testing.assert_array_equal(number.read(Course(values, showing, single)), alone, name)
