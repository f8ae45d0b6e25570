"""Class folders: finding what is in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dynvision.data.images.files import is_image_file
from dynvision.errors import DataError, MissingError
from dynvision.system.files import read_json, write_json

__all__ = ["MANY_IMAGES", "ClassFolder", "Export", "scan_class_folders"]

MANY_IMAGES = 50_000
"""Up to as many, every image is looked at each time, which takes a fraction of a second."""
_SCANNERS = 16
"""Threads that look at class folders; they wait for the disk or the network."""


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
    """What an export wrote: its classes, a digest of all pixels and labels, bytes and geometry.

    Of folders that were found, also what is in them that is no image: how many of each class folder, and one by name.
    """

    classes: list[ClassFolder]
    digest: str
    n_bytes: int
    shape: list[int] | None
    ignored: dict[str, tuple[int, str]] = field(default_factory=dict)


def scan_class_folders(
    folder: Path,
    class_index: dict[int, tuple[str, str]] | None = None,
    beside: Iterable[Path] = (),
    cache: Path | None = None,
) -> Export:
    """Count the images of a folder that this project did not write, without opening them.

    A class's index is its folder's name where all are numbers, its place in `class_index` where
    there is one, and else its place in the sorted list of folders. Class folders are looked at on several threads.

    Args:
        folder: A folder of class folders.
        class_index: Folder name and class name of each index.
        beside: The dataset's other splits; a class has the same index in all of them.
        cache: A file that remembers class folders. Where there are more than `MANY_IMAGES` images, a class folder
            whose own modification time is as remembered is not looked at again: images that came or went are then
            noticed, and ones that were changed in place are not, until a scan without a cache.

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
    for name in folders:
        _check_name(folder, name)
    if not class_index and not _are_numbers(held):
        # Names are numbered by their place in the list of all splits, so that a class has one index.
        folders = sorted({*held, *(name for other in beside if other.is_dir() for name in _list_folders(other))})
    order = [(index, name) for index, name in _class_order(folder, folders, class_index) if name in held]
    scans = _scan_all(folder, [name for _, name in order], cache)
    digest = hashlib.sha256()
    classes = []
    for index, name in order:
        label = class_index[index][1] if class_index else name
        digest.update(f"{index},{label},{name},{scans[name].digest};".encode())
        classes.append(ClassFolder(index, label, name, scans[name].count))
    empty = [c.folder for c in classes if c.count == 0]
    if empty:
        raise DataError(f"{folder}: {len(empty)} class folders hold no image: {', '.join(empty[:5])}")
    n_bytes = sum(scan.n_bytes for scan in scans.values())
    ignored = {name: (scan.n_others, scan.other) for name, scan in scans.items() if scan.n_others}
    return Export(sorted(classes, key=lambda c: c.index), digest.hexdigest()[:32], n_bytes, None, ignored)


@dataclass(frozen=True)
class _Scan:
    """What a class folder holds, and its own modification time; `n_others` are no images, `other` is one of them."""

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
        found = list(pool.map(lambda name: _scan_class(folder / name, remembered.get(name)), names))
    scans = dict(zip(names, found, strict=True))
    if cache is not None and scans != remembered and os.access(cache.parent, os.W_OK):
        images = sum(scan.count for scan in found)
        classes = {name: list(vars(scan).values()) for name, scan in scans.items()}
        write_json(cache, {"folder": str(folder), "images": images, "classes": classes}, indent=None)
    return scans


def _read_cache(cache: Path, folder: Path) -> dict[str, _Scan]:
    """What is remembered of class folders; nothing where the file is none of ours."""
    content = read_json(cache) or {}
    try:
        if content.get("folder") != str(folder) or content.get("images", 0) <= MANY_IMAGES:
            return {}
        kinds = (int, int, int, str, int, str)
        scans = {name: _Scan(*values) for name, values in content["classes"].items()}
        is_ours = all(type(v) is kind for s in scans.values() for v, kind in zip(vars(s).values(), kinds, strict=True))
        return scans if is_ours else {}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{folder}: the name {name!r} is not UTF-8, and cannot be written down; rename it") from error


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
