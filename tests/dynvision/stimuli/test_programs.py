"""Programs: trials written as segments, with several images, ramps, noise and milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from dynvision.data.dataloader import get_data_loader
from dynvision.data.loading.label_sequence import LabelSequence
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.data.loading.trials import choose_trials
from dynvision.stimuli.noise import Noise, add_noise
from dynvision.stimuli.presentation import Presentation

IMAGES = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def read_frames(program: list[Any], **settings: Any) -> list[int]:
    return Presentation.from_program(program, **settings).frames.tolist()


def test_repeated_program_is_shown_again_and_again():
    inner = [{"image": 2}, {"void": 1}]
    assert read_frames([{"void": 1}, {"repeat": 3, "program": inner}]) == [-1, *[0, 0, -1] * 3]


def test_next_goes_on_from_one_repeat_to_the_next_and_over_void():
    rapid = [{"repeat": 4, "program": [{"image": 1, "which": "next"}, {"void": 1}]}]
    assert read_frames(rapid) == [0, -1, 1, -1, 2, -1, 3, -1]
    assert Presentation.from_program(rapid).n_images == 4


def test_repeats_may_be_nested():
    twice = {"repeat": 2, "program": [{"image": 1, "which": "next"}]}
    program = [{"repeat": 2, "program": [twice, {"image": 2, "which": "same"}, {"void": 1}]}, {"image": 1, "which": 0}]
    assert read_frames(program) == [0, 1, 1, 1, -1, 2, 3, 3, 3, -1, 0]


@given(st.integers(1, 4), st.integers(1, 3), st.lists(st.sampled_from(["void", "same", "next"]), max_size=4))
def test_repeat_is_its_program_written_out(times, steps, kinds):
    inner: list[dict[str, Any]] = [{"image": steps, "which": "next"}]
    inner += [{"void": steps} if kind == "void" else {"image": steps, "which": kind} for kind in kinds]
    written_out = Presentation.from_program(inner * times)
    assert Presentation.from_program([{"repeat": times, "program": inner}]) == written_out


def test_segment_of_no_steps_is_left_out_but_still_counts_its_image():
    assert read_frames([{"image": 0, "which": "next"}, {"image": 1, "which": "next"}, {"void": 0}]) == [1]


def test_ramp_fades_linearly_and_each_segment_has_its_noise():
    noise = {"kind": "gaussian", "ssnr": 0.3, "temporal": "dynamic", "seed": 4}
    program = [{"image": 3, "contrast": 0.0, "contrast_to": 1.0}, {"image": 2, "noise": noise}, {"image": 1}]
    show = Presentation.from_program(program)
    made = Noise("gaussian", 0.3, "dynamic", seed=4)
    assert show.contrasts.tolist() == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert show.noises == (None, None, None, made, made, None)
    dense = StimulusSequence(IMAGES, show).dense()
    assert torch.equal(dense[:, 1], IMAGES * 0.5)
    assert torch.equal(dense[:, 5], IMAGES)
    for t in (3, 4):
        np.testing.assert_array_equal(dense[:, t], add_noise(IMAGES.numpy(), made, np.arange(5), t))
    assert Presentation.from_program([{"image": 1, "noise": made}]).noises == (made,)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("lazy", [False, True])
def test_masking_shows_the_trials_own_images_with_their_labels(lazy, workers):
    images = torch.randn(5, 2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[i, 10 * i] for i in range(5)])
    program = [{"void": 1}, {"image": 2}, {"image": 1, "which": "next", "contrast": 0.5}]
    loader = get_data_loader(
        TensorDataset(images, labels), "StimulusProgram", batch_size=3, program=program, lazy=lazy, num_workers=workers
    )
    parts = [[part.dense() if lazy else part for part in batch] for batch in loader]
    stimulus, over_time = (torch.cat(part) for part in zip(*parts, strict=True))
    blank = torch.zeros_like(images[:, 0])
    assert torch.equal(stimulus, torch.stack([blank, images[:, 0], images[:, 0], images[:, 1] * 0.5], dim=1))
    wanted = torch.stack([torch.full((5,), -1), labels[:, 0], labels[:, 0], labels[:, 1]], dim=1)
    assert torch.equal(over_time, wanted)


@pytest.mark.parametrize("workers", [0, 2])
def test_single_images_make_trials_that_are_chosen_by_the_seed(workers):
    program = [{"image": 1}, {"image": 1, "which": "next"}, {"image": 1, "which": "next"}]
    loader = get_data_loader(
        TensorDataset(IMAGES, torch.arange(5) + 7),
        "StimulusProgram",
        batch_size=2,
        program=program,
        trial_seed=3,
        num_workers=workers,
    )
    stimulus, labels = (torch.cat(part) for part in zip(*loader, strict=True))
    trials = choose_trials(5, 3, 3)
    assert trials[:, 0].tolist() == list(range(5))
    assert all(len(set(trial)) == 3 for trial in trials.tolist())
    assert torch.equal(stimulus, IMAGES[torch.from_numpy(trials)])
    assert labels.tolist() == (trials + 7).tolist()


def test_program_of_more_images_than_the_dataset_has_says_what_to_do():
    with pytest.raises(ValueError, match="a trial shows 6 different images, and there are only 5"):
        get_data_loader(TensorDataset(IMAGES, torch.arange(5)), "StimulusProgram", program=[{"image": 1, "which": 5}])


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("image", "program is a list of segments such as {void: 2} and {image: 20}, not 'image'"),
        ({"image": 2}, "program is a list of segments such as {void: 2} and {image: 20}"),
        ([["image", 2]], r"program\[0\]: a segment is {void: steps} or {image: steps}, not \['image', 2\]"),
        ([{"repeat": 2}], r"program\[0\]: the program to repeat is missing: {repeat: 2, program: \[\.\.\.\]}"),
        ([{"repeat": 0, "program": []}], r"program\[0\]: repeat must be a whole number from 1"),
        ([{"repeat": 2, "image": 2}], r"program\[0\]: unknown key 'image'"),
        ([{"repeat": 2, "program": [{"void": 1}, {"imag": 3}]}], r"program\[0\]\.program\[1\]: unknown key 'imag'"),
        ([{"image": 1, "contrast": "high"}], "contrast must be a number from 0 to 1, not 'high'"),
        ([{"image": 1, "contrast_to": 2}], "contrast must be a number from 0 to 1, not 2"),
        ([{"image": 1, "noise": "gaussian"}], r"program\[0\]\.noise is {kind: gaussian, ssnr: 0\.5}, not 'gaussian'"),
        ([{"image": 1, "noise": {"kind": "gaussian"}}], r"program\[0\]\.noise needs 'ssnr'"),
        (
            [{"image": 1, "noise": {"kind": "gaussian", "snr": 1}}],
            r"program\[0\]\.noise: unknown key 'snr'\. Did you mean 'ssnr'\?",
        ),
    ],
)
def test_impossible_program_says_where_it_is_wrong(program, message):
    with pytest.raises(ValueError, match=message):
        Presentation.from_program(program)


def test_program_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr("dynvision.stimuli.segments._MOST_STEPS", 1000)
    with pytest.raises(ValueError, match=r"program\[1\]: the program has more than 1000 segments"):
        Presentation.from_program([{"void": 0}, {"repeat": 1000, "program": [{"void": 0}, {"void": 0}]}])


def test_durations_are_milliseconds_where_dt_is_given():
    show = Presentation.from_program([{"void": 10}, {"repeat": 2, "program": [{"image": 5}, {"void": 2.5}]}], dt=2.5)
    assert show.frames.tolist() == [-1] * 4 + [0, 0, -1] * 2
    in_steps = Presentation.from_program([{"void": 4}, {"repeat": 2, "program": [{"image": 2}, {"void": 1}]}])
    assert show.segments == in_steps.segments
    assert (show.dt, in_steps.dt) == (2.5, None)
    assert Presentation.duration(10, 20, 5, dt=5).frames.tolist() == [-1] + [0] * 4 + [-1] * 5
    assert Presentation.interval(9, 10, 5, 15, dt=5.0).frames.tolist() == [-1, 0, 0, -1, -1, -1, 0, 0, -1]


@given(st.integers(1, 200), st.sampled_from([0.1, 0.3, 1.0, 5.0, 7.5, 16.7]))
def test_any_whole_number_of_steps_is_understood_in_milliseconds(steps, dt):
    assert Presentation.duration(200, steps * dt, dt=dt).frames.tolist() == [0] * steps + [-1] * (200 - steps)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Presentation.duration(10, 12, dt=5),
            "stimulus_duration of 12 ms is no whole number of steps of 5 ms; the nearest are 10 and 15 ms",
        ),
        (lambda: Presentation.duration(10, 10, 1, dt=5), "intro_duration of 1 ms .* the nearest are 0 and 5 ms"),
        (lambda: Presentation.from_program([{"void": 7}], dt=2), r"program\[0\]: void of 7 ms .* are 6 and 8 ms"),
        (lambda: Presentation.duration(10, 10, -5, dt=5), r"intro_duration \(in time steps\) must be .* not -1"),
        (
            lambda: Presentation.duration(10, "10", dt=5),
            r"stimulus_duration \(a duration in milliseconds.* must be a",
        ),
        (
            lambda: Presentation.duration(10, float("nan"), dt=5),
            r"stimulus_duration \(a duration in milliseconds.* must be a",
        ),
        (lambda: Presentation.duration(10, 10, dt=0), "dt is the length of a time step in milliseconds.* not 0"),
        (lambda: Presentation.constant(10, dt=float("nan")), "dt is the length of a time step.* not nan"),
        (lambda: Presentation.constant(10, dt=True), "dt is the length of a time step.* not True"),
    ],
)
def test_duration_that_is_no_whole_number_of_steps_names_the_nearest(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_description_draws_repeats_ramps_noise_and_milliseconds():
    noise = {"kind": "phase_scrambled", "ssnr": 0.25}
    program = [
        {"void": 10},
        {"repeat": 2, "program": [{"image": 5, "which": "next"}, {"void": 5}]},
        {"image": 20, "which": 0, "contrast": 0.0, "contrast_to": 0.6, "noise": noise},
        {"image": 25, "which": 11},
    ]
    assert Presentation.from_program(program, dt=5).describe().splitlines() == [
        "step      0         10  (5 ms each, 75 ms in all)",
        "image     ··0·1·000011111",
        "contrast  ··X·X·0246XXXXX",
        "ssnr      ······3333·····",
        "static phase_scrambled noise in the image, ssnr 0.25",
    ]


def test_labels_over_time_are_indexed_as_the_dense_tensor():
    show = Presentation.from_program([{"void": 1}, {"image": 2}, {"image": 1, "which": 1}], non_label_index=-9)
    for labels in (torch.tensor([3, 1, 4]), torch.tensor([[3, 30], [1, 10], [4, 40]])):
        sequence = LabelSequence(labels, show)
        last = [30, 10, 40] if labels.dim() == 2 else [3, 1, 4]
        wanted = torch.tensor([[-9] * 3, [3, 1, 4], [3, 1, 4], last]).T
        dense = sequence.dense()
        assert torch.equal(dense, wanted)
        assert dense.dtype == sequence.dtype == torch.int64
        assert sequence.shape == dense.shape
        assert len(sequence) == 3
        assert sequence.nbytes == labels.nbytes
        assert torch.equal(torch.stack(list(sequence.steps()), dim=1), dense)
        assert torch.equal(torch.stack(list(sequence)), dense)
        for t in range(-4, 4):
            assert torch.equal(sequence[:, t], dense[:, t])
            assert torch.equal(sequence[1:, t], dense[1:, t])
            assert sequence[2, t] == dense[2, t]
        assert torch.equal(sequence[:, 1:3], dense[:, 1:3])
        dense.zero_()
        assert torch.equal(sequence.dense(), wanted)
        for t in (4, -5):
            with pytest.raises(IndexError, match=f"step {t} is outside the 4 steps of the presentation"):
                sequence[:, t]


@pytest.mark.parametrize("labels", [torch.tensor([[1], [3]]), torch.tensor([[1, 2], [3, 4]])], ids=["one", "two"])
def test_fewer_labels_than_images_mean_the_same_step_by_step_as_at_once(labels):
    show = Presentation.from_program([{"image": 1, "which": frame} for frame in (0, 1, 2)])
    sequence = LabelSequence(labels, show)
    assert torch.equal(torch.stack(list(sequence.steps()), dim=1), sequence.dense())


@pytest.mark.filterwarnings("ignore:the images are in")
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.bool])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stimulus_contrast": 0.5}, "cannot hold fractions of contrast"),
        ({"sensor_noise": 1.0}, "cannot hold noise"),
        ({"void_value": 0.5}, r"cannot hold a void value of 0\.5"),
        ({"void_value": 70000}, "cannot hold a void value of 70000"),
    ],
)
def test_whole_number_images_that_cannot_be_shown_are_an_error_with_its_fix(dtype, settings, message):
    images = torch.ones(4, 3, 2, 2).to(dtype)
    dataset = TensorDataset(images, torch.arange(4))
    fix = r"Give the loader dtype=torch\.float32, or the dataset a transform that makes float images"
    for lazy in (False, True):
        loader = get_data_loader(dataset, "StimulusDuration", tsteps=3, stim=1, lazy=lazy, **settings)
        with pytest.raises(ValueError, match=rf"images of type {dtype} {message}\. {fix}"):
            next(iter(loader))
        loader = get_data_loader(
            dataset, "StimulusDuration", tsteps=3, stim=1, lazy=lazy, dtype=torch.float32, **settings
        )
        assert next(iter(loader))[0].dtype == torch.float32
