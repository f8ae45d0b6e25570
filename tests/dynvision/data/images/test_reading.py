"""One rule for depth, mode and orientation, for files as for objects in Python."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from dynvision.data.images.converting import as_pixels, require_channels
from dynvision.data.images.reading import decode_image, is_turned
from dynvision.errors import DataError
from dynvision.stimuli.depth import scale_to_8_bits

RAMP = np.linspace(0, 65535, 48).round().astype(np.uint16).reshape(6, 8)
WANTED = np.round(RAMP / 257).astype(np.uint8)


def encode(image: Image.Image, form: str, **options: Any) -> Any:
    content = io.BytesIO()
    image.save(content, form, **options)
    return np.frombuffer(content.getvalue(), dtype=np.uint8)


def colours() -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (2, 3, 3), dtype=np.uint8)).resize((12, 8), Image.Resampling.NEAREST)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, np.uint32])
def test_whole_numbers_of_16_bits_are_scaled_and_rounded(dtype):
    assert np.array_equal(scale_to_8_bits(RAMP.astype(dtype)), WANTED)


@pytest.mark.parametrize(("bits", "most"), [(8, 255), (10, 1023), (12, 4095), (14, 16383)])
def test_a_camera_image_is_refused_with_its_range_until_its_depth_is_stated(bits, most):
    pixels = (RAMP // (1 << (16 - bits))).astype(np.uint16)
    pattern = rf"type uint16 from 0 to {most}, which fits {bits} bits.*State.*bit_depth"
    with pytest.raises(DataError, match=pattern):
        scale_to_8_bits(pixels)
    assert np.array_equal(scale_to_8_bits(pixels, bits), np.round(pixels * (255 / most)).astype(np.uint8))


def test_a_dark_image_of_16_bits_can_be_stated_and_a_black_one_is_black():
    assert scale_to_8_bits(np.array([[0, 257]], dtype=np.uint16), 16).tolist() == [[0, 1]]
    assert scale_to_8_bits(np.zeros((2, 2), dtype=np.uint16)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("pixels", "bits", "message"),
    [
        (np.array([[0, 4096]], dtype=np.uint16), 12, r"from 0 to 4096; a bit_depth of 12 ends at 4095"),
        (np.array([[-1, 300]], dtype=np.int32), None, r"from -1 to 300; whole numbers have 8 bits"),
        (np.array([[0, 70000]], dtype=np.int32), None, r"from 0 to 70000; whole numbers"),
        (np.array([[0.0, 255.0]]), None, r"from 0\.0 to 255\.0; images have 8 bits, or numbers in \[0, 1\]"),
        (np.array([[0.0, np.nan]]), None, r"from nan to nan"),
        (np.array([[0.0, np.inf]]), None, r"to inf"),
        (np.array([["a", "b"]]), None, r"type <U1 and shape \(1, 2\); images are numbers"),
        (np.array([[1j]]), None, r"type complex128"),
        (np.zeros((0, 3)), None, r"shape \(0, 3\)"),
    ],
)
def test_numbers_that_may_mean_anything_are_refused_with_their_range(pixels, bits, message):
    with pytest.raises(DataError, match=message):
        scale_to_8_bits(pixels, bits)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_of_16_bits_is_scaled_as_an_array_is(channels):
    for form in (".png", ".tiff", ".pgm"):
        encoded = cv2.imencode(form, RAMP)[1].ravel()
        pixels = decode_image(encoded, channels)
        assert np.array_equal(pixels, np.repeat(WANTED[:, :, None], channels, axis=2)), form


def test_a_coloured_file_of_16_bits_keeps_its_colours_and_loses_its_transparency():
    rgba = np.dstack([RAMP, RAMP[::-1], 65535 - RAMP, RAMP])
    encoded = cv2.imencode(".png", np.ascontiguousarray(rgba[:, :, [2, 1, 0, 3]]))[1].ravel()
    assert np.array_equal(decode_image(encoded, 3), np.round(rgba[:, :, :3] / 257).astype(np.uint8))
    dim = cv2.imencode(".png", np.full((4, 4, 3), 4095, dtype=np.uint16))[1].ravel()
    with pytest.raises(DataError, match=r"from 4095 to 4095, which fits 12 bits"):
        decode_image(dim, 1)
    assert decode_image(dim, 1, 12).min() == 255


@pytest.mark.parametrize("mode", ["F", "I"])
def test_a_tiff_of_32_bits_is_read_like_the_picture_that_pillow_opens(mode):
    numbers = RAMP / np.float32(65535) if mode == "F" else RAMP.astype(np.int32)
    image = Image.fromarray(numbers)
    assert image.mode == mode
    decoded = decode_image(encode(image, "tiff"), 3)
    assert np.array_equal(decoded[:, :, 0], as_pixels(image, "here"))
    assert np.abs(decoded[:, :, 0].astype(int) - WANTED).max() <= (1 if mode == "F" else 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB", "CMYK", "I;16", "I", "F"])
def test_a_picture_of_any_mode_means_the_same_as_its_file(mode):
    special = {"I;16": RAMP, "I": RAMP.astype(np.int32), "F": (RAMP / 65535).astype(np.float32)}
    image = Image.fromarray(special[mode]) if mode in special else colours().convert(mode)
    form = "tiff" if mode in ("CMYK", "I", "F") else "png"
    encoded = encode(image, form)
    pixels = as_pixels(image, "here")
    assert np.array_equal(require_channels(pixels, 3, "here"), decode_image(encoded, 3))
    assert np.array_equal(as_pixels(Image.open(io.BytesIO(encoded.tobytes())), "here"), pixels)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_orientation_says(form, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    options = {"jpeg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(form, {})
    encoded = encode(colours(), form, exif=tags, **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded.tobytes()))).convert("RGB"))
    assert np.array_equal(decode_image(encoded, 3), upright)
    assert decode_image(encoded, 1).shape[:2] == upright.shape[:2]
    for converted in (None, "RGB"):
        image = Image.open(io.BytesIO(encoded.tobytes()))
        assert np.array_equal(as_pixels(image.convert(converted) if converted else image, "here"), upright)
    if form == "jpeg":
        assert is_turned(encoded) == (orientation != 1)


def test_transparency_is_dropped_and_colours_stay():
    image = Image.new("RGBA", (4, 4), (200, 100, 50, 0))
    for pixels in (as_pixels(image, "here"), decode_image(encode(image, "png"), 3)):
        assert pixels[0, 0].tolist() == [200, 100, 50]


def test_tensors_have_channels_first_and_arrays_last():
    planes = np.random.default_rng(0).integers(0, 256, (3, 5, 6), dtype=np.uint8)
    wanted = planes.transpose(1, 2, 0)
    assert np.array_equal(as_pixels(torch.from_numpy(planes), "here"), wanted)
    assert np.array_equal(as_pixels(wanted, "here"), wanted)
    assert as_pixels(torch.zeros(1, 5, 6, requires_grad=True), "here").shape == (5, 6)
    assert as_pixels(torch.ones(3, 5, 6, dtype=torch.bfloat16), "here").tolist()[0][0] == [255] * 3
    assert as_pixels(np.ones((5, 6), dtype=bool), "here").max() == 255


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 8, 8), dtype=np.uint8), r"here: an image of shape \(3, 8, 8\) \(ndarray\); images are arrays"),
        (torch.zeros(8, 8, 3), r"here: an image of shape \(8, 8, 3\) \(tensor\)"),
        (np.zeros((8, 8, 4), dtype=np.uint8), r"shape \(8, 8, 4\)"),
        (np.zeros((2, 8, 8, 3), dtype=np.uint8), r"shape \(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), dtype=np.uint8), r"shape \(0, 8, 3\)"),
        ("a/path.png", r"here: an image of shape \(\) \(str\)"),
        (None, r"here: an image of shape \(\) \(NoneType\)"),
        ([[1, 2], [3]], r"here: the image \(list\) cannot be read"),
    ],
)
def test_what_is_no_image_is_one_sentence_that_names_the_item(image, message):
    with pytest.raises(DataError, match=message):
        as_pixels(image, "here")


def test_a_picture_that_is_cut_off_is_one_sentence_that_names_the_item():
    encoded = encode(colours(), "png").tobytes()
    with pytest.raises(DataError, match=r"^here: the image \(PngImageFile\) cannot be read: "):
        as_pixels(Image.open(io.BytesIO(encoded[:60])), "here")


def test_a_grey_dataset_takes_three_equal_channels_and_no_colours():
    grey = np.full((4, 4), 9, dtype=np.uint8)
    assert np.array_equal(require_channels(np.dstack([grey] * 3), 1, "here"), grey)
    assert require_channels(grey, 3, "here").shape == (4, 4, 3)
    with pytest.raises(DataError, match=r"here is in colour, and data_statistics has one mean"):
        require_channels(np.asarray(colours()), 1, "here")
