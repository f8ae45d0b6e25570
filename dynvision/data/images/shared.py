"""Images that two splits of a dataset share, found by their contents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynvision.data.images.image_table import ImageRow, Rows

__all__ = ["SharedImages", "find_shared_images"]


@dataclass(frozen=True)
class SharedImages:
    """The images of a split that another split holds, too.

    Attributes:
        pairs: A line for each: its name in this split, and in the other.
        n_images: The images of this split.
        n_others: The images of the other split.
    """

    pairs: list[str]
    n_images: int
    n_others: int

    @property
    def share(self) -> float:
        """The shared images as a share of the smaller split, in [0, 1]."""
        return min(1.0, len(self.pairs) / max(1, min(self.n_images, self.n_others)))


def find_shared_images(rows: Rows, others: Rows) -> SharedImages:
    """Find the images of a split whose bytes are those of an image of another split.

    An image that was encoded again, or scaled, has other bytes and is not found.

    Args:
        rows: The images of each class folder of the split.
        others: Those of the other split.
    """
    n_images, n_others = (sum(map(len, images.values())) for images in (rows, others))
    known = {row.xxh3 for _, row in _name(rows)}
    names = {row.xxh3: name for name, row in _name(others) if row.xxh3 in known}
    pairs = [f"{name} = {names[row.xxh3]}" for name, row in _name(rows) if row.xxh3 in names]
    return SharedImages(pairs, n_images, n_others)


def _name(rows: Rows) -> Iterator[tuple[str, ImageRow]]:
    return ((f"{folder}/{row.name}", row) for folder, group in rows.items() for row in group)
