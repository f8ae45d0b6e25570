from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from dynvision.data.images.normalization import normalize_pixels, pixel_table

means, deviations = st.floats(0, 1), st.floats(0.05, 1)


def draw_pixels(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


@given(st.lists(means, min_size=3, max_size=3), st.lists(deviations, min_size=3, max_size=3))
def test_each_channel_is_standardized(mean, std):
    pixels = draw_pixels(2, 4, 5, 3)
    result = normalize_pixels(pixels, (mean, std))
    expected = (pixels.numpy().astype(np.float64) / 255 - mean) / std
    np.testing.assert_allclose(result.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-4)
    assert result.dtype == torch.float32
    assert result.is_contiguous()


def test_channels_last_and_channels_first_give_the_same_numbers_to_the_bit():
    pixels = draw_pixels(2, 4, 5, 3)
    settings = ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    first = normalize_pixels(pixels.permute(0, 3, 1, 2).contiguous(), settings)
    assert torch.equal(normalize_pixels(pixels, settings), first)


def test_without_statistics_images_are_in_0_to_1():
    result = normalize_pixels(torch.tensor([0, 51, 255, 255], dtype=torch.uint8).view(1, 1, 2, 2), None)
    torch.testing.assert_close(result.flatten(), torch.tensor([0.0, 0.2, 1.0, 1.0]))


def test_one_channel_takes_one_mean():
    result = normalize_pixels(torch.full((1, 1, 4, 4), 255, dtype=torch.uint8), ([0.5], [0.25]))
    torch.testing.assert_close(result, torch.full((1, 1, 4, 4), 2.0))


def test_result_has_the_type_asked_for():
    assert normalize_pixels(draw_pixels(1, 4, 4, 3), None, torch.float16).dtype == torch.float16


def test_pixels_are_left_as_they_were():
    pixels = draw_pixels(1, 4, 4, 3)
    before = pixels.clone()
    normalize_pixels(pixels, None).zero_()
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_pixels_become_what_torchvision_makes_of_them_to_the_bit(dtype):
    pixels = draw_pixels(2, 3, 16, 16)
    mean, std = [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]
    wanted = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])(pixels).to(dtype)
    assert torch.equal(normalize_pixels(pixels, (mean, std), dtype), wanted)


def test_pixels_themselves_are_kept_where_they_are_asked_for():
    pixels = draw_pixels(2, 4, 5, 3)
    assert torch.equal(normalize_pixels(pixels, None, torch.uint8), pixels.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("normalize", "dtype"), [(([0.5], [0.5]), torch.uint8), (None, torch.int64), (None, torch.bool)]
)
def test_type_without_fractions_is_an_error(normalize, dtype):
    with pytest.raises(ValueError, match=rf"a floating type such as torch\.float32, not {dtype}"):
        pixel_table(1, normalize, dtype)


@pytest.mark.parametrize(
    ("mean", "std"), [(0.5, 0.0), (0.5, -1.0), (0.5, float("nan")), (0.5, float("inf")), (float("nan"), 0.5)]
)
def test_deviation_that_is_not_above_0_and_finite_is_an_error(mean, std):
    with pytest.raises(ValueError, match="each must be above 0 and finite, as must the means"):
        pixel_table(1, ([mean], [std]))


def test_wrong_number_of_means_is_an_error():
    with pytest.raises(ValueError, match="normalize has 1 means and 1 deviations, but the images have 3 channels"):
        normalize_pixels(draw_pixels(1, 4, 4, 3), ([0.5], [0.5]))
