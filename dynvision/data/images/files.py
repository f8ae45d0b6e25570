"""Which files of a folder are images."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["IMAGE_SUFFIXES", "holds_image", "is_image_file", "list_images"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def list_images(folder: Path) -> list[str]:
    """List the names of the images in a class folder, in an order that depends on the names alone."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if is_image_file(e))


def is_image_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file with the suffix of an image. A broken link counts, as an image that is missing."""
    name = entry.name
    if name[0] == "." or os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES:  # noqa: PTH122
        return False
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110
    except OSError:  # a link that leads back to itself
        return entry.is_symlink()


def holds_image(folder: Path) -> bool:
    """Whether an image lies directly in a folder; one that cannot be read holds none."""
    try:
        with os.scandir(folder) as entries:
            return any(is_image_file(entry) for entry in entries)
    except OSError:
        return False
