"""The FFCV operation that turns 8-bit pixels into standardized planes. Imports FFCV."""

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

__all__ = ["StandardizePixels"]


class StandardizePixels(Operation):  # type: ignore[misc]  # FFCV is untyped
    """Looks every pixel up in a table and writes the channels as planes, in one pass.

    Input `[B, H, W, 3]` or `[B, C, H, W]`, uint8; output `[B, C, H, W]` in the table's type.

    Args:
        table: Shape `[C, 256]`: what each of a channel's pixel values becomes. Half-precision numbers
            come as the integers that have their bits, as numba has no such type.
        channels_last: The input has its three channels last.
    """

    def __init__(self, table: npt.NDArray[Any], channels_last: bool) -> None:
        super().__init__()
        self.table, self.channels_last = np.ascontiguousarray(table), channels_last

    def generate_code(self) -> Callable[..., Any]:
        """The function that FFCV compiles."""
        table = self.table
        my_range = Compiler.get_iterator()

        def split_colours(images: Any, result: Any, indices: Any) -> Any:
            rows, columns = images.shape[1], images.shape[2]
            red, green, blue = table[0], table[1], table[2]
            for i in my_range(len(indices)):
                pixels = images[i].reshape(rows * columns, 3)
                planes = result[i].reshape(3, rows * columns)
                for place in range(rows * columns):
                    planes[0, place] = red[pixels[place, 0]]
                    planes[1, place] = green[pixels[place, 1]]
                    planes[2, place] = blue[pixels[place, 2]]
            return result

        def look_up(images: Any, result: Any, indices: Any) -> Any:
            channels, size = images.shape[1], images.shape[2] * images.shape[3]
            for i in my_range(len(indices)):
                pixels = images[i].reshape(channels, size)
                planes = result[i].reshape(channels, size)
                for channel in range(channels):
                    for place in range(size):
                        planes[channel, place] = table[channel, pixels[channel, place]]
            return result

        code = split_colours if self.channels_last else look_up
        code.is_parallel = True  # type: ignore[attr-defined]  # how FFCV is told
        code.with_indices = True  # type: ignore[attr-defined]
        return code

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery | None]:
        """The shape and type of the result."""
        shape = previous_state.shape
        if self.channels_last:
            shape = (shape[2], shape[0], shape[1])
        state = replace(previous_state, jit_mode=True, shape=shape, dtype=self.table.dtype)
        return state, AllocationQuery(shape=shape, dtype=self.table.dtype, device=previous_state.device)
