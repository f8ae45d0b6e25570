"""The FFCV operation that turns 8-bit pixels into standardized planes. Imports FFCV and numba."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.state import State
from numba import carray, cfunc, types

__all__ = ["StandardizePixels"]


class StandardizePixels(Operation):  # type: ignore[misc]  # FFCV is untyped
    """Standardizes every pixel and writes the channels as planes, in one pass.

    Input `[B, H, W, 3]` or `[B, C, H, W]`, uint8; output `[B, C, H, W]` in the table's type.

    Args:
        table: Shape `[C, 256]`: the result for each pixel value of a channel. Half-precision numbers
            are given as the integers with the same bits, because numba has no such type.
        numbers: Shape `[C, 3]`, float32: scale, mean and deviation of each channel, if
            ``(x · scale − mean) / deviation`` gives the table to the bit; computing is faster than looking up.
        channels_last: The input has its three channels last.
    """

    def __init__(self, table: npt.NDArray[Any], numbers: npt.NDArray[np.float32] | None, channels_last: bool) -> None:
        super().__init__()
        self.table, self.numbers, self.channels_last = np.ascontiguousarray(table), numbers, channels_last

    def generate_code(self) -> Callable[..., Any]:
        """Return the function that FFCV compiles."""
        code = self._look_up() if self.numbers is None else self._compute(self.numbers)
        code.is_parallel = True  # type: ignore[attr-defined]  # how FFCV is told
        code.with_indices = True  # type: ignore[attr-defined]
        return code

    def _compute(self, numbers: npt.NDArray[np.float32]) -> Callable[..., Any]:
        channels_last, channels = self.channels_last, len(self.table)
        standardize_plane = _compile_standardize(channels if channels_last else 1)
        my_range = Compiler.get_iterator()

        def standardize(images: Any, result: Any, indices: Any) -> Any:
            size = result.shape[2] * result.shape[3]
            for i in my_range(len(indices)):
                pixels, planes = images[i].ctypes.data, result[i].ctypes.data
                for channel in range(channels):
                    first = channel if channels_last else channel * size
                    scale, mean, std = numbers[channel, 0], numbers[channel, 1], numbers[channel, 2]
                    standardize_plane(planes + 4 * channel * size, pixels + first, size, scale, mean, std)
            return result

        return standardize

    def _look_up(self) -> Callable[..., Any]:
        table, channels_last, channels = self.table, self.channels_last, len(self.table)
        my_range = Compiler.get_iterator()

        def look_up(images: Any, result: Any, indices: Any) -> Any:
            size = result.shape[2] * result.shape[3]
            stride = channels if channels_last else 1
            for i in my_range(len(indices)):
                pixels, planes = images[i].reshape(-1), result[i].reshape(channels, size)
                for channel in range(channels):
                    first = channel if channels_last else channel * size
                    for pixel in range(size):
                        planes[channel, pixel] = table[channel, pixels[first + pixel * stride]]
            return result

        return look_up

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery | None]:
        """Return the shape and type of the result."""
        shape = previous_state.shape
        if self.channels_last:
            shape = (shape[2], shape[0], shape[1])
        state = replace(previous_state, jit_mode=True, shape=shape, dtype=self.table.dtype)
        return state, AllocationQuery(shape=shape, dtype=self.table.dtype, device=previous_state.device)


@functools.cache
def _compile_standardize(stride: int) -> Any:
    """Compile the arithmetic exactly as it is written: FFCV's own code is compiled to be fast and inexact.

    FFCV's code calls it through its address: if it were compiled with FFCV's code, it would take over FFCV's settings.
    """

    def standardize_plane(plane: Any, pixels: Any, size: int, scale: Any, mean: Any, std: Any) -> None:
        result, values = carray(plane, (size,)), carray(pixels, (size * stride,))
        for pixel in range(size):
            result[pixel] = (np.float32(values[pixel * stride]) * scale - mean) / std

    numbers = (types.float32, types.float32, types.float32)
    signature = types.void(types.CPointer(types.float32), types.CPointer(types.uint8), types.int64, *numbers)
    compiled = cfunc(signature, error_model="numpy")(standardize_plane)
    _compiled.append(compiled)
    prototype = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_float, ctypes.c_float
    )
    return prototype(compiled.address)


_compiled: list[Any] = []
"""Keeps compiled functions alive, because their addresses are in use."""
