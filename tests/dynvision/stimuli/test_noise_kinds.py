from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.noise import NOISE_KINDS, NOISE_TEMPORAL, Noise, add_noise
from dynvision.stimuli.presentation import Presentation

pytestmark = pytest.mark.slow

IDS = np.arange(8)
RNG = np.random.default_rng(0)
# Smooth images, so that signal and noise have different spectra.
IMAGES = np.cumsum(np.cumsum(RNG.normal(size=(8, 3, 48, 48)), axis=2), axis=3).astype(np.float32)
IMAGES = (IMAGES - IMAGES.mean()) / IMAGES.std()

ADDITIVE = ["gaussian", "uniform", "poisson"]


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Correlation over the pixels of each channel: shape [B, C]."""
    x, y = (v - v.mean(axis=(2, 3), keepdims=True) for v in (x.astype(float), y.astype(float)))
    return (x * y).mean(axis=(2, 3)) / np.sqrt((x**2).mean(axis=(2, 3)) * (y**2).mean(axis=(2, 3)))


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_full_ratio_is_the_image_itself(kind):
    np.testing.assert_array_equal(add_noise(IMAGES, Noise(kind, 1.0), IDS, 0), IMAGES)


@pytest.mark.parametrize("kind", ADDITIVE)
@pytest.mark.parametrize("ssnr", [0.2, 0.5, 0.9])
def test_total_variance_is_held_and_the_signal_has_its_share(kind, ssnr):
    noisy = add_noise(IMAGES, Noise(kind, ssnr), IDS, 0)
    np.testing.assert_allclose(noisy.var(axis=(2, 3)).mean(), IMAGES.var(axis=(2, 3)).mean(), rtol=0.05)
    np.testing.assert_allclose((correlation(noisy, IMAGES) ** 2).mean(), ssnr, atol=0.04)


@pytest.mark.parametrize("kind", ["gaussian", "uniform", "phase_scrambled"])
def test_ratio_of_nothing_leaves_nothing_of_the_image(kind):
    assert np.abs(correlation(add_noise(IMAGES, Noise(kind, 0.0), IDS, 0), IMAGES)).mean() < 0.35
    assert np.abs(correlation(add_noise(IMAGES, Noise(kind, 0.0), IDS, 0), IMAGES)).max() < 0.95


@given(ssnr=st.floats(0.05, 0.95), size=st.sampled_from([15, 16]))
@settings(max_examples=20, deadline=None)
def test_phase_scrambling_keeps_amplitudes_and_mean(ssnr, size):
    images = IMAGES[:2, :, :size, :size]
    noisy = add_noise(images, Noise("phase_scrambled", ssnr), IDS[:2], 0)
    before, after = (np.abs(np.fft.rfft2(v.astype(float))) for v in (images, noisy))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(noisy.mean(axis=(2, 3)), images.mean(axis=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("ssnr", [0.0, 0.3, 0.8])
def test_salt_and_pepper_keeps_that_share_of_pixels(ssnr):
    noisy = add_noise(IMAGES, Noise("salt_and_pepper", ssnr), IDS, 0)
    kept = (noisy == IMAGES).all(axis=1)
    np.testing.assert_allclose(kept.mean(), ssnr, atol=0.02)
    low, high = IMAGES.min(axis=(1, 2, 3)), IMAGES.max(axis=(1, 2, 3))
    for image, mask, extremes in zip(noisy, kept, zip(low, high, strict=True), strict=True):
        assert set(np.unique(image[:, ~mask])) == set(extremes)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("temporal", NOISE_TEMPORAL)
def test_noise_of_a_sample_does_not_depend_on_the_batch(kind, temporal):
    noise = Noise(kind, 0.4, temporal, seed=3)
    together = add_noise(IMAGES, noise, IDS, 5)
    alone = np.concatenate([add_noise(IMAGES[i : i + 1], noise, IDS[i : i + 1], 5) for i in range(8)])
    np.testing.assert_array_equal(together, alone)
    assert (together != add_noise(IMAGES, Noise(kind, 0.4, temporal, seed=4), IDS, 5)).any()


def test_static_noise_stays_dynamic_changes_and_correlated_fades():
    def pure(temporal: str, step: int) -> np.ndarray:
        return add_noise(IMAGES, Noise("gaussian", 0.0, temporal, persistence=0.7), IDS, step)

    np.testing.assert_array_equal(pure("static", 0), pure("static", 9))
    assert abs(correlation(pure("dynamic", 0), pure("dynamic", 1)).mean()) < 0.02
    fading = [correlation(pure("correlated", 4), pure("correlated", 4 + lag)).mean() for lag in range(4)]
    np.testing.assert_allclose(fading, 0.7 ** np.arange(4), atol=0.03)


def test_spatial_scale_smooths_and_keeps_the_variance():
    rough, smooth = (add_noise(IMAGES, Noise("gaussian", 0.0, spatial_scale=s), IDS, 0) for s in (0.0, 2.0))
    np.testing.assert_allclose(smooth.std(axis=(2, 3)).mean(), rough.std(axis=(2, 3)).mean(), rtol=0.1)
    neighbours = [correlation(v, np.roll(v, 1, axis=3)).mean() for v in (rough, smooth)]
    assert abs(neighbours[0]) < 0.02
    np.testing.assert_allclose(neighbours[1], np.exp(-1 / (4 * 2.0**2)), atol=0.03)


def test_flat_image_stays_as_it_is_in_additive_noise():
    flat = np.full((1, 1, 8, 8), 0.25, dtype=np.float32)
    for kind in (*ADDITIVE, "phase_scrambled"):
        np.testing.assert_allclose(add_noise(flat, Noise(kind, 0.5), IDS[:1], 0), flat, atol=1e-6)


@pytest.mark.parametrize("temporal", NOISE_TEMPORAL)
def test_frame_can_be_asked_for_in_any_order(temporal):
    show = Presentation.noise(6, 4, 1, ssnr=0.5, temporal=temporal, stimulus_contrast=0.5)
    sequence = StimulusSequence(torch.from_numpy(IMAGES), show, IDS)
    dense = sequence.dense()
    for t in (4, 1, 3, 0, 2, 5):
        torch.testing.assert_close(
            StimulusSequence(torch.from_numpy(IMAGES), show, IDS)[:, t], dense[:, t], rtol=0, atol=0
        )
        torch.testing.assert_close(sequence[:, t], dense[:, t], rtol=0, atol=0)
    assert (dense[:, 0] == 0).all()
    expected = 0.5 * add_noise(IMAGES, show.noises[2], IDS, 0 if temporal == "static" else 2)
    np.testing.assert_allclose(dense[:, 2].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"kind": "gausian"}, r"unknown noise 'gausian'\. Did you mean 'gaussian'"),
        ({"temporal": "statik"}, r"unknown temporal noise 'statik'\. Did you mean 'static'"),
        ({"ssnr": 1.5}, "ssnr must be a number from 0 to 1, not 1.5"),
        ({"ssnr": float("nan")}, "ssnr must be a number from 0 to 1, not nan"),
        ({"persistence": 1.0}, "persistence must be a number from 0 to"),
        ({"kind": "phase_scrambled", "spatial_scale": 1.0}, "leave spatial_scale at 0"),
    ],
)
def test_impossible_noise_says_what_is_valid(settings_, message):
    with pytest.raises(ValueError, match=message):
        Noise(**{"kind": "gaussian", "ssnr": 0.5, **settings_})


def test_every_image_of_a_trial_has_noise_of_its_own():
    program = [{"image": 1, "which": which, "noise": {"kind": "gaussian", "ssnr": 0.0}} for which in (0, 1, 2, 5)]
    show = Presentation.from_program(program)
    images = torch.from_numpy(IMAGES[:1])[:, None].expand(1, 6, 3, 48, 48)
    dense = StimulusSequence(images, show, np.array([3])).dense()[0]
    for first in range(4):
        for second in range(first):
            assert abs(correlation(dense[first][None].numpy(), dense[second][None].numpy()).mean()) < 0.1
