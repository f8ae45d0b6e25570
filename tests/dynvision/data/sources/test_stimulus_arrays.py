"""Arrays of images: their axes, and what their numbers mean."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from dynvision.data.sources.stimulus_sets.arrays import ArrayImages
from dynvision.errors import DataError


def draw_images(shape, dtype):
    """Images of noise, the same for every type."""
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    if dtype == "float32":
        return (pixels / 255).astype(dtype)
    return (pixels * 257 if dtype == "uint16" else pixels).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(3, 20, 24), (3, 20, 24, 3), (3, 3, 20, 24), (3, 20, 24, 1)])
def test_arrays_give_the_same_images_whatever_their_axes_and_numbers(tmp_path, shape, dtype):
    np.save(tmp_path / "images.npy", draw_images(shape, dtype))
    zarr.create_array(str(tmp_path / "images.zarr"), data=draw_images(shape, dtype))
    expected = draw_images(shape, "uint8")
    expected = np.moveaxis(expected, 1, -1) if shape[1] == 3 else expected
    for name in ("images.npy", "images.zarr"):
        images = ArrayImages.open(tmp_path / name)
        assert len(images) == 3
        for (index, shown), wanted in zip(images, expected, strict=True):
            assert index == 0
            np.testing.assert_array_equal(shown, wanted[:, :, 0] if wanted.shape[-1] == 1 else wanted)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 4)), r"has the shape \[4, 4\]; images are"),
        (np.zeros((0, 4, 4)), r"has the shape \[0, 4, 4\]; images are"),
        (np.zeros((2, 5, 5, 5)), "images have 1 channel or 3"),
        (np.zeros((2, 3, 5, 3)), "not certain which axis"),
        (np.full((2, 5, 5), 2.0), r"image 0: an image of type float64 from 2.0 to 2.0"),
        (np.full((2, 5, 5), 100, np.uint16), "bit_depth"),
        (np.array([{}, {}]), "is no array of numbers"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, images, message):
    np.save(tmp_path / "images.npy", images)
    with pytest.raises(DataError, match=message):
        list(ArrayImages.open(tmp_path / "images.npy"))
