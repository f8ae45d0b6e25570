"""Class folders: counting the images in them without opening any."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dynvision.data.images.files import is_image_file
from dynvision.data.sources.class_index import name_apart
from dynvision.data.sources.class_names import join_names
from dynvision.data.sources.class_order import order_classes
from dynvision.data.sources.split_listing import explain_empty_classes
from dynvision.errors import DataError
from dynvision.system.files import read_json, write_json

__all__ = ["MANY_IMAGES", "ClassFolder", "Export", "scan_class_folders"]

MANY_IMAGES = 50_000
"""Up to this number, every image is looked at each time, which takes a fraction of a second."""
_SCANNERS = 16
"""Threads that look at class folders. They mostly wait for the disk or the network."""


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
        digest: Of all pixels and labels if this project wrote the images; otherwise of their names, sizes and times.
        n_bytes: The size of all images.
        shape: The shape of an image; `None` if none was opened.
        ignored: For each class folder with files that are not images: how many there are, and the name of one.
    """

    classes: list[ClassFolder]
    digest: str
    n_bytes: int
    shape: list[int] | None
    ignored: dict[str, tuple[int, str]] = field(default_factory=dict)


def scan_class_folders(
    folder: Path,
    class_index: dict[int, tuple[str, str]] | None = None,
    other_splits: Iterable[Path] = (),
    cache: Path | None = None,
) -> Export:
    """Count the images of a folder that this project did not write, without opening them.

    Which index a class has is decided once for all splits; see `order_classes`. Classes of the same name in
    `class_index` are told apart by their folders.

    Args:
        folder: A folder of class folders.
        class_index: Folder name and class name of each index.
        other_splits: The folders of the dataset's other splits; a class has the same index in all of them.
        cache: A file that remembers class folders. If there are more than `MANY_IMAGES` images, a class folder whose
            own modification time has not changed is not looked at again. Added and removed images are noticed all the
            same, but an image that was changed in place is noticed only by a scan without a cache.

    Returns:
        The classes, and a digest of (index, name, folder) of every class and (path, size, modification time) of every
        image.

    Raises:
        DataError: If there are no class folders, one has no images, or a name is unusable or not in `class_index`.
        MissingError: If the folder does not exist.
    """
    order = order_classes(folder, class_index, other_splits).of_split
    scans = _scan_all(folder, [name for _, name in order], cache)
    names = name_apart(dict((class_index or {}).values()))
    digest = hashlib.sha256()
    classes = []
    for index, name in order:
        label = class_index[index][1] if class_index else name
        digest.update(f"{index},{label},{name},{scans[name].digest};".encode())
        classes.append(ClassFolder(index, names.get(name, name), name, scans[name].count))
    empty = [c.folder for c in classes if c.count == 0]
    if empty:
        hint = explain_empty_classes(folder, empty)
        raise DataError(f"{folder}: {len(empty)} class folders hold no image: {join_names(empty)}{hint}")
    ignored = {name: (scan.n_others, scan.other) for name, scan in scans.items() if scan.n_others}
    n_bytes = sum(scan.n_bytes for scan in scans.values())
    return Export(sorted(classes, key=lambda c: c.index), digest.hexdigest()[:32], n_bytes, None, ignored)


@dataclass(frozen=True)
class _Scan:
    """The content of a class folder.

    Attributes:
        mtime_ns: The modification time of the folder itself.
        count: How many images it contains.
        n_bytes: Their size.
        digest: Of their names, sizes and modification times.
        n_others: How many files are not images.
        other: The name of one of these; empty if there are none.
    """

    mtime_ns: int
    count: int
    n_bytes: int
    digest: str
    n_others: int
    other: str


def _scan_all(folder: Path, names: Sequence[str], cache: Path | None) -> dict[str, _Scan]:
    remembered: dict[str, _Scan] = {}
    if cache is not None:
        remembered = _read_cache(cache, folder)
    with ThreadPoolExecutor(_SCANNERS) as pool:
        results = pool.map(lambda name: _scan_class(folder / name, remembered.get(name)), names)
        scans = dict(zip(names, results, strict=True))
    if cache is not None and scans != remembered and os.access(cache.parent, os.W_OK):
        images = sum(scan.count for scan in scans.values())
        classes = {name: list(vars(scan).values()) for name, scan in scans.items()}
        write_json(cache, {"folder": str(folder), "images": images, "classes": classes}, indent=None)
    return scans


def _read_cache(cache: Path, folder: Path) -> dict[str, _Scan]:
    """Read what is remembered of class folders; nothing if the file is damaged or not ours."""
    content = read_json(cache) or {}
    try:
        if content.get("folder") != str(folder) or content.get("images", 0) <= MANY_IMAGES:
            return {}
        types = (int, int, int, str, int, str)
        scans = {name: _Scan(*values) for name, values in content["classes"].items()}
        is_ours = all(type(v) is t for scan in scans.values() for v, t in zip(vars(scan).values(), types, strict=True))
        return scans if is_ours else {}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{folder}: the name {name!r} is not UTF-8, so it cannot be written to a record; rename it"
        ) from error


def _scan_class(folder: Path, remembered: _Scan | None) -> _Scan:
    mtime_ns = folder.stat().st_mtime_ns
    if remembered is not None and remembered.mtime_ns == mtime_ns:
        return remembered
    with os.scandir(folder) as entries:
        shown = sorted((e for e in entries if e.name[0] != "."), key=lambda e: e.name)
    images = [e for e in shown if is_image_file(e)]
    names = {e.name for e in images}
    others = [e.name for e in shown if e.name not in names] if len(images) < len(shown) else []
    try:
        stats = [(e.name, e.stat()) for e in images]
    except OSError as error:
        raise DataError(f"an image cannot be looked at: {error}. Mend or remove it.") from error
    text = ";".join(f"{name},{stat.st_size},{stat.st_mtime_ns}" for name, stat in stats)
    if not text.isprintable():
        for name, _ in stats:
            _check_name(folder, name)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    n_bytes = sum(stat.st_size for _, stat in stats)
    return _Scan(mtime_ns, len(stats), n_bytes, digest, len(others), ascii(others[0])[1:-1] if others else "")
