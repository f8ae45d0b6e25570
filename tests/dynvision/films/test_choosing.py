"""Which steps a strip and an animation show."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dynvision.films.animation import choose_moments, choose_speed
from dynvision.films.choosing import choose_steps, pick_evenly
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.rendering import trace_timeline
from tests.helpers.presentations import presentations

LONG = Presentation.interval(1550, 133, 50, 67, dt=1.0)
STREAM = Presentation.from_program([{"repeat": 30, "program": [{"image": 3, "which": "next"}, {"void": 10}]}])


def test_a_strip_shows_every_onset_and_offset_of_a_long_trial():
    chosen = choose_steps(trace_timeline(LONG), 9)
    assert {0, 50, 183, 250, 383, 1549} <= {*chosen}
    assert len(chosen) == 9


def test_steps_in_between_go_where_an_image_is_shown():
    chosen = choose_steps(trace_timeline(LONG), 9)
    assert sum(LONG.frames[step] == 0 for step in chosen) == 4


def test_a_stream_of_more_images_than_frames_shows_images_and_not_the_gaps():
    chosen = choose_steps(trace_timeline(STREAM), 9)
    assert len(chosen) == 9
    assert all(STREAM.frames[step] >= 0 for step in chosen)


def test_a_ramp_of_contrast_is_shown_from_its_beginning_to_its_end():
    ramp = Presentation.from_program([{"void": 5}, {"image": 50, "contrast": 0.0, "contrast_to": 1.0}, {"void": 5}])
    contrasts = [ramp.contrasts[step] for step in choose_steps(trace_timeline(ramp), 9) if ramp.frames[step] == 0]
    assert contrasts[0] == 0
    assert contrasts[-1] == 1
    assert contrasts == sorted(contrasts)
    assert len(contrasts) >= 4


@given(presentations(), st.integers(2, 12))
def test_steps_are_in_order_within_the_trial_and_at_most_as_many_as_asked_for(show, most):
    chosen = choose_steps(trace_timeline(show), most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= most
    assert 0 <= chosen[0] <= chosen[-1] < show.n_timesteps


@given(st.integers(1, 60), st.integers(1, 60))
def test_an_even_choice_has_the_first_and_the_last(count, most):
    chosen = pick_evenly(range(count), most)
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    if most > 1:
        assert (chosen[0], chosen[-1]) == (0, count - 1)


@given(st.sampled_from([1, 7, 60, 400, 1550]), st.sampled_from([None, 1.0, 16.7]), st.integers(2, 60))
def test_an_animation_covers_the_trial_once_in_few_frames(n_steps, dt, most):
    timeline = trace_timeline(Presentation.constant(n_steps, dt=dt))
    moments = choose_moments(timeline, most)
    assert len(moments) <= most
    assert moments[0].step == 0
    assert moments[-1].stop == n_steps
    assert [moment.stop for moment in moments[:-1]] == [moment.step for moment in moments[1:]]
    assert all(moment.milliseconds >= 30 for moment in moments)


def test_a_single_step_of_a_long_trial_is_in_the_animation():
    brief = trace_timeline(Presentation.from_program([{"void": 200}, {"image": 1}, {"void": 199}]))
    assert any((moment.step, moment.stop) == (200, 201) for moment in choose_moments(brief, 40))


def test_real_time_is_scaled_by_a_round_number():
    for dt in (0.5, 1.0, 2.0, 5.0, 16.7, 1000.0):
        for n_steps in (1, 30, 400, 5000):
            timeline = trace_timeline(Presentation.constant(n_steps, dt=dt))
            times = choose_speed(timeline) / dt
            digits = times / 10 ** np.floor(np.log10(times) + 1e-9)
            assert np.isclose(digits, [1, 2, 5]).any()
            assert 1000 < choose_speed(timeline) * n_steps < 12_000 or n_steps == 1
