"""Films: their pixels, their files, and what a notebook shows of them."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import DynvisionError
from dynvision.films.encoding import encode_picture, is_whole_film, read_about
from dynvision.films.scaling import Scaling
from dynvision.films.strip import draw_sheet, list_names
from dynvision.stimuli.presentation import Presentation

RED = np.zeros((8, 8, 3), np.uint8)
RED[:, :, 0] = 255
HALF = ([0.5] * 3, [0.25] * 3)
SHOW = Presentation.contrast(6, 3, 1, 0.5)


def noise(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_frames_are_the_pixels_of_the_image_its_contrast_and_the_void():
    frames = SHOW.show(RED, normalize=HALF).frames
    assert frames.shape == (1, 6, 8, 8, 3)
    assert frames.dtype == np.uint8
    assert frames[0, 0, 0, 0].tolist() == [128, 128, 128]  # void is mean grey
    assert frames[0, 2, 0, 0].tolist() == [191, 64, 64]  # half way from grey to red
    np.testing.assert_array_equal(frames[:, 4], frames[:, 0])


def test_an_image_of_full_contrast_has_its_own_pixels():
    image = noise(0)
    for normalize in (HALF, None, ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])):
        np.testing.assert_array_equal(Presentation.constant(1).show(image, normalize=normalize).frames[0, 0], image)


def test_colours_are_those_of_the_image_in_the_strip():
    strip = SHOW.show(RED, normalize=HALF).strip().draw()
    colors = {color for _, color in strip.getcolors(1 << 20)}
    assert {(191, 64, 64), (128, 128, 128)} <= colors


@given(arrays(np.uint8, (2, 5, 5, 3)))
def test_undoing_the_standardization_gives_the_pixels_back(pixels):
    scaling = Scaling((0.49, 0.45, 0.4), (0.23, 0.22, 0.21))
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(scaling.to_pixels(scaling.standardize(images)), pixels)


def test_noise_beyond_the_screen_is_clipped_and_what_is_no_number_is_black():
    frames = np.array([[[[99.0, -99.0], [np.nan, np.inf]]]], np.float32)
    np.testing.assert_array_equal(Scaling((0.5,), (0.25,)).to_pixels(frames)[0], [[255, 0], [0, 255]])


def test_normalize_of_another_number_of_channels_is_an_error():
    with pytest.raises(ValueError, match="normalize has 2 means and deviations, but the images have 3 channels"):
        SHOW.show(RED, normalize=([0.5] * 2, [0.2] * 2))
    with pytest.raises(ValueError, match=re.escape("normalize is (means, deviations)")):
        SHOW.show(RED, normalize=([0.5], [0.0]))


@pytest.mark.slow
def test_a_film_of_colours_in_noise_is_small_and_says_so(tmp_path):
    film = Presentation.contrast(400, 390, 5, 0.2, sensor_noise=0.7).show([noise(i) for i in range(3)], normalize=HALF)
    small = film.encode("png")
    assert len(small) <= 50_000
    assert len(film.encode("webp")) <= 300_000
    with Image.open(io.BytesIO(small)) as picture:
        assert "fewer colours or pixels" in picture.text["Description"]
    with Image.open(film.save(tmp_path / "whole.png")) as picture:  # a file has the frames as they are
        assert "fewer colours" not in picture.text["Description"]
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), np.asarray(film.strip().draw()))


def test_a_strip_without_noise_keeps_every_colour():
    picture = SHOW.show(RED, normalize=HALF).strip().draw()
    again = Image.open(io.BytesIO(encode_picture(picture))).convert("RGB")
    np.testing.assert_array_equal(np.asarray(again), np.asarray(picture))


def test_a_picture_with_few_colours_keeps_them_whatever_its_pattern_is():
    stripes = np.tile(np.repeat(np.array([[0], [255], [0]], np.uint8), 3, axis=1), (100, 300, 1))
    greys = np.tile(np.array([17, 127, 237], np.uint8)[None, :, None], (300, 100, 3))
    for pixels in (stripes, greys):
        picture = Image.fromarray(pixels)
        most = len(encode_picture(picture, most_bytes=1 << 30)) - 1
        reduced = Image.open(io.BytesIO(encode_picture(picture, most_bytes=most))).convert("RGB")
        assert {color for _, color in reduced.getcolors(1 << 16)} == {color for _, color in picture.getcolors()}


def test_a_pattern_of_a_period_of_three_is_not_lost_among_many_colours():
    pixels = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    pixels[:, :, :] = np.where(np.arange(300)[None, :, None] % 3 == 0, pixels, [[[0, 0, 200]]])
    content = encode_picture(Image.fromarray(pixels), most_bytes=200_000)
    reduced = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert np.abs(reduced[:, 1::3] - [0, 0, 200]).max() < 12


@pytest.mark.parametrize(("form", "count"), [("webp", 6), ("gif", 6), ("png", 1)])
def test_a_film_is_saved_by_its_ending(tmp_path, form, count):
    path = SHOW.show(RED, normalize=HALF).save(tmp_path / "deep" / f"film.{form}")
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == count
        assert form == "png" or image.info["loop"] == 0


def test_the_animation_shows_each_step_with_its_duration(tmp_path):
    path = Presentation.contrast(6, 30, 10, dt=10.0).show(RED, normalize=HALF).save(tmp_path / "film.webp")
    with Image.open(path) as image:
        seen = []
        for number in range(image.n_frames):
            image.seek(number)
            red = image.convert("RGB").getpixel((image.width // 2, 60))[0]
            seen.append((image.info["duration"], red > 200))
    assert seen == [(200, False), *[(200, True)] * 3, *[(200, False)] * 2]


def test_another_ending_is_an_error_that_names_the_endings(tmp_path):
    film = SHOW.show(RED)
    with pytest.raises(ValueError, match=re.escape("film.jpg: a film is a .png (the strip), .webp or .gif")):
        film.save(tmp_path / "film.jpg")
    with pytest.raises(ValueError, match=re.escape("not .jpg")):
        film.encode("jpg")


def test_a_file_that_is_no_film_is_not_replaced_and_a_film_is(tmp_path):
    film, path = SHOW.show(RED), tmp_path / "mine.png"
    Image.new("RGB", (4, 4)).save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=re.escape("mine.png is there already, and is no film of this project")):
        film.save(path)
    assert path.read_bytes() == before
    for form in ("png", "webp", "gif"):
        assert film.save(tmp_path / f"film.{form}") == film.save(tmp_path / f"film.{form}")


def test_a_film_that_is_cut_off_is_not_whole(tmp_path):
    path = SHOW.show(RED).save(tmp_path / "film.png")
    assert is_whole_film(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert not is_whole_film(path)
    assert not is_whole_film(tmp_path / "none.png")


def test_a_notebook_shows_strip_and_animation_with_a_text_for_those_who_do_not_see_them():
    film = Presentation.noise(5, 3, 1, "gaussian", 0.3).show(RED, normalize=HALF, names=["<red>"], title="a & b")
    bundle = film._repr_mimebundle_()
    assert re.findall("data:image/(png|webp);base64,", bundle["text/html"]) == ["png", "webp"]
    alt = re.findall('alt="([^"]*)"', bundle["text/html"])
    assert alt[0] == (
        "film strip of a &amp; b: 1 trial (&lt;red&gt;), 5 steps from −1 to 4 steps; static gaussian noise in the "
        "image, ssnr 0.3"
    )
    assert bundle["text/plain"].startswith("<Film of a & b: 1 trial")


def test_names_are_in_the_colours_of_the_images_of_a_trial():
    show = Presentation.from_program([{"image": 2}, {"image": 2, "which": "other"}])
    film = show.show([noise(1, 8), noise(2, 8)], names=["cat", "dog"])
    assert film.names == [["cat", "dog"]]
    colors = {color for _, color in film.strip().draw().getcolors(1 << 20)}
    assert {(0, 114, 178), (213, 94, 0)} <= colors


def test_any_name_can_stand_in_a_film():
    film = SHOW.show(RED, names=["a\x00\udce4\n" * 200], title="$x$ <b>" * 60)
    assert film.strip().draw().width < 1200
    assert film.encode("webp")


def test_a_sheet_says_once_what_holds_for_all_its_rows():
    films = [Presentation.contrast(6, 3, 1, c, sensor_noise=0.1).show(RED) for c in (0.1, 1.0)]
    strips = [dataclasses.replace(film.strip(), title=str(number)) for number, film in enumerate(films)]
    sheet = draw_sheet(strips, "contrast")
    assert sheet.width == strips[0].size[0]
    assert sheet.height < sum(strip.size[1] for strip in strips) + 50


def test_a_step_outside_the_trial_is_an_error():
    with pytest.raises(IndexError, match="there is no step 6: the trial has 6, counted from 0"):
        SHOW.show(RED).frame(6)


def test_the_first_trials_are_a_film_of_their_own():
    film = SHOW.show([noise(1), noise(2)], names=["a", "b"])
    assert film.first(1).frames.shape[0] == 1
    assert film.first(1).names == [["a"]]


@given(st.integers(1, 40), st.booleans())
def test_every_trial_has_a_strip(n_steps, has_noise):
    show = Presentation.constant(n_steps, sensor_noise=0.5 * has_noise, dt=None if has_noise else 2.5)
    assert show.show(RED).strip().draw().size[0] >= 360


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DynvisionError, match=r"cannot make the folder .*file: File exists"):
        SHOW.show(RED).save(tmp_path / "file" / "film.png")


def test_names_that_have_no_room_are_counted():
    names = [f"name {n}" for n in range(40)]
    assert list_names(names, 3) == ["name 0", "name 1", "… 38 more"]
    assert list_names(names[:3], 3) == names[:3]
    assert Presentation.constant(1).show(np.zeros((4, 4)), names="one").strip().draw().width > 300


def test_a_strip_holds_what_is_seen_in_it(tmp_path):
    film = SHOW.show(RED, names="röt <b>", title="a title")
    assert read_about(film.save(tmp_path / "strip.png")) == film.alt_text
    assert "röt <b>" in film.alt_text
    assert read_about(tmp_path / "none.png") == ""
    (tmp_path / "text.png").write_text("no picture")
    assert read_about(tmp_path / "text.png") == ""


def test_images_of_16_bit_whole_numbers_do_not_stop_a_film():
    images = torch.full((1, 1, 8, 8), 7, dtype=torch.uint16)
    sequence = StimulusSequence(images, Presentation.constant(2), np.array([0]))
    assert sequence.show().strip().draw().width > 0


def test_a_bitmap_of_16_bits_a_pixel_is_read(tmp_path):
    header = b"BM" + (66 + 8 * 8 * 2).to_bytes(4, "little") + bytes(4) + (66).to_bytes(4, "little")
    info = (40).to_bytes(4, "little") + (8).to_bytes(4, "little") * 2 + (1).to_bytes(2, "little")
    info += (16).to_bytes(2, "little") + (3).to_bytes(4, "little") + bytes(20)
    masks = b"".join(mask.to_bytes(4, "little") for mask in (0xF800, 0x07E0, 0x001F))
    (tmp_path / "small.bmp").write_bytes(header + info + masks + (0xF800).to_bytes(2, "little") * 64)
    film = SHOW.show(tmp_path / "small.bmp")
    assert film.strip().draw().width > 0
