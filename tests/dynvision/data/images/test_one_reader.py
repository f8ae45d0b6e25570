"""One image has the same pixels through every public door: files, pictures of a user's dataset, and transforms."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dynvision.config import load_config
from dynvision.data.dataloader import get_data_loader
from dynvision.data.images.converting import as_pixels
from dynvision.data.images.decoded_files import DecodedFiles
from dynvision.data.images.reading import decode_image
from dynvision.data.images.samples import Sample
from dynvision.data.transforms import get_data_transform
from dynvision.stages import contact_sheets
from tests.helpers.configuration import PROJECT_CONFIG

pytestmark = pytest.mark.slow

SIZE = 12
COLOURS = np.random.default_rng(0).integers(0, 256, (3, 3, 3), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
UPRIGHT = Image.fromarray(COLOURS)
STORED = {  # How an upright picture lies in a file of each EXIF orientation.
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def lay(orientation: int, mode: str = "RGB") -> tuple[Image.Image, Image.Exif]:
    """The picture as a camera that was held otherwise stores it, with the tag that says so."""
    tags, image, turn = Image.Exif(), UPRIGHT.convert(mode), STORED[orientation]
    tags[0x0112] = orientation
    return image if turn is None else image.transpose(turn), tags


def through_every_door(content: bytes, folder: Path, suffix: str) -> dict[str, Any]:
    """The pixels of an image as each door gives it: `[H, W, 3]`, 8 bits."""
    class_folder = folder / "a"
    class_folder.mkdir()
    path = class_folder / f"0.{suffix}"
    path.write_bytes(content)
    config = load_config(PROJECT_CONFIG)
    decoded, _ = DecodedFiles([Sample(f"a/{path.name}", 0, 0)], folder, 3, SIZE, None)[0]
    doors = {
        "file": decode_image(np.frombuffer(content, np.uint8), 3),
        "without FFCV": np.round(decoded.permute(1, 2, 0).numpy() * 255),
        "contact sheet": contact_sheets._read_images([path], {"channels": 3})[0],
        "a picture of a dataset class": as_pixels(Image.open(path), "here"),
    }
    shown = get_data_transform("test", config=config)(Image.open(path).convert("RGB"))
    doors["transform"] = np.round(shown.permute(1, 2, 0).numpy() * 255)
    loader = get_data_loader([(Image.open(path).convert("RGB"), 0)], batch_size=1, lazy=True, num_workers=0)
    sequence, _ = next(iter(loader))
    doors["loader"] = torch.round(sequence.images[0].permute(1, 2, 0) * 255).numpy()
    return {name: pixels[..., None].repeat(3, -1) if pixels.ndim == 2 else pixels for name, pixels in doors.items()}


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_door_turns_an_image_as_its_orientation_says(tmp_path: Path, form: str, orientation: int) -> None:
    image, tags = lay(orientation)
    options = {"quality": 100, "subsampling": 0} if form == "jpeg" else {"lossless": True} if form == "webp" else {}
    for door, pixels in through_every_door(encode(image, form, exif=tags, **options), tmp_path, form).items():
        assert np.abs(pixels.astype(float) - COLOURS).max() <= (8 if form == "jpeg" else 0), door


@pytest.mark.parametrize(
    ("mode", "form"),
    [("1", "png"), ("P", "png"), ("L", "png"), ("LA", "png"), ("RGBA", "png"), ("CMYK", "jpeg"), ("LA", "tiff")],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_every_door_reads_every_mode_alike(tmp_path: Path, mode: str, form: str, orientation: int) -> None:
    image, tags = lay(orientation, mode)
    doors = through_every_door(encode(image, form, exif=tags), tmp_path, form)
    for door, pixels in doors.items():
        assert np.abs(pixels.astype(float) - doors["file"]).max() <= (4 if mode == "CMYK" else 0), door


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (SIZE, SIZE, 3)])
def test_16_bits_are_scaled_and_not_cut_off(tmp_path: Path, shape: tuple[int, ...]) -> None:
    deep = np.linspace(0, 65535, int(np.prod(shape))).round().astype(np.uint16).reshape(shape)
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "0.png"
    cv2.imwrite(str(path), deep)
    expected = np.round(deep / 257)
    expected = expected[..., None].repeat(3, -1) if expected.ndim == 2 else expected[..., ::-1]
    decoded, _ = DecodedFiles([Sample("a/0.png", 0, 0)], tmp_path, 3, SIZE, None)[0]
    assert np.abs(decode_image(np.fromfile(path, np.uint8), 3) - expected).max() <= 1
    assert np.abs(np.round(decoded.permute(1, 2, 0).numpy() * 255) - expected).max() <= 1
    assert np.abs(contact_sheets._read_images([path], {"channels": 3})[0] - expected).max() <= 1
