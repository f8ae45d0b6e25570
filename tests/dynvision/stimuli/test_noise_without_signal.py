"""Noise at its limits: at ssnr 0 nothing of the image is left but what the kind keeps, and no channel is constant."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import poisson

from dynvision.stimuli.noise import NOISE_KINDS, NOISE_TEMPORAL, Noise, _draw_counts, add_noise

Images = npt.NDArray[np.float32]

N_SAMPLES = 40
IDS = np.arange(N_SAMPLES)
KEEPS_VARIANCE = ["gaussian", "uniform", "poisson", "phase_scrambled"]


def draw_gratings(size: int) -> Images:
    """Gratings of random phase and orientation with a little luminance noise, standardized: [N, 3, size, size]."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size] / size
    angle, phase = rng.uniform(0, np.pi, N_SAMPLES), rng.uniform(0, 2 * np.pi, N_SAMPLES)
    waves = [np.sin(2 * np.pi * 3.3 * (x * np.cos(a) + y * np.sin(a)) + p) for a, p in zip(angle, phase, strict=True)]
    images = np.stack(waves)[:, None] * np.array([1.0, 0.5, 0.2])[:, None, None]
    return (images + rng.normal(0, 0.05, images.shape)).astype(np.float32)


def draw_digits(size: int) -> Images:
    """A few bright pixels on black, as of handwritten digits, standardized: [N, 1, size, size]."""
    rng = np.random.default_rng(2)
    images = np.zeros((N_SAMPLES, 1, size, size), dtype=np.float32)
    for image in images[:, 0]:
        row, column = rng.integers(0, size - 4, 2)
        image[row : row + 4, column : column + 2] = 1.0
    return (images - 0.13) / np.float32(0.31)


def draw_bright(size: int) -> Images:
    """Weak texture far above black: the signal is a small part of the light. [N, 2, size, size]."""
    images = np.random.default_rng(3).normal(0, 0.1, (N_SAMPLES, 2, size, size))
    images[:, :, 0, 0] = -5.0
    return images.astype(np.float32)


DRAWN = {"gratings": draw_gratings, "digits": draw_digits, "bright": draw_bright}


def correlation(x: Images, y: Images) -> npt.NDArray[np.float64]:
    """Correlation over the pixels of each channel: [N, C]."""
    x, y = (v - v.mean(axis=(2, 3), keepdims=True, dtype=float) for v in (x, y))
    return np.asarray((x * y).mean(axis=(2, 3)) / np.sqrt((x**2).mean(axis=(2, 3)) * (y**2).mean(axis=(2, 3))))


@pytest.mark.slow
@given(
    kind=st.sampled_from(NOISE_KINDS),
    drawn=st.sampled_from(sorted(DRAWN)),
    temporal=st.sampled_from(NOISE_TEMPORAL),
    spatial_scale=st.sampled_from([0.0, 1.5, 10.0, 500.0, 10_000.0]),
    size=st.sampled_from([24, 27]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_without_signal_no_channel_is_constant_and_none_follows_the_image(
    kind, drawn, temporal, spatial_scale, size, seed
):
    images = DRAWN[drawn](size)
    scale = 0.0 if kind == "phase_scrambled" else spatial_scale
    noisy = add_noise(images, Noise(kind, 0.0, temporal, 0.5, scale, seed), IDS, 3)
    assert np.isfinite(noisy).all()
    assert (noisy.std(axis=(2, 3)) > 0.01 * images.std(axis=(2, 3))).all()
    # 40 independent samples: the standard error of the mean is 0.16 if each correlation is between -1 and 1.
    assert abs(correlation(noisy, images).mean(axis=0)).max() < 0.6
    if kind in KEEPS_VARIANCE:
        ratio = (noisy.var(axis=(2, 3), dtype=float) / images.var(axis=(2, 3), dtype=float)).mean(axis=0)
        np.testing.assert_allclose(ratio, 1.0, atol=0.05 if scale < 5 else 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("drawn", sorted(DRAWN))
@pytest.mark.parametrize("ssnr", [0.0, 0.001, 0.02, 0.1, 0.5, 0.9])
def test_photon_noise_has_the_variance_of_the_image_at_every_ratio(drawn, ssnr):
    images = DRAWN[drawn](27)
    noisy = add_noise(images, Noise("poisson", ssnr), IDS, 0)
    variance = noisy.var(axis=(2, 3), dtype=float) / images.var(axis=(2, 3), dtype=float)
    np.testing.assert_allclose(variance.mean(), 1.0, atol=0.04)
    assert variance.min() > 0.5
    np.testing.assert_allclose(correlation(noisy, images).mean(), np.sqrt(ssnr), atol=0.03)


def test_many_photons_are_counted_as_the_distribution_says():
    field = np.linspace(-4, 4, 2001)
    for rate in (1.5e4, 3e5):
        exact = poisson.ppf(ndtr(field), rate)
        assert abs(_draw_counts(field, np.full(field.shape, rate)) - exact).max() <= 1


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_full_ratio_is_the_image_itself_and_just_below_is_nearly_so(kind):
    images = draw_gratings(24)
    assert add_noise(images, Noise(kind, 1.0), IDS, 0) is images
    close = add_noise(images, Noise(kind, 1 - 1e-9), IDS, 0)
    np.testing.assert_allclose(close, images, atol=1e-3)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("ssnr", [0.0, 0.4])
def test_channel_without_contrast_stays_as_it_is(kind, ssnr):
    images = draw_gratings(24)
    images[:, 1] = 0.25
    noisy = add_noise(images, Noise(kind, ssnr), IDS, 0)
    if kind == "salt_and_pepper":  # it takes the extremes of the whole image
        assert (noisy[:, 1].std(axis=(1, 2)) > 0.1).all()
    else:
        np.testing.assert_allclose(noisy[:, 1], images[:, 1], atol=1e-6)
    assert (noisy[:, 0].std(axis=(1, 2)) > 0.1).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 1)])
def test_smoothed_noise_of_a_narrow_image_is_finite(size):
    images = np.random.default_rng(0).normal(size=(3, 1, *size)).astype(np.float32)
    noisy = add_noise(images, Noise("gaussian", 0.2, spatial_scale=300.0), IDS[:3], 0)
    assert np.isfinite(noisy).all()
