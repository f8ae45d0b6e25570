"""Arrays of images, memory-mapped or chunked: read image by image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.converting import as_pixels
from dynvision.errors import DataError
from dynvision.system.escaping import show_text
from dynvision.system.failures import as_unreadable

__all__ = ["ArrayImages"]

_CHANNELS = (1, 3)


class ArrayImages:
    """The images of an array, in its order.

    Args:
        array: Shape `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`; uint8, Booleans, other whole numbers (see
            `scale_to_8_bits`), or numbers in [0, 1].
        where: Names it in errors.
        bit_depth: The bits of images that have more than 8.

    Raises:
        DataError: If it has another shape, or no images.
    """

    def __init__(self, array: Any, where: object, bit_depth: int | None = None) -> None:
        self.array, self.where, self.bit_depth = array, where, bit_depth
        self._has_channels_first = _find_channels(tuple(array.shape), where)

    @classmethod
    def open(cls, path: Path, bit_depth: int | None = None) -> ArrayImages:
        """Open a `.npy` file, memory-mapped, or an array in a Zarr store.

        Raises:
            DataError: If it is no such array.
        """
        try:
            array = np.load(path, mmap_mode="r") if path.suffix.lower() == ".npy" else _open_zarr(path)
        except OSError as error:
            text = f"{path} cannot be read: {error}"
            raise as_unreadable(error, text) or DataError(text) from error
        except (ValueError, EOFError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no array of numbers: {show_text(error, 200)}") from error
        return cls(array, path, bit_depth)

    @property
    def classes(self) -> Sequence[str]:
        """One nameless class, as exporting needs."""
        return [""]

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        for number in range(len(self)):
            image = np.asarray(self.array[number])
            if self._has_channels_first:
                image = image.transpose(1, 2, 0)
            yield 0, as_pixels(image, f"{self.where}, image {number}", self.bit_depth)


def _find_channels(shape: tuple[int, ...], where: object) -> bool:
    """Return whether the channels come before the rows of pixels.

    Raises:
        DataError: If the shape is not one of images.
    """
    text = f"{where} has the shape {list(shape)}"
    if len(shape) not in (3, 4) or 0 in shape:
        raise DataError(f"{text}; images are [N, H, W], [N, H, W, C] or [N, C, H, W], with 1 or 3 channels")
    if len(shape) == 3:
        return False
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if first and last:
        raise DataError(f"{text}, so that it is not certain which axis is that of the channels; give it other sizes")
    if not first and not last:
        raise DataError(f"{text}; images have 1 channel or 3, as [N, H, W, 3] or [N, 3, H, W]")
    return first


def _open_zarr(path: Path) -> Any:
    import zarr

    opened = zarr.open(str(path), mode="r")
    if not hasattr(opened, "dtype"):
        names = sorted(name for name, _ in opened.arrays())
        raise DataError(
            f"{path} is a group of arrays. Name one of them: "
            + (", ".join(f"{path.name}/{name}" for name in names) or "but there is none in it")
        )
    return opened
