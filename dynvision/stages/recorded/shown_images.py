"""The images that were shown to record responses, as they were before they were standardized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.data.stores.base import StoredImages
from dynvision.errors import DamagedFileError

if TYPE_CHECKING:
    import xarray

__all__ = ["find_samples", "open_shown_images"]

_BLOCK = 64
"""Trials whose images are read at once."""


def open_shown_images(
    source: StoredImages, part: str, resolution: int, root: xarray.Dataset, name: str
) -> xarray.DataArray:
    """Open the images of trials, lazily.

    Args:
        source: The images of the partition that was shown.
        part: The part of them that was shown: `test`, or `images` of a stimulus set.
        resolution: Width and height of an image in pixels.
        root: The root of the responses, or a selection of its samples.
        name: The target of the images, for messages.

    Returns:
        float32 from 0 to 1, `[sample, channel, y, x]`, or `[sample, image, channel, y, x]` if a trial shows several,
        with the coordinates of the samples.

    Raises:
        DamagedFileError: If an image of a trial is not among those of the partition.
    """
    import dask.array
    import xarray
    from dask.delayed import delayed

    several = "image_source" in root.variables
    files = np.atleast_1d(root["image_source" if several else "source"].values)
    indices = find_samples(files, source.samples(part)["source"], name)
    shape = (source.channels, resolution, resolution)
    blocks = []
    for start in range(0, len(indices), _BLOCK):
        places = indices[start : start + _BLOCK]
        read = delayed(_read, pure=False)(source, part, places)
        block = dask.array.from_delayed(read, (*places.shape, *shape), np.float32)  # type: ignore[no-untyped-call]
        blocks.append(block)
    dims = (*(("sample", "image") if several else ("sample",)), "channel", "y", "x")
    coordinates = {
        name: values.variable
        for name, values in root.coords.items()
        if {*values.dims} and {*values.dims} <= {*dims[: files.ndim]}
    }
    about = {"long_name": "image before it is standardized", "units": "1"}
    whole = dask.array.concatenate(blocks)  # type: ignore[no-untyped-call]
    return xarray.DataArray(whole, coordinates, dims, "images", about)


def find_samples(files: npt.NDArray[Any], table: list[str], name: str) -> npt.NDArray[np.int64]:
    """Find the samples that image files are.

    Args:
        files: The files, as responses name them.
        table: The file of each sample of the partition.
        name: The target of the images, for messages.

    Returns:
        Their places in the table, in the shape of `files`.

    Raises:
        DamagedFileError: If there is no such sample.
    """
    places = {file: place for place, file in enumerate(table)}
    try:
        found = [places[str(file)] for file in files.ravel()]
    except KeyError as error:
        raise DamagedFileError(
            f"{name} holds no image {error.args[0]}, which the responses name: it was made again. Make the responses "
            "again, too."
        ) from None
    return np.array(found, dtype=np.int64).reshape(files.shape)


def _read(source: StoredImages, part: str, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Read images by their places in the partition, which may be named several times and in any order."""
    once, places = np.unique(indices, return_inverse=True)
    loader = source.loader(part, len(once), indices=once.tolist(), normalized=False, is_looked_at_for_long=True)
    images = np.concatenate([sequence.images.numpy() for sequence, _ in loader])
    return images[places.reshape(indices.shape)].astype(np.float32, copy=False)
