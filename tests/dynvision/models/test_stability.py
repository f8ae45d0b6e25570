from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dynvision.models.stability import clip_gain, convolution_gain


def draw_kernel(seed: int, out: int, into: int, width: int = 3) -> torch.Tensor:
    return torch.randn(out, into, width, width, generator=torch.Generator().manual_seed(seed))


def dense_norm(weight: torch.Tensor, size: int) -> float:
    """The true spectral norm: the convolution as a matrix, column by column."""
    count = weight.shape[1] * size * size
    basis = torch.eye(count, dtype=torch.float64).reshape(count, weight.shape[1], size, size)
    columns = functional.conv2d(basis, weight.double(), padding=weight.shape[-1] // 2).reshape(count, -1)
    return float(torch.linalg.matrix_norm(columns, ord=2))


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3), st.integers(2, 6), st.sampled_from([1, 3, 5]))
def test_gain_is_never_below_the_true_spectral_norm(seed, out, into, size, width):
    weight = draw_kernel(seed, out, into, width)
    assert float(convolution_gain(weight, size)) >= dense_norm(weight, size) * (1 - 1e-9)


@given(st.integers(0, 10_000))
def test_gain_is_not_far_above_the_true_norm_on_a_large_image(seed):
    weight = draw_kernel(seed, 2, 2)
    assert float(convolution_gain(weight, 12)) <= 1.25 * dense_norm(weight, 12)


def test_gain_of_the_identity_is_one():
    weight = torch.zeros(2, 2, 3, 3)
    weight[0, 0, 1, 1] = weight[1, 1, 1, 1] = 1
    assert float(convolution_gain(weight, 7)) == pytest.approx(1.0)


def test_gain_grows_in_proportion_to_the_kernel():
    weight = draw_kernel(0, 3, 3)
    assert float(convolution_gain(-2.5 * weight, 6)) == pytest.approx(2.5 * float(convolution_gain(weight, 6)))


@given(st.integers(0, 10_000), st.floats(0.05, 5))
def test_clipping_scales_a_kernel_to_the_limit_or_leaves_it(seed, limit):
    weight = draw_kernel(seed, 2, 2)
    before, gain = weight.clone(), float(convolution_gain(weight, 5))
    clip_gain(weight, 5, limit)
    if gain <= limit:
        assert torch.equal(weight, before)
    else:
        assert float(convolution_gain(weight, 5)) == pytest.approx(limit, rel=1e-5)
        torch.testing.assert_close(weight, before * (limit / gain))


def test_limit_of_zero_turns_the_recurrence_off():
    weight = draw_kernel(0, 2, 2)
    clip_gain(weight, 5, 0.0)
    assert not weight.any()
