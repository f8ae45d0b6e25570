"""Contact sheets: a few images of each class folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.images.files import list_images
from dynvision.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_classes"]

CLASSES_SHOWN = 10
IMAGES_SHOWN = 8
WIDTH = 96
"""Pixels of an image on the sheet."""


def draw_classes(folder: Path, record: Record, title: str) -> Figure:
    """Draw the first images of the first classes, with the pixels that a network is shown.

    Args:
        folder: The folder of the class folders.
        record: Says the classes, and how the images are read.
        title: What the sheet shows.
    """
    from dynvision.analysis.figures.targets import draw_contact_sheet

    rows = [
        (f"{entry['index']}  {entry['name']}", _read_images(folder / entry["folder"], record.details))
        for entry in record.details["classes"][:CLASSES_SHOWN]
    ]
    return draw_contact_sheet(rows, title)


def _read_images(folder: Path, details: dict[str, Any]) -> list[Any]:
    import numpy as np
    from PIL import Image

    from dynvision.data.images.reading import decode_image, read_bytes

    images = []
    for name in list_images(folder)[:IMAGES_SHOWN]:
        # The checks report an image that cannot be read; here it only leaves a gap.
        with contextlib.suppress(OSError, ValueError):
            pixels = decode_image(read_bytes(folder / name), details["channels"], details.get("bit_depth"))
            image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            image.thumbnail((WIDTH, WIDTH))
            images.append(np.asarray(image.convert("RGB")))
    return images
