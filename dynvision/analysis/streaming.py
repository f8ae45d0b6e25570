"""Reading recorded variables block by block, so that memory does not grow with the number of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray

__all__ = ["StepSums", "read_blocks"]

BLOCK_BYTES = 16 << 20
"""Bytes of a variable that are read at once; a stored chunk that is larger is read whole."""

Block = tuple[slice, dict[str, npt.NDArray[np.float64]]]


def read_blocks(dataset: xarray.Dataset, names: Sequence[str]) -> Iterator[Block]:
    """Read variables with the dimensions `sample, time, …` block by block, along the chunks of the store.

    Args:
        dataset: A lazy dataset, as `open_store` gives it.
        names: Variables of the same shape.

    Yields:
        The steps of the block, and each variable as float64, shape `[samples, steps, …]`. All steps of some samples
        come before the next samples.
    """
    dataset = dataset[list(names)].reset_coords(drop=True)
    variable = dataset[names[0]]
    samples, steps = variable.sizes["sample"], variable.sizes["time"]
    row_bytes = 4 * int(np.prod(variable.shape[2:]))
    rows, columns = (_stored_chunk(variable, name) for name in ("sample", "time"))
    columns = min(steps, columns * max(1, BLOCK_BYTES // max(1, rows * columns * row_bytes)))
    if columns == steps:
        rows *= max(1, BLOCK_BYTES // max(1, rows * steps * row_bytes))
    for start in range(0, samples, rows):
        for first in range(0, steps, columns):
            part = slice(first, min(first + columns, steps))
            block = dataset.isel(sample=slice(start, start + rows), time=part).compute()
            yield part, {name: np.asarray(block[name].values, dtype=np.float64) for name in names}


def _stored_chunk(variable: xarray.DataArray, dimension: str) -> int:
    chunks = variable.variable.chunksizes.get(dimension)
    return int(max(chunks)) if chunks else variable.sizes[dimension]


class StepSums:
    """Sums over samples at each step, in float64, that do not depend on how the samples are split into blocks.

    Args:
        steps: The number of steps, T.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._counts = np.zeros(steps, dtype=np.int64)

    def add(self, part: slice, values: dict[str, npt.NDArray[Any]]) -> None:
        """Add quantities of some samples.

        Args:
            part: The steps of the block.
            values: The quantities by name, each of shape `[samples, steps of the block]`.
        """
        for name, value in values.items():
            total = self._sums.setdefault(name, np.zeros(self.steps))
            # Row after row, because a pairwise sum would depend on where a block ends.
            total[part] = np.add.accumulate(np.concatenate([total[None, part], value]), axis=0)[-1]
        self._counts[part] += len(next(iter(values.values())))

    @property
    def count(self) -> int:
        """How many samples were added."""
        return int(self._counts.max(initial=0))

    def means(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the mean of each quantity over samples, shape `[T]`, in the order in which they were added first."""
        return {name: total / self._counts for name, total in self._sums.items()}

    def mean(self, name: str) -> npt.NDArray[np.float64] | None:
        """Return the mean of a quantity over samples, shape `[T]`; `None` if it was never added."""
        return self._sums[name] / self._counts if name in self._sums else None
