from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dynvision.stimuli.contrast import rms_contrast


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-2, 2))
def test_contrast_multiplies_the_images_own(own, shown, grey):
    rng = np.random.default_rng(0)
    images = grey + own * rng.normal(size=(3, 2, 1, 5, 4))
    faded = grey + shown * (images - grey)
    np.testing.assert_allclose(rms_contrast(faded, grey), shown * rms_contrast(images, grey), atol=1e-12)
    assert rms_contrast(images).shape == (3, 2)


def test_contrast_is_the_deviation_from_the_grey_over_pixels_and_channels():
    image = np.stack([np.full((2, 2), 1.0), np.full((2, 2), -1.0)])
    assert rms_contrast(image) == 1.0
    assert rms_contrast(image, 1.0) == np.sqrt(2)
    # A sinusoid of Michelson contrast m has the RMS contrast m / √2.
    wave = 0.6 * np.sin(2 * np.pi * np.arange(32) / 32)[None, None]
    np.testing.assert_allclose(rms_contrast(wave), 0.6 / np.sqrt(2))


def test_contrast_of_an_image_does_not_depend_on_the_batch():
    images = np.random.default_rng(1).normal(size=(7, 3, 9, 9)).astype(np.float32)
    alone = np.array([rms_contrast(image) for image in images])
    np.testing.assert_array_equal(rms_contrast(images), alone)
