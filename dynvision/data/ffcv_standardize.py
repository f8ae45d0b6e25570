"""The FFCV operation that turns 8-bit pixels into standardized planes. Imports FFCV and numba."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.state import State
from numba import njit

__all__ = ["StandardizePixels"]


class StandardizePixels(Operation):  # type: ignore[misc]  # FFCV is untyped
    """Standardizes every pixel and writes the channels as planes, in one pass.

    Input `[B, H, W, 3]` or `[B, C, H, W]`, uint8; output `[B, C, H, W]` in the table's type.

    Args:
        table: Shape `[C, 256]`: what each of a channel's pixel values becomes. Half-precision numbers
            come as the integers that have their bits, as numba has no such type.
        numbers: Shape `[C, 3]`, float32: scale, mean and deviation of each channel, where
            ``(x · scale − mean) / deviation`` gives the table to the bit; computing is faster than looking up.
        channels_last: The input has its three channels last.
    """

    def __init__(self, table: npt.NDArray[Any], numbers: npt.NDArray[np.float32] | None, channels_last: bool) -> None:
        super().__init__()
        self.table, self.numbers, self.channels_last = np.ascontiguousarray(table), numbers, channels_last

    def generate_code(self) -> Callable[..., Any]:
        """The function that FFCV compiles."""
        channels_last, channels = self.channels_last, len(self.table)
        stride = channels if channels_last else 1
        settings = self.table if self.numbers is None else self.numbers
        fill = _make_look_up(stride) if self.numbers is None else _make_standardize(stride)
        my_range = Compiler.get_iterator()

        def standardize(images: Any, result: Any, indices: Any) -> Any:
            for i in my_range(len(indices)):
                planes = result[i].reshape(channels, -1)
                pixels = images[i].reshape(-1)
                for channel in range(channels):
                    first = channel if channels_last else channel * planes.shape[1]
                    fill(planes[channel], pixels[first:], settings[channel])
            return result

        standardize.is_parallel = True  # type: ignore[attr-defined]  # how FFCV is told
        standardize.with_indices = True  # type: ignore[attr-defined]
        return standardize

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery | None]:
        """The shape and type of the result."""
        shape = previous_state.shape
        if self.channels_last:
            shape = (shape[2], shape[0], shape[1])
        state = replace(previous_state, jit_mode=True, shape=shape, dtype=self.table.dtype)
        return state, AllocationQuery(shape=shape, dtype=self.table.dtype, device=previous_state.device)


def _make_standardize(stride: int) -> Any:
    # Exactly as written: FFCV compiles its own code with fast, inexact arithmetic.
    @njit(nogil=True, fastmath=False, error_model="numpy")
    def standardize(plane: Any, pixels: Any, numbers: Any) -> None:
        scale, mean, std = numbers[0], numbers[1], numbers[2]
        for place in range(plane.shape[0]):
            plane[place] = (np.float32(pixels[place * stride]) * scale - mean) / std

    return standardize


def _make_look_up(stride: int) -> Any:
    @njit(nogil=True)
    def look_up(plane: Any, pixels: Any, table: Any) -> None:
        for place in range(plane.shape[0]):
            plane[place] = table[pixels[place * stride]]

    return look_up
