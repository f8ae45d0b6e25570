"""What may be given to `Presentation.show`."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dynvision.data.images.reading import decode_image, read_bytes
from dynvision.stimuli.presentation import Presentation

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
GREY = PIXELS[:, :, 0]
PLANES = PIXELS.transpose(2, 0, 1)
ONE = Presentation.constant(1)


def save(folder):
    Image.fromarray(PIXELS).save(folder / "image.png")
    return folder / "image.png"


@pytest.mark.parametrize(
    "given",
    [
        save,
        lambda folder: str(save(folder)),
        lambda _: Image.fromarray(PIXELS),
        lambda _: PIXELS,
        lambda _: PIXELS / 255,
        lambda _: PLANES,
        lambda _: PLANES.astype(np.int64),
        lambda _: torch.from_numpy(PLANES.copy()),
        lambda _: torch.from_numpy(PLANES / np.float32(255)),
        lambda _: torch.from_numpy(PLANES / np.float32(255))[None],
        lambda _: [PIXELS],
        lambda _: torch.from_numpy(PLANES / np.float32(255)).requires_grad_(),
    ],
)
def test_an_image_is_shown_as_it_is_whatever_holds_it(given, tmp_path):
    np.testing.assert_array_equal(ONE.show(given(tmp_path)).frames[0, 0], PIXELS)


@pytest.mark.parametrize("given", [GREY, GREY[:, :, None], GREY / 255, Image.fromarray(GREY), torch.tensor(GREY)])
def test_a_grey_image_stays_grey(given):
    np.testing.assert_array_equal(ONE.show(given).frames[0, 0], GREY)


def test_several_images_are_several_trials():
    film = ONE.show([PIXELS, PIXELS[::-1], GREY])
    assert film.frames.shape == (3, 1, 10, 12, 3)
    np.testing.assert_array_equal(film.frames[2, 0, :, :, 1], GREY)
    assert ONE.show(torch.zeros(4, 3, 8, 8)).frames.shape[0] == 4


def test_a_batch_that_is_standardized_already_is_mapped_back_by_its_statistics():
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.2, 0.3]
    batch = (torch.from_numpy(PLANES / np.float32(255))[None] - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(
        std
    ).view(3, 1, 1)
    np.testing.assert_array_equal(ONE.show(batch, normalize=(mean, std)).frames[0, 0], PIXELS)
    shown = ONE.show(batch).frames  # around mid grey, as nothing says by what
    assert shown.min() == 0
    assert shown.max() == 255


def test_a_large_photograph_is_scaled_down_and_a_resolution_is_taken():
    large = np.zeros((600, 1200, 3), np.uint8)
    assert ONE.show(large).frames.shape == (1, 1, 128, 256, 3)
    assert ONE.show(Image.fromarray(large)).frames.shape == (1, 1, 128, 256, 3)
    assert ONE.show([large, PIXELS], resolution=32).frames.shape == (2, 1, 32, 32, 3)


def test_images_of_different_sizes_need_a_resolution():
    with pytest.raises(ValueError, match=re.escape("the images differ in size (10 × 12 and 12 × 10 pixels)")):
        ONE.show([PIXELS, PIXELS.transpose(1, 0, 2)])


def test_too_few_images_for_a_trial_are_counted():
    show = Presentation.from_program([{"image": 1}, {"image": 1, "which": "next"}])
    assert show.show([PIXELS] * 4).frames.shape[0] == 2
    with pytest.raises(ValueError, match="shows 2 images a trial, and 3 were given: give 2, or 4 for two trials"):
        show.show([PIXELS] * 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (PIXELS.astype(np.float32), "fractions are pixels from 0 to 1, and these reach 255. Divide them by 255"),
        (PIXELS.astype(np.int32) * 100, "whole numbers are pixels from 0 to 255, and these lie from 0 to 25500"),
        (np.full((4, 4), np.nan), "the image has numbers that are not finite"),
        (np.zeros((4, 4, 2)), "an image of shape [4, 4, 2] has neither 1 nor 3 channels: an image is a path"),
        (np.zeros(4), "ndarray of shape [4]: an image is a path"),
        (torch.zeros(1, 1, 3, 4, 4), "a tensor of shape [1, 1, 3, 4, 4]"),
        ([], "there is no image to show"),
        (object(), "object of shape []: an image is a path"),
    ],
)
def test_what_is_no_image_is_an_error_that_says_what_is(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ONE.show(given)


def test_a_file_that_is_missing_or_no_image_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape("none.png: there is no such image")):
        ONE.show(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=re.escape("text.png cannot be read as an image")):
        ONE.show(tmp_path / "text.png")


def test_sixteen_bits_are_as_bright_as_a_network_gets_them(tmp_path):
    ramp = (np.arange(120, dtype=np.uint16) * 400).reshape(10, 12)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    expected = decode_image(read_bytes(tmp_path / "deep.png"), 1)[:, :, 0]
    np.testing.assert_array_equal(ONE.show(tmp_path / "deep.png").frames[0, 0], expected)
    Image.fromarray(ramp // 16).save(tmp_path / "camera.png")
    with pytest.raises(ValueError, match=re.escape("from 0 to 2975, and nothing says which of them is white.")):
        ONE.show(tmp_path / "camera.png")


def test_colours_of_sixteen_bits_are_not_cut_to_eight(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((8, 8, 3), 4000, np.uint16))
    with pytest.raises(ValueError, match=r"16 bits a channel, of which Pillow reads 8\. Give an array of fractions"):
        ONE.show(tmp_path / "deep.png")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"resolution": 0}, "resolution must be a whole number from 1 to 4096, not 0"),
        ({"resolution": "64"}, "resolution must be a whole number from 1 to 4096, not '64'"),
        (
            {"normalize": (["a"], ["b"])},
            "normalize is (means, deviations), one of each for a channel, not (['a'], ['b'])",
        ),
        ({"normalize": ([float("nan")], [1.0])}, "normalize is (means, deviations)"),
        ({"normalize": ([0.5],)}, "normalize is (means, deviations)"),
        ({"names": ["a", "b"]}, "names has 2 entries for 1 images: give one for each image, or none"),
    ],
)
def test_settings_that_mean_nothing_are_errors_that_say_what_is_valid(settings, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ONE.show(GREY, **settings)


def test_one_name_is_the_name_of_one_image():
    assert ONE.show(GREY, names="a cat").names == [["a cat"]]
    assert "1 trial (a cat), 1 step from 0 to 1 steps" in ONE.show(GREY, names="a cat").alt_text
