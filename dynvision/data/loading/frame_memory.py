"""Memory for dense stimuli: reused when nothing refers to it any more, and void frames that cost nothing."""

from __future__ import annotations

import mmap
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["FrameMemory"]

_HUGE_PAGE = 2 << 20
_LEAST_BYTES = 2 * _HUGE_PAGE
"""Below this, a fresh tensor from torch's allocator is as fast."""
_ZEROES = sys.platform == "linux"
"""On other systems MADV_DONTNEED is a hint that leaves the content undefined."""
_KEPT = 3
"""The most free blocks that are kept for reuse."""


class FrameMemory:
    """Builds dense stimuli `[B, T, C, H, W]` in memory that is used again.

    In fresh memory, a dense stimulus costs the time in which the operating system provides its pages, many times the
    time of writing the images. So memory is reused, but only when no tensor, view or NumPy array refers to it any more:
    a batch belongs to the caller for as long as any part of it exists, and what the caller wrote into it never shows
    in another batch. Every shown frame is written again. Void frames of value 0 are not written at all: their pages
    are given back to the operating system (`madvise`, `MADV_DONTNEED`), which then reads zeros there, from one shared
    page. If the system does not offer this, or the void value is another, void frames are written too.

    A stimulus lies in memory as `[T, B, C, H, W]`, so that a step `x[:, t]` is contiguous; over batch and time use
    `.reshape` instead of `.view`.

    Args:
        pinned: Take fresh pinned memory from torch's allocator, which waits for copies to the GPU.
        memory_format: `torch.channels_last` makes each step's frames `x[:, t]` channels-last.
    """

    def __init__(self, pinned: bool = False, memory_format: torch.memory_format = torch.contiguous_format) -> None:
        if memory_format not in (torch.contiguous_format, torch.channels_last):
            raise ValueError(f"memory_format is torch.contiguous_format or torch.channels_last, not {memory_format}")
        self.pinned, self.memory_format = pinned, memory_format
        self._blocks: list[_Block] = []
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"pinned": self.pinned, "memory_format": self.memory_format}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # memory is not sent to another process

    def build(self, sequence: StimulusSequence) -> Tensor:
        """Build the dense tensor of a sequence: shape `[B, T, C, H, W]`.

        Raises:
            MemoryError: If it does not fit into memory.
        """
        show, dtype = sequence.presentation, sequence.dtype
        batch, steps, channels, height, width = sequence.shape
        is_last = self.memory_format == torch.channels_last
        layout = (steps, batch, height, width, channels) if is_last else (steps, batch, channels, height, width)
        frame_bytes = batch * channels * height * width * dtype.itemsize
        on_host = sequence.device.type == "cpu"
        if self.pinned or not on_host or steps * frame_bytes < _LEAST_BYTES:
            flat = torch.empty(layout, dtype=dtype, device=sequence.device, pin_memory=self.pinned and on_host)
            zeroed: Sequence[tuple[int, int]] = ()
        else:
            void = _void_stretches(show) if show.void_value == 0 and show.sensor_noise == 0 else []
            stretches = [(start * frame_bytes, stop * frame_bytes) for start, stop in void]
            flat = self._take(steps * frame_bytes, stretches).view(dtype).view(layout)
            zeroed = void
        frames = flat.permute(0, 1, 4, 2, 3) if is_last else flat
        if not zeroed:
            for start, stop in _void_stretches(show):
                frames[start:stop].fill_(show.void_value)
        sequence.write_shown(frames)
        return frames.transpose(0, 1)

    def _take(self, size: int, zeros: Sequence[tuple[int, int]]) -> Tensor:
        """Take `size` bytes; the stretches `zeros` are 0, all others undefined."""
        key = (size, tuple(zeros))
        with self._lock:
            free = [block for block in self._blocks if block.is_free()]
            block = next((b for b in free if b.key == key), None)
            for surplus in [b for b in free if b is not block][: -(_KEPT - 1)]:
                self._blocks.remove(surplus)
            if block is None:
                me = weakref.ref(self)  # otherwise blocks and memory would keep each other alive
                block = _Block.make(size, zeros, lambda _: None if (memory := me()) is None else memory._trim())
                self._blocks.append(block)
            return block.lend()

    def _trim(self) -> None:
        """Release free blocks beyond those that are kept; called when the last tensor of a loan is deleted."""
        if self._lock.acquire(blocking=False):  # the thread that has the lock trims, too
            try:
                for surplus in [block for block in self._blocks if block.is_free()][:-_KEPT]:
                    self._blocks.remove(surplus)
            finally:
                self._lock.release()


def _void_stretches(show: Presentation) -> list[tuple[int, int]]:
    """Find the longest stretches of steps that are plain void."""
    joined: list[tuple[int, int]] = []
    for start, stop in show.runs:
        if show.frames[start] != VOID or show.sensor_noise > 0:
            continue
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, stop))
    return joined


@dataclass(eq=False)
class _Block:
    """Private pages of the process, lent to one tensor at a time.

    A loan is a memoryview that the tensor's storage keeps alive: once it is deleted, nothing can read or write the
    pages any more.
    """

    key: tuple[int, tuple[tuple[int, int], ...]]
    pages: mmap.mmap
    start: int
    lazily_zero: list[tuple[int, int]]
    rewritten: list[tuple[int, int]]
    on_return: Callable[[Any], None]
    _loan: Any = field(default=None)

    @classmethod
    def make(cls, size: int, zeros: Sequence[tuple[int, int]], on_return: Callable[[Any], None]) -> _Block:
        """Map pages such that the longest stretch of zeros begins on a huge page."""
        try:
            pages = mmap.mmap(-1, size + 4 * _HUGE_PAGE, **_private_flags())
        except OSError as error:
            raise MemoryError(
                f"a dense batch of {size / 1e6:.0f} MB does not fit into memory ({error.strerror}). Use lazy=True, a "
                "smaller batch_size, or fewer time steps."
            ) from error
        address = torch.frombuffer(pages, dtype=torch.uint8).data_ptr()
        longest = max(zeros, key=lambda stretch: stretch[1] - stretch[0], default=(0, 0))
        start = _HUGE_PAGE + (-(address + _HUGE_PAGE + longest[0])) % _HUGE_PAGE
        lazily_zero, rewritten = [], []
        for first, last in zeros:
            # Bytes before the first and after the last frame are unused: round outwards there, otherwise inwards.
            low = _round(address + start + first, up=first > 0) - address
            high = _round(address + start + last, up=last == size) - address
            if not _ZEROES or high - low < _HUGE_PAGE:
                rewritten.append((start + first, start + last))
                continue
            lazily_zero.append((low, high))
            rewritten += [(start + first, low)] * (start + first < low) + [(high, start + last)] * (high < start + last)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            _advise(pages, mmap.MADV_HUGEPAGE, 0, len(pages))
        return cls((size, tuple(zeros)), pages, start, lazily_zero, rewritten, on_return)

    def is_free(self) -> bool:
        """Return whether the last loan has ended."""
        return self._loan is None or self._loan() is None

    def lend(self) -> Tensor:
        """Lend the bytes as a tensor, with zeros in the stretches of `zeros`."""
        to_write = list(self.rewritten)
        size = self.key[0]
        for low, high in self.lazily_zero:
            if not _advise(self.pages, mmap.MADV_DONTNEED, low, high):
                to_write.append((max(low, self.start), min(high, self.start + size)))
        loan = memoryview(self.pages)
        self._loan = weakref.ref(loan, self.on_return)
        # Starts at its own first byte, so that saving or sending the tensor includes nothing else.
        lent = torch.frombuffer(loan, dtype=torch.uint8, count=size, offset=self.start)
        for low, high in to_write:
            lent[low - self.start : high - self.start].zero_()
        return lent


def _private_flags() -> dict[str, int]:
    # A shared mapping would let a forked worker write into its parent's batches.
    if hasattr(mmap, "MAP_PRIVATE") and hasattr(mmap, "MAP_ANONYMOUS"):
        return {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    return {}


def _advise(pages: mmap.mmap, advice: int, low: int, high: int) -> bool:
    try:
        pages.madvise(advice, low, high - low)
    except OSError:  # locked pages, or a kernel without huge pages
        return False
    return True


def _round(address: int, *, up: bool) -> int:
    return (address + (_HUGE_PAGE - 1 if up else 0)) // _HUGE_PAGE * _HUGE_PAGE
