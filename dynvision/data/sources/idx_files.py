"""Reading MNIST's idx files: a header with the sizes, then one byte an element."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dynvision.errors import DataError

__all__ = ["read_idx"]

_UINT8 = 8
"""The code of the only type that MNIST has."""


def read_idx(path: Path, n_dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an idx file of bytes. Its header is compared with the length of the file before anything is allocated.

    Args:
        path: The file.
        n_dimensions: How many dimensions it has: 3 for images `[N, H, W]`, 1 for labels `[N]`.

    Returns:
        The array, uint8.

    Raises:
        DataError: If the file has another type or number of dimensions, or another length than its header says.
        OSError: If it cannot be read.
    """
    start = 4 + 4 * n_dimensions
    length = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(start)
    wanted = bytes([0, 0, _UINT8, n_dimensions])
    if header[:4] != wanted:
        raise DataError(
            f"{path.name}: it begins with {header[:4].hex()}; an idx file like this one with {wanted.hex()}"
        )
    if len(header) < start:
        raise DataError(f"{path.name}: it ends within its header, after {len(header)} bytes")
    shape = struct.unpack(f">{n_dimensions}I", header[4:])
    needed = start + math.prod(shape)
    if needed != length:
        sizes = " × ".join(str(size) for size in shape)
        raise DataError(f"{path.name}: its header says {sizes}, which is {needed:,} bytes, and it has {length:,}")
    return np.fromfile(path, dtype=np.uint8, offset=start).reshape(shape)
