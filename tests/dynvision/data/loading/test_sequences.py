"""Sequences compared with the tensors that they stand for, and inputs whose meaning is not clear."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import Subset, TensorDataset

from dynvision.data.dataloader import get_data_loader
from dynvision.data.loading.label_sequence import LabelSequence
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.noise import Noise, add_noise, sensor_noise
from dynvision.stimuli.presentation import Presentation


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("index", [(slice(None), 2), (slice(1, 3), 4), (0, slice(2, 5)), (slice(None), slice(1, 1))])
def test_indexing_trials_and_steps_is_as_for_the_dense_tensor(index):
    sequence = StimulusSequence(draw(4, 3, 8, 8), Presentation.duration(6, 3, 1, sensor_noise=0.5))
    assert torch.equal(sequence[index], sequence.dense()[index])


@pytest.mark.parametrize("index", [1.5, "first", [0.5], (slice(None), 1.5), ([1.0], 2)])
def test_what_is_no_index_is_an_error_that_says_what_is(index):
    sequence = StimulusSequence(draw(4, 3, 8, 8), Presentation.duration(6, 3, 1))
    for one in (sequence, LabelSequence(torch.arange(4), sequence.presentation)):
        with pytest.raises(IndexError):
            one[index]
    with pytest.raises(IndexError, match=r"trials first and steps second, as in .*sequence\[:, 2:5\]"):
        sequence[index]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (4, r"trial 4 is outside the 4 trials of the batch; steps come second: sequence\[:, 4\]"),
        (-5, "trial -5 is outside the 4 trials"),
        ([0, 4], "index 4 is out of bounds"),
        ((0, 6), "step 6 is outside the 6 steps of the presentation"),
        ((4, 0), "index 4 is out of bounds"),
        ((slice(None), [6]), "index 6 is out of bounds"),
        ([True, False], "shape of the mask"),
    ],
)
def test_index_outside_is_an_error(index, message):
    sequence = StimulusSequence(draw(4, 3, 8, 8), Presentation.duration(6, 3, 1))
    with pytest.raises(IndexError, match=message):
        sequence[index]


def test_labels_that_are_no_class_indices_are_refused():
    images = draw(4, 3, 8, 8)
    for labels in (functional.one_hot(torch.arange(4), 10), torch.zeros(4, 8, 8, dtype=torch.int64)):
        loader = get_data_loader(TensorDataset(images, labels), batch_size=4)
        with pytest.raises(TypeError, match=r"one class index an image, .* shape \[4, .*argmax"):
            next(iter(loader))


def test_labels_in_a_column_are_labels():
    loader = get_data_loader(TensorDataset(draw(4, 3, 8, 8), torch.arange(4)[:, None]), batch_size=4)
    assert next(iter(loader))[1][:, 0].tolist() == [0, 1, 2, 3]


def pictures(image: object) -> list[tuple[object, int]]:
    return [(image, 0), (image, 1)]


def test_picture_with_a_palette_has_its_colours():
    picture = Image.new("RGB", (4, 4), (255, 51, 0)).convert("P", palette=Image.Palette.ADAPTIVE)
    images, _ = next(iter(get_data_loader(pictures(picture), batch_size=2)))
    torch.testing.assert_close(images[0, 0, :, 0, 0], torch.tensor([1.0, 0.2, 0.0]), atol=0.02, rtol=0)


@pytest.mark.parametrize("mode", ["F", "I", "CMYK", "RGBA", "LA"])
def test_picture_without_one_meaning_in_0_to_1_is_refused(mode):
    with pytest.raises(TypeError, match=rf"mode {mode} has no one meaning in \[0, 1\]; give image\.convert\('RGB'\)"):
        next(iter(get_data_loader(pictures(Image.new(mode, (4, 4))), batch_size=2)))


def test_array_with_its_channels_last_is_refused():
    with pytest.raises(TypeError, match=r"\[8, 8, 3\] has its channels last; .*v2\.ToImage"):
        next(iter(get_data_loader(pictures(np.zeros((8, 8, 3), dtype=np.uint8)), batch_size=2)))


def test_phase_scrambling_keeps_the_relation_of_the_channels_and_their_amplitudes():
    first = draw(2, 1, 16, 16).numpy()
    images = np.concatenate([first, 1 - 0.8 * first], axis=1)
    for ssnr in (0.0, 0.3, 0.7):
        noisy = add_noise(images, Noise("phase_scrambled", ssnr), np.arange(2), 0)
        np.testing.assert_allclose(abs(np.fft.rfft2(noisy)), abs(np.fft.rfft2(images)), atol=1e-3)
        assert np.corrcoef(noisy[0, 0].ravel(), noisy[0, 1].ravel())[0, 1] == pytest.approx(-1, abs=1e-4)
    assert (
        abs(
            np.corrcoef(
                add_noise(images, Noise("phase_scrambled", 0.0), np.arange(2), 0)[0, 0].ravel(), images[0, 0].ravel()
            )[0, 1]
        )
        < 0.4
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sensor_noise_of_half_precision_is_rounded_once(dtype):
    images = draw(2, 3, 8, 8).to(dtype)
    sequence = StimulusSequence(images, Presentation.constant(2, sensor_noise=1.5, noise_seed=4))
    noise = torch.from_numpy(sensor_noise(np.arange(2), 1, (3, 8, 8), 4))
    assert torch.equal(sequence.frame(1), (images.float() + 1.5 * noise).to(dtype))


def test_batch_of_one_step_is_no_view_of_the_dataset():
    images = draw(4, 3, 8, 8)
    before = images.clone()
    dataset = TensorDataset(images, torch.arange(4))
    loader = get_data_loader(
        dataset, batch_size=1, n_timesteps=1, collate_fn=lambda items: (items[0][0][None], [items[0][1]])
    )
    for shown, _ in loader:
        shown.zero_()
    assert torch.equal(images, before)


def test_saving_a_batch_saves_the_batch_alone():
    dataset = TensorDataset(draw(16, 3, 32, 32), torch.arange(16))
    stimulus, _ = next(iter(get_data_loader(dataset, "StimulusDuration", batch_size=16, tsteps=40, stim=10)))
    file = io.BytesIO()
    torch.save(stimulus, file)
    assert file.tell() < stimulus.nbytes + 100_000


def test_subset_of_a_million_costs_what_its_batch_costs():
    class Counting(list):
        asked = 0

        def __getitem__(self, index):
            Counting.asked += 1
            return super().__getitem__(index)

        def __iter__(self):
            raise AssertionError("all indices were read")

    dataset = Subset(TensorDataset(draw(8, 3, 4, 4), torch.arange(8)), Counting([7, 5, 3, 1]))
    sequence, _ = next(iter(get_data_loader(dataset, batch_size=4, lazy=True)))
    assert sequence.sample_ids.tolist() == [7, 5, 3, 1]
    assert Counting.asked <= 8


def test_memory_of_a_sequence_does_not_grow_with_the_number_of_its_noises():
    program = [{"image": 1, "noise": {"kind": "gaussian", "ssnr": k / 40}} for k in range(40)]
    sequence = StimulusSequence(draw(2, 3, 8, 8), Presentation.from_program(program))
    frames = [frame.clone() for frame in sequence.steps()]
    assert len(sequence._drawn) <= 4
    assert all(torch.equal(sequence.frame(t), frames[t]) for t in (0, 20, 39))
