"""Contact sheets: a few images of each class folder."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.images.files import list_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_classes"]

CLASSES_SHOWN = 10
IMAGES_SHOWN = 8
WIDTH = 96
"""Pixels of an image on the sheet."""


def draw_classes(folder: Path, classes: Sequence[dict[str, Any]], title: str) -> Figure:
    """Draw the first images of the first classes.

    Args:
        folder: The folder of the class folders.
        classes: The classes of a record: `index`, `name` and `folder` of each.
        title: What the sheet shows.
    """
    from dynvision.analysis.figures.targets import draw_contact_sheet

    rows = [
        (f"{entry['index']}  {entry['name']}", _read_images(folder / entry["folder"]))
        for entry in classes[:CLASSES_SHOWN]
    ]
    return draw_contact_sheet(rows, title)


def _read_images(folder: Path) -> list[Any]:
    import numpy as np
    from PIL import Image

    images = []
    for name in list_images(folder)[:IMAGES_SHOWN]:
        # The checks report an image that cannot be read; here it only leaves a gap.
        with contextlib.suppress(OSError, ValueError), Image.open(folder / name) as image:
            image.thumbnail((WIDTH, WIDTH))
            images.append(np.asarray(image.convert("RGB")))
    return images
