from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.presentation import Presentation


def draw_images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def show_slowly(images: np.ndarray, presentation: Presentation) -> np.ndarray:
    """The dense tensor, step by step and pixel arithmetic in float64; images `[B, K, C, H, W]`."""
    shown = []
    for frame, contrast in zip(presentation.frames, presentation.contrasts, strict=True):
        grey = presentation.contrast_reference
        image = images[:, max(frame, 0)].astype(np.float64)
        void = np.full_like(image, presentation.void_value)
        shown.append(void if frame < 0 else grey + contrast * (image - grey))
    return np.stack(shown, axis=1)


segments = st.lists(
    st.one_of(
        st.fixed_dictionaries({"void": st.integers(1, 3)}),
        st.fixed_dictionaries(
            {"image": st.integers(1, 3), "which": st.sampled_from([0, 1]), "contrast": st.floats(0, 1)}
        ),
    ),
    min_size=1,
    max_size=5,
)


@given(segments, st.sampled_from([0.0, 0.5, -1.0]), st.sampled_from([0.0, 0.3]))
def test_dense_tensor_is_what_the_program_says(program, void, grey):
    images = draw_images(2, 2, 3, 4, 4)
    show = Presentation.from_program(program, void_value=void, contrast_reference=grey)
    sequence = StimulusSequence(images, show)
    dense = sequence.dense()
    assert dense.shape == sequence.shape == (2, show.n_timesteps, 3, 4, 4)
    np.testing.assert_allclose(dense.numpy(), show_slowly(images.numpy(), show), atol=1e-6)


@given(segments)
def test_indexing_iterating_and_the_dense_tensor_agree(program):
    show = Presentation.from_program(program, sensor_noise=1.0)
    sequence = StimulusSequence(draw_images(2, 2, 1, 4, 4), show)
    dense = sequence.dense()
    assert torch.equal(torch.stack(list(sequence.steps()), dim=1), dense)
    assert torch.equal(torch.stack(list(sequence)), dense)
    steps = show.n_timesteps
    for t in range(steps):
        assert torch.equal(sequence[:, t], dense[:, t])
        assert torch.equal(sequence[:, t - steps], dense[:, t])
        assert torch.equal(sequence[1:, t], dense[1:, t])


def test_full_contrast_shows_the_very_image():
    images = draw_images(2, 3, 4, 4)
    dense = StimulusSequence(images, Presentation.constant(3)).dense()
    assert torch.equal(dense, images[:, None].expand(-1, 3, -1, -1, -1))


def test_contrast_fades_towards_the_reference():
    images = draw_images(2, 3, 4, 4)
    show = Presentation.constant(1, stimulus_contrast=0.0, contrast_reference=0.5)
    (frame,) = StimulusSequence(images, show).steps()
    assert torch.equal(frame, torch.full_like(images, 0.5))


def test_step_outside_the_presentation_is_an_error():
    sequence = StimulusSequence(draw_images(1, 3, 4, 4), Presentation.constant(3))
    for t in (3, -4):
        with pytest.raises(IndexError, match=f"step {t} is outside the 3 steps of the presentation"):
            sequence[:, t]


def test_too_few_images_for_the_program_is_an_error():
    show = Presentation.from_program([{"image": 1}, {"image": 1, "which": "next"}])
    with pytest.raises(ValueError, match="the presentation shows 2 images a trial, but there are 1"):
        StimulusSequence(draw_images(2, 3, 4, 4), show)


def test_images_of_another_shape_are_an_error():
    with pytest.raises(ValueError, match=r"images have the shape \[B, C, H, W\] or \[B, K, C, H, W\], not \[3, 4, 4\]"):
        StimulusSequence(draw_images(3, 4, 4), Presentation.constant(1))


def test_dense_tensor_has_contiguous_steps_and_memory_of_its_own():
    images = draw_images(2, 3, 4, 4)
    before = images.clone()
    dense = StimulusSequence(images, Presentation.constant(3)).dense()
    assert all(dense[:, t].is_contiguous() for t in range(3))
    assert torch.equal(dense.reshape(2 * 3, 3, 4, 4), images.repeat_interleave(3, dim=0))
    dense.zero_()
    assert torch.equal(images, before)


def test_moving_and_converting_carries_the_images_only():
    sequence = StimulusSequence(draw_images(2, 3, 4, 4), Presentation.duration(5, 2))
    halved = sequence.to(torch.float16)
    assert halved.images.shape == (2, 3, 4, 4)
    assert halved.dtype == halved.dense().dtype == torch.float16
    assert sequence.dtype == torch.float32


@given(st.permutations(range(6)), st.integers(1, 6))
def test_noise_of_a_sample_does_not_depend_on_batch_or_order(order, size):
    images = draw_images(6, 3, 4, 4)
    show = Presentation.duration(4, 2, 1, sensor_noise=1.5, noise_seed=3)
    whole = StimulusSequence(images, show, np.arange(10, 16)).dense()
    for start in range(0, 6, size):
        rows = np.array(order[start : start + size])
        part = StimulusSequence(images[rows], show, rows + 10).dense()
        assert torch.equal(part, whole[rows])


def test_noise_is_added_to_void_frames_too_and_does_not_scale_with_contrast():
    images = draw_images(2, 3, 4, 4)
    settings = {"sensor_noise": 2.0, "noise_seed": 1}
    noisy = StimulusSequence(images, Presentation.duration(3, 1, 1, stimulus_contrast=0.25, **settings)).dense()
    clean = StimulusSequence(images, Presentation.duration(3, 1, 1, stimulus_contrast=0.25)).dense()
    other = StimulusSequence(images, Presentation.duration(3, 1, 1, stimulus_contrast=1.0, **settings)).dense()
    bright = StimulusSequence(images, Presentation.duration(3, 1, 1, stimulus_contrast=1.0)).dense()
    torch.testing.assert_close(noisy - clean, other - bright, atol=1e-6, rtol=0)
    assert 1.5 < float((noisy - clean).std()) < 2.5
    assert not torch.equal((noisy - clean)[:, 0], (noisy - clean)[:, 2])
