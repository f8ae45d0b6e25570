from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.config.sections.data import GratingsConfig
from dynvision.data.sources.gratings import class_names, draw_grating, iterate_gratings

SETTINGS = GratingsConfig(orientations=4, train_per_class=3, test_per_class=2, noise=0.05, seed=1)


@given(st.floats(0, 180), st.floats(1, 6), st.floats(0, 6), st.floats(0.1, 1))
def test_every_pixel_follows_the_formula(orientation, frequency, phase, contrast):
    image = draw_grating(8, orientation, frequency, phase, contrast)
    theta = np.pi * orientation / 180
    for row, column in ((0, 0), (2, 7), (7, 3)):
        x, y = (column + 0.5) / 8 - 0.5, 0.5 - (row + 0.5) / 8
        wave = np.sin(2 * np.pi * frequency * (x * np.cos(theta) + y * np.sin(theta)) + phase)
        assert abs(image[row, column, 0] - 255 * 0.5 * (1 + contrast * wave)) <= 0.5 + 1e-9


def test_modulation_runs_along_the_orientation():
    rightward, upward = (draw_grating(16, angle, 3, 0, 1)[:, :, 0].astype(float) for angle in (0, 90))
    assert rightward.std(axis=0).max() == 0
    assert rightward.std(axis=1).min() > 50
    assert np.array_equal(upward, rightward.T[::-1])


def test_mean_grey_is_half_and_channels_are_equal():
    image = draw_grating(32, 30, 4, 1.0, 0.8)
    assert abs(image.mean() - 127.5) < 4
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.uint8
    assert (image == image[:, :, :1]).all()


def test_noise_beyond_black_and_white_is_clipped():
    image = draw_grating(8, 0, 3, 0, 1, noise=np.where(np.arange(64).reshape(8, 8) % 2, 2.0, -2.0))
    assert set(np.unique(image)) == {0, 255}


def test_classes_are_orientations_spaced_evenly_over_180_degrees():
    assert class_names(SETTINGS) == ["0 deg", "45 deg", "90 deg", "135 deg"]


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("test", 2)])
def test_split_holds_each_class_as_often_as_asked(split, count):
    labels = [label for label, _ in iterate_gratings(SETTINGS, split, 8)]
    assert labels == sorted(list(range(4)) * count)


def test_asking_for_more_images_leaves_the_others_as_they_were():
    more = SETTINGS.model_copy(update={"train_per_class": 5})
    few = [image for _, image in iterate_gratings(SETTINGS, "train", 8)]
    many = [image for _, image in iterate_gratings(more, "train", 8)]
    kept = [image for number, image in enumerate(many) if number % 5 < 3]
    assert all(map(np.array_equal, few, kept))


def test_seed_split_and_number_decide_the_image():
    drawn = [image.tobytes() for split in ("train", "test") for _, image in iterate_gratings(SETTINGS, split, 8)]
    assert len(set(drawn)) == len(drawn)
    again = [image.tobytes() for split in ("train", "test") for _, image in iterate_gratings(SETTINGS, split, 8)]
    assert drawn == again
    other = SETTINGS.model_copy(update={"seed": 2})
    assert not set(drawn) & {image.tobytes() for _, image in iterate_gratings(other, "train", 8)}


def test_drawing_leaves_the_global_generator_as_it_was():
    before = np.random.get_state()[1].copy()
    list(iterate_gratings(SETTINGS, "test", 8))
    assert np.array_equal(before, np.random.get_state()[1])
