"""Writing a `.beton` file page by page, in the order of its samples.

The order and the bytes depend on the images alone, whatever the number of processes that read them.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from dynvision.data.betons.encoding import Picture
from dynvision.data.betons.layout import ALLOCATION, HEADER, VERSION, describe_fields, metadata_row

__all__ = ["BetonWriter", "choose_page_size"]

_FLUSH_EVERY = 1 << 26
"""Bytes after which they are synced to the disk, so that the wait at the end is short even for a large file."""


def choose_page_size(count: int, largest: int) -> int:
    """Return the bytes of a page: a power of two that takes whole images, smaller for few small images."""
    small = count * largest < 1 << 25
    return max(1 << 21 if small else 1 << 23, 1 << int(np.ceil(np.log2(largest + 1))))


class BetonWriter:
    """A file that grows by one picture at a time; `finish` completes it.

    Args:
        path: The path that it is written to.
        most: The largest number of pictures.
        channels: 3 or 1.
        resolution: Width and height; of three channels, each picture may have its own.
        page_size: See `choose_page_size`.
    """

    def __init__(self, path: Path, most: int, channels: int, resolution: int, page_size: int) -> None:
        self.channels, self.page_size = channels, page_size
        self.fields = describe_fields(channels, resolution)
        self.row = metadata_row(channels)
        self._rows: list[tuple[Any, int, int]] = []
        self._allocations: list[tuple[int, int, int]] = []
        head = HEADER.itemsize + self.fields.nbytes + most * self.row.itemsize
        self.position = -(-head // page_size) * page_size  # where the current page begins
        self._page, self._filled, self._flushed = memoryview(bytearray(page_size)), 0, self.position
        self._file = path.open("wb", buffering=0)
        self._disk = ThreadPoolExecutor(1)
        self._flushing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._disk.shutdown()
        self._file.close()

    def append(self, picture: Picture, label: int) -> None:
        """Add a picture as the next sample."""
        content = picture.content
        length = len(content)
        if length > self.page_size:
            raise ValueError(f"an image of {length} bytes is too large for a page of {self.page_size}")
        if self._filled + length > self.page_size:
            self._write_page()
        start, number = self.position + self._filled, len(self._rows)
        self._page[self._filled : self._filled + length] = content
        self._filled += length
        height, width = picture.size
        self._rows.append(((picture.kept_as, width, height, start) if self.channels == 3 else start, label, number))
        self._allocations.append((number, start, length))

    def finish(self) -> None:
        """Write the last page, the table of allocations, and at last the head."""
        self._write_page()
        self._write(np.array(self._allocations, ALLOCATION).tobytes())
        header = np.zeros(1, HEADER)
        header[0] = (VERSION, len(self.fields), self.page_size, len(self._rows), self.position)
        self._file.seek(0)
        self._write(header.tobytes() + self.fields.tobytes() + self._fill_rows().tobytes())
        if self._flushing is not None:
            self._flushing.result()

    def _fill_rows(self) -> Any:
        # Field by field into zeros: otherwise the gaps between fields would contain arbitrary memory.
        rows = np.zeros(len(self._rows), self.row)
        images, labels, numbers = zip(*self._rows, strict=True) if self._rows else ((), (), ())
        rows["f1"], rows["f2"] = labels, numbers
        if self.channels == 1:
            rows["f0"] = images
        else:
            for name, values in zip(("mode", "width", "height", "data_ptr"), zip(*images, strict=True), strict=False):
                rows["f0"][name] = values
        return rows

    def _write_page(self) -> None:
        if not self._filled:
            return
        self._page[self._filled :] = bytes(self.page_size - self._filled)
        self._file.seek(self.position)
        self._write(self._page)
        self.position += self.page_size
        self._filled = 0
        if self.position - self._flushed >= _FLUSH_EVERY:
            if self._flushing is not None:
                self._flushing.result()
            self._flushed = self.position
            self._flushing = self._disk.submit(os.fdatasync, self._file.fileno())

    def _write(self, content: Any) -> None:
        rest = memoryview(content)
        while len(rest):  # If the disk fills up, only a part is written first.
            rest = rest[self._file.write(rest) :]
