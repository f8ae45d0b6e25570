from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import UnknownNameError
from dynvision.stimuli.names import ARGUMENT_ALIASES, make_presentation
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID, Segment

steps = st.integers(0, 6)
contrasts = st.floats(0, 1)


def draw_timeline(total: int, parts: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Frames and contrasts of (steps, frame, contrast) parts: the definition, step by step."""
    frames, shown = [], []
    for length, frame, contrast in parts:
        for _ in range(length):
            frames.append(frame)
            shown.append(contrast)
    while len(frames) < total:
        frames.append(-1)
        shown.append(1.0)
    return np.array(frames), np.array(shown)


def assert_timeline(presentation: Presentation, total: int, parts: list[tuple[int, int, float]]) -> None:
    frames, shown = draw_timeline(total, parts)
    assert presentation.n_timesteps == total
    np.testing.assert_array_equal(presentation.frames, frames)
    np.testing.assert_array_equal(presentation.contrasts[frames >= 0], shown[frames >= 0])
    labels = np.array([4, 9])
    expected = np.where(frames == -1, presentation.non_label_index, labels[:, None])
    np.testing.assert_array_equal(presentation.labels(labels), expected)
    assert presentation.labels(labels).dtype == np.int64


@given(st.integers(1, 9), contrasts)
def test_constant_shows_the_image_at_every_step(total, contrast):
    assert_timeline(Presentation.constant(total, stimulus_contrast=contrast), total, [(total, 0, contrast)])


@given(st.integers(1, 6), steps, steps, contrasts)
def test_duration_shows_the_image_once_after_the_intro(stim, intro, rest, contrast):
    total = intro + stim + rest
    made = Presentation.duration(total, stim, intro, stimulus_contrast=contrast)
    assert_timeline(made, total, [(intro, -1, 1), (stim, 0, contrast)])
    assert made == Presentation.contrast(total, stim, intro, contrast)


@given(st.integers(1, 5), steps, steps, steps)
def test_interval_shows_the_image_twice_with_a_gap(stim, intro, gap, rest):
    total = intro + 2 * stim + gap + rest
    made = Presentation.interval(total, stim, intro, gap, non_label_index=-7)
    assert_timeline(made, total, [(intro, -1, 1), (stim, 0, 1.0), (gap, -1, 1), (stim, 0, 1.0)])


@st.composite
def programs(draw: Any) -> tuple[list[dict[str, Any]], list[tuple[int, int, float]]]:
    """A program and the parts that it means."""
    program, parts, shown = [], [], -1
    for _ in range(draw(st.integers(1, 6))):
        length = draw(st.integers(1, 4))
        if draw(st.booleans()):
            program.append({"void": length})
            parts.append((length, -1, 1.0))
            continue
        entry: dict[str, Any] = {"image": length, "which": draw(st.sampled_from(["same", "next", 0, 1, 2]))}
        shown = {"same": max(shown, 0), "next": shown + 1}.get(entry["which"], entry["which"])
        contrast = 1.0
        if draw(st.booleans()):
            contrast = entry["contrast"] = draw(contrasts)
        program.append(entry)
        parts.append((length, shown, contrast))
    return program, parts


@given(programs(), steps)
def test_program_is_its_segments_one_after_another(drawn, rest):
    program, parts = drawn
    total = sum(part[0] for part in parts) + rest
    made = Presentation.from_program(program, total)
    frames, shown = draw_timeline(total, parts)
    np.testing.assert_array_equal(made.frames, frames)
    np.testing.assert_array_equal(made.contrasts[frames >= 0], shown[frames >= 0])
    assert made.n_images == max(1, frames.max() + 1)
    labels = np.arange(10, 10 + 3 * made.n_images).reshape(3, made.n_images)
    expected = np.where(frames == -1, -1, labels[:, np.maximum(frames, 0)])
    np.testing.assert_array_equal(made.labels(labels), expected)


@given(st.integers(2, 9), contrasts, contrasts)
def test_ramp_goes_linearly_from_first_to_last_step(length, start, end):
    made = Presentation.from_program([{"image": length, "contrast": start, "contrast_to": end}])
    np.testing.assert_allclose(made.contrasts, start + (end - start) * np.arange(length) / (length - 1), atol=1e-15)
    assert made.contrasts[0] == start
    assert made.contrasts[-1] == end


@given(st.integers(1, 6), steps, steps, st.integers(0, 5))
def test_idle_steps_come_before_and_change_nothing_else(stim, intro, rest, idle):
    made = Presentation.duration(intro + stim + rest, stim, intro, void_value=0.25, sensor_noise=2.0)
    later = made.preceded_by(idle)
    np.testing.assert_array_equal(later.frames, np.concatenate([np.full(idle, VOID), made.frames]))
    assert (later.void_value, later.sensor_noise) == (0.25, 2.0)


@given(programs(), programs())
def test_equal_step_keys_mean_equal_frames(first, second):
    one, other = (Presentation.from_program(program, 24) for program, _ in (first, second))
    for t in range(24):
        both_void = one.frames[t] == other.frames[t] == VOID
        same_image = one.frames[t] == other.frames[t] and one.contrasts[t] == other.contrasts[t]
        assert (one.step_key(t) == other.step_key(t)) == (both_void or same_image)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"void_value": 0.5}, [True, False, False]),
        ({"contrast_reference": 0.5}, [False, True, False]),
        ({"sensor_noise": 1.0}, [True, True, True]),
        ({"noise_seed": 1}, [False, False, False]),
    ],
)
def test_step_keys_differ_where_a_setting_acts(change, differs):
    """Void, an image at half contrast, the image itself."""
    program = [{"void": 1}, {"image": 1, "contrast": 0.5}, {"image": 1}]
    made, other = Presentation.from_program(program), Presentation.from_program(program, **change)
    assert [made.step_key(t) != other.step_key(t) for t in range(3)] == differs


@given(st.integers(1, 12), steps, st.integers(1, 6))
def test_windows_are_the_steps_that_their_names_say(stim, intro, rest):
    made = Presentation.duration(intro + stim + rest, stim, intro)
    time = np.arange(made.n_timesteps)
    np.testing.assert_array_equal(time[made.window("stimulus")], np.flatnonzero(made.frames == 0))
    np.testing.assert_array_equal(time[made.window("outro")], np.arange(intro + stim, made.n_timesteps))
    np.testing.assert_array_equal(time[made.window("all")], time)
    late = time[made.window("late")]
    assert late[-1] == intro + stim - 1
    assert len(late) == -(-stim // 3)


@given(st.integers(1, 8), st.integers(1, 9), steps)
def test_late_window_of_two_showings_is_the_end_of_the_second(stim, interval, intro):
    made = Presentation.interval(intro + 2 * stim + interval + 3, stim, intro, interval)
    late = np.arange(made.n_timesteps)[made.window("late", 0)]
    assert late[-1] == intro + 2 * stim + interval - 1
    assert len(late) == -(-stim // 3)


def test_window_of_two_numbers_is_those_steps():
    assert Presentation.constant(8).window([2, 5]) == slice(2, 5)


def test_window_that_ends_after_the_trial_is_an_error():
    with pytest.raises(ValueError, match=r"the window \[2, 9\] ends after the last of 8 steps"):
        Presentation.constant(8).window([2, 9])


def test_empty_outro_is_an_error():
    with pytest.raises(ValueError, match="the window 'outro' is empty: the stimulus lasts until the end"):
        Presentation.constant(8).window("outro")


def test_unknown_window_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown window 'stimulos'\. Did you mean 'stimulus'\?"):
        Presentation.constant(8).window("stimulos")


def test_trial_that_does_not_fit_says_how_many_steps_it_needs():
    expected = r"the trial needs 9 steps, but n_timesteps is 8\. Set n_timesteps to at least 9"
    with pytest.raises(ValueError, match=expected):
        Presentation.interval(8, stimulus_duration=3, intro_duration=1, interval_duration=2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Presentation.constant(0), "n_timesteps (in time steps) must be a whole number from 1, not 0"),
        (lambda: Presentation.constant(True), "n_timesteps (in time steps) must be a whole number"),
        (lambda: Presentation.constant(2.0), "n_timesteps (in time steps) must be a whole number from 1, not 2.0"),
        (lambda: Presentation.duration(5, 0), "stimulus_duration (in time steps) must be a whole number from 1"),
        (lambda: Presentation.duration(5, 2, -1), "intro_duration (in time steps) must be a whole number from 0"),
        (lambda: Presentation.interval(9, 2, 0, -1), "interval_duration (in time steps) must be a whole number"),
        (lambda: Presentation.constant(5, stimulus_contrast=1.5), "contrast must be a number from 0 to 1, not 1.5"),
        (lambda: Presentation.constant(5, stimulus_contrast=-0.1), "contrast must be a number from 0 to 1"),
        (lambda: Presentation.constant(5, stimulus_contrast=float("nan")), "contrast must be a number from 0 to 1"),
        (lambda: Presentation.constant(5, void_value=float("inf")), "void_value must be a finite number"),
        (
            lambda: Presentation.constant(5, sensor_noise=-1.0),
            "sensor_noise (a standard deviation) must be a number from 0, not -1",
        ),
        (
            lambda: Presentation.constant(5, noise_seed=-1),
            "noise_seed must be a whole number from 0 to 9.2",
        ),
        (lambda: Presentation(()), "a presentation needs at least one time step"),
        (lambda: Presentation((Segment(0),)), "a presentation needs at least one time step"),
        (lambda: Presentation.from_program([{"imag": 3}]), "program[0]: unknown key 'imag'. Did you mean 'image'?"),
        (
            lambda: Presentation.from_program([{"void": 1}, {"contrast": 1}]),
            "program[1]: a segment is {void: steps} or",
        ),
        (lambda: Presentation.from_program([{"void": 1, "contrast": 1}]), "program[0]: unknown key 'contrast'"),
        (
            lambda: Presentation.from_program([{"image": 1, "which": "last"}]),
            "'which' is same, next, other or an image's index",
        ),
        (
            lambda: Presentation.from_program([{"image": 1, "which": -1}]),
            "'which' is same, next, other or an image's index",
        ),
        (
            lambda: Presentation.from_program([{"image": 1, "which": [1]}]),
            "'which' is same, next, other or an image's index",
        ),
        (
            lambda: Presentation.from_program([{"image": -1}]),
            "program[0]: image (in time steps) must be a whole number from 0, not -1",
        ),
        (lambda: Segment(-1), "a segment's duration (in time steps) must be a whole number from 0, not -1"),
    ],
)
def test_impossible_setting_is_a_value_error_that_says_what_is_valid(build, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        build()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("full", "alias"), [(name, alias) for name, more in ARGUMENT_ALIASES.items() for alias in more]
)
def test_every_alias_means_its_full_name(full, alias):
    settings = {"n_timesteps": 9, "stimulus_duration": 2, "intro_duration": 1, "interval_duration": 2}
    value = {"stimulus_contrast": 0.5, "void_value": 0.5, "non_label_index": -5}.get(full, settings.get(full))
    loader = "StimulusInterval"
    if full in ("noise_type", "temporal"):
        loader, value = "StimulusNoise", {"noise_type": "uniform", "temporal": "dynamic"}[full]
        del settings["interval_duration"]
    others = {key: other for key, other in settings.items() if key != full}
    assert make_presentation(loader, **others, **{alias: value}) == make_presentation(loader, **others, **{full: value})


def test_loaders_may_be_named_with_or_without_their_ending():
    settings = {"tsteps": 5, "stim": 2}
    assert make_presentation("StimulusDurationDataLoader", **settings) == make_presentation(
        "StimulusDuration", **settings
    )


def test_unknown_loader_names_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"unknown data_loader 'StimulusDurtion'\. Did you mean 'StimulusDuration'"
    ):
        make_presentation("StimulusDurtion", tsteps=5)


def test_unknown_setting_names_the_nearest():
    with pytest.raises(TypeError, match=r"StimulusDuration has no setting 'stmi'\. Did you mean 'stim'\?"):
        make_presentation("StimulusDuration", tsteps=5, stmi=2)


def test_missing_setting_is_named():
    with pytest.raises(TypeError, match="StimulusDuration needs the setting 'stimulus_duration'"):
        make_presentation("StimulusDuration", tsteps=5)


def test_setting_given_under_two_of_its_names_is_an_error():
    with pytest.raises(TypeError, match="stimulus_duration"):
        make_presentation("StimulusDuration", tsteps=9, stim=2, stimulus_duration=5)


def test_description_draws_one_sign_a_step():
    show = Presentation.from_program(
        [{"void": 2}, {"image": 3, "contrast": 0.5}, {"image": 2, "which": "next"}, {"void": 1}], sensor_noise=0.3
    )
    assert show.describe().splitlines() == [
        "step      0",
        "image     ··00011·",
        "contrast  ··555XX·",
        "sensor noise of standard deviation 0.3 at every step",
    ]


@given(repetitions=st.integers(1, 5), stim=st.integers(1, 4), gap=st.integers(0, 4), intro=st.integers(0, 3))
def test_repetition_shows_the_image_that_often(repetitions, stim, gap, intro):
    needed = intro + repetitions * stim + (repetitions - 1) * gap
    show = Presentation.repetition(needed + 2, stim, intro, gap, repetitions)
    expected = [VOID] * intro + ([0] * stim + [VOID] * gap) * repetitions
    expected = (expected[:needed] + [VOID] * 2)[: needed + 2]
    assert show.frames.tolist() == expected
    if repetitions == 2:
        assert show == Presentation.interval(needed + 2, stim, intro, gap)


def test_plot_draws_every_image_of_the_trial_on_an_axis_in_milliseconds():
    show = Presentation.from_program([{"void": 2}, {"image": 3}, {"image": 2, "which": "next"}])
    (axes,) = show.plot(dt=5.0).axes
    assert axes.get_xlabel() == "time from onset (ms)"
    assert axes.get_xlim() == (-10.0, 25.0)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["image 0", "image 1"]
