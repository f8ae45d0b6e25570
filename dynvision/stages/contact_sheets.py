"""Contact sheets: a few images of each class folder, or the first of a stimulus set."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.images.files import list_images
from dynvision.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_classes", "draw_stimuli"]

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
        (f"{entry['index']}  {entry['name']}", _read_images(_first_of(folder / entry["folder"]), record.details))
        for entry in record.details["classes"][:CLASSES_SHOWN]
    ]
    return draw_contact_sheet(rows, title)


def draw_stimuli(paths: Sequence[Path], record: Record, title: str) -> Figure:
    """Draw the first images of a stimulus set, with the pixels that a network is shown.

    Args:
        paths: The images in their order.
        record: Says how they are read.
        title: What the sheet shows.
    """
    from dynvision.analysis.figures.targets import draw_contact_sheet

    starts = range(0, min(len(paths), CLASSES_SHOWN * IMAGES_SHOWN), IMAGES_SHOWN)
    chunks = [(start, paths[start : start + IMAGES_SHOWN]) for start in starts]
    rows = [(f"{start} to {start + len(chunk) - 1}", _read_images(chunk, record.details)) for start, chunk in chunks]
    return draw_contact_sheet(rows, title)


def _first_of(folder: Path) -> list[Path]:
    return [folder / name for name in list_images(folder)[:IMAGES_SHOWN]]


def _read_images(paths: Sequence[Path], details: dict[str, Any]) -> list[Any]:
    import numpy as np
    from PIL import Image

    from dynvision.data.images.reading import decode_image, read_bytes

    images = []
    for path in paths:
        # The checks report an image that cannot be read; here it only leaves a gap.
        with contextlib.suppress(OSError, ValueError):
            pixels = decode_image(read_bytes(path), details["channels"], details.get("bit_depth"))
            image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            image.thumbnail((WIDTH, WIDTH))
            images.append(np.asarray(image.convert("RGB")))
    return images
