"""The layout that this project writes is FFCV's own, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from dynvision.data.betons import layout as beton_format
from dynvision.data.betons.encoding import Picture
from dynvision.data.betons.pages import BetonWriter, choose_page_size
from dynvision.data.betons.sidecars import verify_beton
from dynvision.data.betons.writing import write_beton
from dynvision.data.images.samples import Sample

pytestmark = pytest.mark.slow

COUNT = 40
QUALITY = 90


def draw(folder: Path, channels: int, size: int) -> tuple[list[Sample], list[Any]]:
    rng = np.random.default_rng(size)
    samples, images = [], []
    for place in range(COUNT):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((size, size))
        image = coarse.convert("L" if channels == 1 else "RGB")
        image.save(folder / f"{place}.png")
        samples.append(Sample(f"{place}.png", place * 7 % 5, 0))
        images.append(np.asarray(image))
    return samples, images


def write_with_ffcv(path: Path, images: list[Any], labels: list[int], size: int, channels: int, mode: str) -> None:
    """FFCV's own writer, with one worker, so that the order is that of the samples."""
    from ffcv.fields import IntField, NDArrayField, RGBImageField
    from ffcv.writer import DatasetWriter

    image: Any = RGBImageField(write_mode=mode, jpeg_quality=QUALITY)
    if channels == 1:
        image = NDArrayField(np.dtype(np.uint8), (1, size, size))
    fields = {"image": image, "label": IntField(), "index": IntField()}
    page = choose_page_size(len(images), size * size * channels)
    rows = [(image, label, place) for place, (image, label) in enumerate(zip(images, labels, strict=True))]
    DatasetWriter(str(path), fields, page_size=page, num_workers=1).from_indexed_dataset(rows, chunksize=7)


@pytest.mark.parametrize(
    ("channels", "size", "mode"), [(3, 32, "raw"), (1, 28, "raw"), (3, 512, "raw"), (3, 100, "jpg"), (3, 1024, "raw")]
)
def test_file_is_byte_for_byte_the_one_that_ffcv_writes(tmp_path, channels, size, mode):
    samples, images = draw(tmp_path, channels, size)
    write_beton(
        tmp_path / "ours.beton",
        samples,
        base=tmp_path,
        resolution=size,
        channels=channels,
        write_mode=mode,
        jpeg_quality=QUALITY,
    )
    write_with_ffcv(tmp_path / "theirs.beton", images, [s.label for s in samples], size, channels, mode)
    assert (tmp_path / "ours.beton").read_bytes() == (tmp_path / "theirs.beton").read_bytes()


def test_constants_and_types_are_those_of_the_installed_ffcv():
    from ffcv import types
    from ffcv.fields import IntField, NDArrayField, RGBImageField
    from ffcv.fields.rgb_image import IMAGE_MODES

    assert types.CURRENT_VERSION == beton_format.VERSION
    assert types.HeaderType == beton_format.HEADER
    assert types.FieldDescType == beton_format.FIELD
    assert types.ALLOC_TABLE_TYPE == beton_format.ALLOCATION
    grey = NDArrayField(np.dtype(np.uint8), (1, 8, 8))
    for channels, image in ((3, RGBImageField()), (1, grey)):
        assert types.get_metadata_type([image, IntField(), IntField()]) == beton_format.metadata_row(channels)
    assert (IMAGE_MODES["jpg"], IMAGE_MODES["raw"]) == (beton_format.JPEG, beton_format.RAW)


def test_file_does_not_depend_on_the_number_of_processes(tmp_path):
    samples, _ = draw(tmp_path, 3, 16)
    contents = set()
    for cores in ({0}, None):
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, cores or allowed)
            write_beton(tmp_path / "x.beton", samples * 20, base=tmp_path, resolution=16)
        finally:
            os.sched_setaffinity(0, allowed)
        contents.add((tmp_path / "x.beton").read_bytes())
    assert len(contents) == 1


def test_picture_larger_than_a_page_is_refused(tmp_path):
    with (
        BetonWriter(tmp_path / "x.beton", 1, 3, 8, 1 << 21) as writer,
        pytest.raises(ValueError, match="an image of 2097153 bytes is too large for a page of 2097152"),
    ):
        writer.append(Picture(bytes((1 << 21) + 1), beton_format.JPEG, (8, 8), 0), 0)


def test_ffcv_loads_what_was_decoded_pixel_for_pixel(tmp_path):
    import torch

    from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

    samples, _ = draw(tmp_path, 3, 32)
    write_beton(tmp_path / "x.beton", samples, base=tmp_path, resolution=32)
    verify_beton(tmp_path / "x.beton", full=True)
    loader = get_ffcv_dataloader(tmp_path / "x.beton", batch_size=COUNT, n_timesteps=1, dtype=torch.uint8)
    images, labels, _ = next(iter(loader.iterate_images()))
    decoded = [cv2.cvtColor(cv2.imread(str(tmp_path / s.source)), cv2.COLOR_BGR2RGB) for s in samples]
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), np.stack(decoded))
    assert labels.tolist() == [s.label for s in samples]
