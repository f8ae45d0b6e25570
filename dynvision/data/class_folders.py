"""Class folders: exporting images to them, and finding what is in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import DataError, MissingError
from dynvision.progress import progress_bar

__all__ = ["IMAGE_SUFFIXES", "ClassFolder", "Export", "export_images", "list_images", "scan_class_folders"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True)
class ClassFolder:
    """One class of a dataset.

    Attributes:
        index: Its index in the dataset's own order.
        name: What it shows.
        folder: The name of its folder.
        count: How many images the split holds.
    """

    index: int
    name: str
    folder: str
    count: int

    def to_dict(self) -> dict[str, Any]:
        """The class as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Export:
    """What an export wrote: its classes, a digest of all pixels and labels, bytes and geometry."""

    classes: list[ClassFolder]
    digest: str
    n_bytes: int
    shape: list[int]


def export_images(
    images: Iterable[tuple[int, npt.NDArray[np.uint8]]],
    names: list[str],
    folder: Path,
    total: int,
    description: str,
) -> Export:
    """Write images as PNG into zero-padded class folders.

    Folder `006` is class 6, so that string order is numeric order; file `00042.png` is the 43rd
    image of the split in its source's own order.

    Args:
        images: Class index and image `[H, W, 3]` or `[H, W]`, uint8, in the source's order.
        names: The classes' names by index.
        folder: An empty folder to write into.
        total: How many images there are.
        description: What the progress bar says.
    """
    from PIL import Image

    width = len(str(len(names) - 1))
    counts = [0] * len(names)
    digest = hashlib.sha256()
    n_bytes, shape = 0, []
    for index in range(len(names)):
        (folder / f"{index:0{width}d}").mkdir()
    with progress_bar(total, description) as bar:
        for number, (index, image) in enumerate(images):
            path = folder / f"{index:0{width}d}" / f"{number:05d}.png"
            Image.fromarray(image).save(path, compress_level=6)
            digest.update(f"{index},{image.shape};".encode())
            digest.update(image.tobytes())
            counts[index] += 1
            n_bytes += path.stat().st_size
            shape = list(image.shape)
            bar.update()
    if sum(counts) != total:
        raise DataError(f"{description}: the source gave {sum(counts)} images where {total} were expected")
    classes = [ClassFolder(i, names[i], f"{i:0{width}d}", counts[i]) for i in range(len(names))]
    return Export(classes, digest.hexdigest()[:32], n_bytes, shape)


def list_images(folder: Path) -> list[str]:
    """The names of the images in a class folder, in an order that depends on the names alone."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if _is_image(e.name))


def _is_image(name: str) -> bool:
    return name[0] != "." and Path(name).suffix.lower() in IMAGE_SUFFIXES


def scan_class_folders(
    folder: Path, class_index: dict[int, tuple[str, str]] | None = None, beside: Iterable[Path] = ()
) -> Export:
    """Count the images of a folder that this project did not write, without opening them.

    A class's index is its folder's name where all are numbers, its place in `class_index` where
    there is one, and else its place in the sorted list of folders.

    Args:
        folder: A folder of class folders.
        class_index: Folder name and class name of each index.
        beside: The dataset's other splits; a class has the same index in all of them.

    Returns:
        The classes and a digest of (index, name, folder) of every class and (path, size, modification
        time) of every image.
    """
    if not folder.is_dir():
        raise MissingError(f"{folder} does not exist. Put one folder of images for each class there.")
    held = _list_folders(folder)
    if not held:
        raise DataError(f"{folder} holds no class folders. Put one folder of images for each class there.")
    folders = sorted(held)
    if not class_index and not _are_numbers(held):
        # Names are numbered by their place in the list of all splits, so that a class has one index.
        folders = sorted({*held, *(name for other in beside if other.is_dir() for name in _list_folders(other))})
    digest = hashlib.sha256()
    classes, n_bytes = [], 0
    for index, name in _class_order(folder, folders, class_index):
        if name not in held:
            continue
        count = 0
        with os.scandir(folder / name) as entries:
            images = sorted((e for e in entries if _is_image(e.name)), key=lambda e: e.name)
        for entry in images:
            stat = entry.stat()
            digest.update(f"{name}/{entry.name},{stat.st_size},{stat.st_mtime_ns};".encode())
            n_bytes += stat.st_size
            count += 1
        label = class_index[index][1] if class_index else name
        digest.update(f"{index},{label},{name};".encode())
        classes.append(ClassFolder(index, label, name, count))
    empty = [c.folder for c in classes if c.count == 0]
    if empty:
        raise DataError(f"{folder}: {len(empty)} class folders hold no image: {', '.join(empty[:5])}")
    return Export(sorted(classes, key=lambda c: c.index), digest.hexdigest()[:32], n_bytes, [])


def _are_numbers(folders: Iterable[str]) -> bool:
    return all(re.fullmatch(r"\d+", name) for name in folders)


def _list_folders(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {e.name for e in entries if e.is_dir() and e.name[0] != "."}


def _class_order(
    folder: Path, folders: list[str], class_index: dict[int, tuple[str, str]] | None
) -> list[tuple[int, str]]:
    if class_index:
        by_folder = {name: index for index, (name, _) in class_index.items()}
        unknown = [name for name in folders if name not in by_folder]
        if unknown:
            raise DataError(f"{folder}: the folder '{unknown[0]}' is not in the class index file")
        return [(by_folder[name], name) for name in folders]
    if _are_numbers(folders):
        order = [(int(name), name) for name in folders]
        if len({index for index, _ in order}) != len(order):
            raise DataError(f"{folder}: two class folders have the same number; rename one")
        return order
    return list(enumerate(folders))
