from __future__ import annotations

import numpy as np
import pytest

from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import count_time, find_onsets, find_time_zero, show_first_only, show_nothing


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


@pytest.mark.parametrize(
    ("show", "zero"),
    [
        (Presentation.duration(10, 4, 3), 3),
        (Presentation.interval(30, 4, 2, 5), 2),
        (Presentation.contrast(10, 4, 3, stimulus_contrast=0.0), 3),
        (Presentation.constant(5), 0),
        (Presentation.from_program([{"void": 4}, {"image": 0}, {"void": 3}]), 4),
        (Presentation.from_program([{"void": 4}, {"image": 0, "contrast": 0.5}, {"image": 2, "which": "next"}]), 4),
        (Presentation.from_program([{"void": 4}, {"void": 3}]), 4),
        (Presentation.from_program([{"void": 4}]), 0),
    ],
)
def test_time_is_0_at_the_onset_or_at_the_end_of_the_intro(show, zero):
    assert find_time_zero(show) == zero
    time = count_time(show)
    assert len(time) == show.n_timesteps
    assert time[zero] == 1  # the first step of the stimulus ends one step after its onset
    assert (np.diff(time) == 1).all()


def test_resting_run_shows_nothing_and_has_the_same_noise():
    show = Presentation.interval(30, 4, 2, 5, sensor_noise=0.5, noise_seed=3, void_value=0.2)
    resting = show_nothing(show)
    assert resting.n_timesteps == 30
    assert find_onsets(resting) == ()
    assert (resting.sensor_noise, resting.noise_seed, resting.void_value) == (0.5, 3, 0.2)
    assert all(resting.step_key(t) == show.step_key(0) for t in range(30))


def test_single_run_shows_the_first_image_alone():
    show = Presentation.interval(30, 4, 2, 5, sensor_noise=0.5)
    single = show_first_only(show)
    assert single is not None
    assert single.n_timesteps == 30
    assert np.flatnonzero(single.frames >= 0).tolist() == [2, 3, 4, 5]
    assert all(single.step_key(t) == show.step_key(t) for t in range(11))
    masked = show_first_only(Presentation.from_program([{"void": 2}, {"image": 5}, {"image": 5, "which": "next"}]))
    assert masked is not None
    assert masked.frames.tolist() == [-1, -1, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1]
    assert show_first_only(Presentation.duration(10, 4, 3)) is None
    stepped = Presentation.from_program([{"image": 5, "contrast": 0.5}, {"image": 5, "contrast": 1.0}])
    assert show_first_only(stepped) is None
