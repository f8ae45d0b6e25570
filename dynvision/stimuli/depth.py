"""Bringing pixels to 8 bits: the one rule for images of another depth, whatever they are read from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import DataError

__all__ = ["scale_to_8_bits"]

_FULL_DEPTH = 16
_CAMERA_DEPTH = 14
"""The deepest images that are commonly kept in files of 16 bits without filling them."""


def scale_to_8_bits(pixels: npt.NDArray[Any], bit_depth: int | None = None) -> npt.NDArray[np.uint8]:
    """Scale pixels to 8 bits, rounding to the nearest value.

    Pixels of 8 bits stay as they are, and Booleans are black and white. Numbers with a fraction are in [0, 1]. Whole
    numbers are scaled from `bit_depth` bits. Without `bit_depth` they are scaled from 16 bits if the largest fills more
    than 14; otherwise nobody can tell a dark image of 16 bits from one of 12 bits, and it is refused.

    Args:
        pixels: Any shape.
        bit_depth: The bits of whole numbers that are not of 8 bits, 8 to 16; `None` if the configuration does not say.

    Returns:
        The same shape.

    Raises:
        DataError: If it is not certain what the numbers mean; the message says their type and range.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in "biuf" or pixels.size == 0:
        raise DataError(f"an image of type {pixels.dtype} and shape {pixels.shape}; images are numbers, and not empty")
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    low, high = pixels.min(), pixels.max()
    found = f"an image of type {pixels.dtype} from {low} to {high}"
    if pixels.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # this is how a NaN is refused, too
            raise DataError(
                f"{found}; images have 8 bits, or numbers in [0, 1]. Leave out transforms that standardize: "
                "data_statistics does that."
            )
        return np.asarray(np.round(pixels * 255).astype(np.uint8))
    depth = _find_depth(int(low), int(high), bit_depth, found)
    most = (1 << depth) - 1
    return np.asarray(((pixels.astype(np.uint64) * 510 + most) // (2 * most)).astype(np.uint8))


def _find_depth(low: int, high: int, bit_depth: int | None, found: str) -> int:
    """Return the bits that whole numbers are scaled from."""
    if low < 0 or high >= 1 << _FULL_DEPTH:
        raise DataError(f"{found}; whole numbers have 8 bits, or are from 0 to 65535")
    if bit_depth is not None:
        if high >= 1 << bit_depth:
            raise DataError(f"{found}; a bit_depth of {bit_depth} ends at {(1 << bit_depth) - 1}")
        return bit_depth
    if 0 < high < 1 << _CAMERA_DEPTH:
        raise DataError(
            f"{found}, which fits {max(8, high.bit_length())} bits, so it is not certain that white is 65535. "
            "State how many bits its images have in config_data.yaml, as in 'bit_depth: {<dataset>: 12}'."
        )
    return _FULL_DEPTH
