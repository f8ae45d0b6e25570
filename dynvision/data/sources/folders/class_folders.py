"""Class folders: counting the images in them without opening any."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dynvision.data.images.image_table import ImageRow, Rows
from dynvision.data.images.stimulus_table import FILENAME, Columns
from dynvision.data.sources.folders.class_index import name_apart
from dynvision.data.sources.folders.class_names import join_names
from dynvision.data.sources.folders.class_order import order_classes
from dynvision.data.sources.folders.folder_scan import read_folders, remember_scans, scan_folders
from dynvision.data.sources.folders.split_listing import explain_empty_classes
from dynvision.errors import DataError
from dynvision.system.files import digest_json

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
    """The class folders of one split, or the images of a stimulus set.

    Attributes:
        classes: The classes, by index; none of a stimulus set.
        digest: Of all pixels and labels if this project wrote the images; otherwise of their names and contents.
        n_bytes: The size of all images.
        shape: The shape of an image; `None` if none was opened.
        ignored: For each class folder with files that are not images: how many there are, and the name of one.
        rows: The images of each class folder, if they were read.
        stamp: Of found images, a digest of their names, sizes, times and inodes.
        stimuli: The table of a stimulus set; `None` of other datasets.
    """

    classes: list[ClassFolder]
    digest: str
    n_bytes: int
    shape: list[int] | None
    ignored: dict[str, tuple[int, str]] = field(default_factory=dict)
    rows: dict[str, list[ImageRow]] = field(default_factory=dict)
    stamp: str = ""
    stimuli: Columns | None = None

    @property
    def count(self) -> int:
        """How many images there are."""
        return sum(c.count for c in self.classes) if self.stimuli is None else len(self.stimuli[FILENAME])


def scan_class_folders(
    folder: Path,
    class_index: dict[int, tuple[str, str]] | None = None,
    other_splits: Iterable[Path] = (),
    cache: Path | None = None,
    *,
    every_image: bool = False,
    known: Rows | None = None,
) -> Export:
    """Look at the images of a folder that this project did not write.

    Which index a class has is decided once for all splits; see `order_classes`. Classes of the same name in
    `class_index` are told apart by their folders.

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
    order = order_classes(folder, class_index, other_splits).of_split
    scans = scan_folders(folder, [name for _, name in order], cache, every_image=every_image)
    rows: dict[str, list[ImageRow]] = {}
    if known is not None:
        rows, scans = read_folders(folder, scans, known)
        if cache is not None:
            remember_scans(cache, folder, scans)
    names = name_apart(dict((class_index or {}).values()))
    digest = hashlib.sha256()
    classes = []
    for index, name in order:
        label = class_index[index][1] if class_index else name
        digest.update(f"{index},{label},{name},{scans[name].content};".encode())
        classes.append(ClassFolder(index, names.get(name, name), name, scans[name].count))
    empty = [c.folder for c in classes if c.count == 0]
    if empty:
        hint = explain_empty_classes(folder, empty)
        raise DataError(f"{folder}: {len(empty)} class folders hold no image: {join_names(empty)}{hint}")
    return Export(
        sorted(classes, key=lambda c: c.index),
        digest.hexdigest()[:32] if all(scan.content for scan in scans.values()) else "",
        sum(scan.n_bytes for scan in scans.values()),
        None,
        {name: (scan.n_others, scan.other) for name, scan in scans.items() if scan.n_others},
        rows,
        digest_json([(name, scan.stamp) for name, scan in sorted(scans.items())]),
    )
