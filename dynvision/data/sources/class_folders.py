"""Class folders: counting the images in them without opening any."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dynvision.data.images.image_table import ImageRow, Rows
from dynvision.data.sources.folder_scan import check_name, read_folders, remember_scans, scan_folders
from dynvision.errors import DataError, MissingError

__all__ = ["ClassFolder", "Export", "scan_class_folders"]


@dataclass(frozen=True)
class ClassFolder:
    """One class of a dataset.

    Attributes:
        index: Its index in the dataset's own order.
        name: What it shows.
        folder: The name of its folder.
        count: How many images of it are in the split.
    """

    index: int
    name: str
    folder: str
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the class as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Export:
    """The class folders of one split.

    Attributes:
        classes: The classes, by index.
        digest: Of all pixels and labels if this project wrote the images; otherwise of their names and contents.
        n_bytes: The size of all images.
        shape: The shape of an image; `None` if none was opened.
        ignored: For each class folder with files that are not images: how many there are, and the name of one.
        rows: The images of each class folder, if they were read.
    """

    classes: list[ClassFolder]
    digest: str
    n_bytes: int
    shape: list[int] | None
    ignored: dict[str, tuple[int, str]] = field(default_factory=dict)
    rows: dict[str, list[ImageRow]] = field(default_factory=dict)


def scan_class_folders(
    folder: Path,
    class_index: dict[int, tuple[str, str]] | None,
    other_splits: Iterable[Path],
    cache: Path,
    *,
    every_image: bool = False,
    known: Rows | None = None,
) -> Export:
    """Look at the images of a folder that this project did not write.

    The index of a class is its index in `class_index`. Without a class index, it is the number that names its folder if
    all folders are named by numbers, and otherwise its position in the sorted list of folders.

    Args:
        folder: A folder of class folders.
        class_index: Folder name and class name of each index.
        other_splits: The folders of the dataset's other splits; a class has the same index in all of them.
        cache: The file that remembers what was read; see `scan_folders`.
        every_image: Look at every image, however many there are.
        known: Read the class folders that changed since they were read; images of an earlier table, if there is one,
            are taken over where they have not changed. `None` reads nothing.

    Returns:
        The classes, and a digest of (index, name, folder) of every class and (name, content) of every image; an empty
        digest if some class folders changed and were not read.

    Raises:
        DataError: If there are no class folders, one has no images, or a name is unusable or not in `class_index`.
        MissingError: If the folder does not exist.
    """
    order = _list_classes(folder, class_index, other_splits)
    scans = scan_folders(folder, [name for _, name in order], cache, every_image=every_image)
    rows: dict[str, list[ImageRow]] = {}
    if known is not None:
        rows, scans = read_folders(folder, scans, known)
        remember_scans(cache, folder, scans)
    digest = hashlib.sha256()
    classes = []
    for index, name in order:
        label = class_index[index][1] if class_index else name
        digest.update(f"{index},{label},{name},{scans[name].content};".encode())
        classes.append(ClassFolder(index, label, name, scans[name].count))
    empty = [c.folder for c in classes if c.count == 0]
    if empty:
        raise DataError(f"{folder}: {len(empty)} class folders hold no image: {', '.join(empty[:5])}")
    return Export(
        sorted(classes, key=lambda c: c.index),
        digest.hexdigest()[:32] if all(scan.content for scan in scans.values()) else "",
        sum(scan.n_bytes for scan in scans.values()),
        None,
        {name: (scan.n_others, scan.other) for name, scan in scans.items() if scan.n_others},
        rows,
    )


def _list_classes(
    folder: Path, class_index: dict[int, tuple[str, str]] | None, other_splits: Iterable[Path]
) -> list[tuple[int, str]]:
    """List the index and name of each class folder."""
    if not folder.is_dir():
        raise MissingError(f"{folder} does not exist. Put one folder of images for each class there.")
    existing = _list_folders(folder)
    if not existing:
        raise DataError(f"{folder} holds no class folders. Put one folder of images for each class there.")
    folders = sorted(existing)
    for name in folders:
        check_name(folder, name)
    if not class_index and not _are_numbers(existing):
        # A class that is missing from one split still counts in it, so that it has one index in all of them.
        others = (name for other in other_splits if other.is_dir() for name in _list_folders(other))
        folders = sorted({*existing, *others})
    return [(index, name) for index, name in _class_order(folder, folders, class_index) if name in existing]


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
