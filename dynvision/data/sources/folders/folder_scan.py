"""Looking at class folders: cheaply by names, sizes and times, and once for each change by contents.

What was read is remembered for each class folder, together with a stamp over the names, sizes, times and inodes of its
files. While the stamp is the same, the contents are known.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dynvision.data.images.files import is_image_file
from dynvision.data.images.image_table import ImageRow, digest_image, digest_rows
from dynvision.errors import DataError, DynvisionError
from dynvision.system.failures import as_unreadable
from dynvision.system.file_digests import digest_bytes, newest_first, note_places
from dynvision.system.files import read_json, write_json

__all__ = [
    "MANY_IMAGES",
    "FolderScan",
    "check_name",
    "compare_folders",
    "read_folders",
    "remember_scans",
    "scan_folders",
]

MANY_IMAGES = 50_000
"""Up to this number, every image is looked at each time, which takes a fraction of a second."""
_SCANNERS = 16
"""Threads that look at class folders. They mostly wait for the disk or the network."""
_RECENT_NS = 50_000_000
"""A file that changed this recently may change again without another time, because times have a coarse clock."""


@dataclass(frozen=True)
class FolderScan:
    """The content of a class folder.

    Attributes:
        state: The times and the inode of the folder itself; one differs if images were added, removed or renamed, or
            if the folder was exchanged with another.
        count: How many images it contains.
        n_bytes: Their size.
        stamp: A digest of their names, sizes, times and inodes.
        is_settled: Whether nothing changed just now; otherwise another change could leave the stamp as it is.
        content: A digest of their names and contents; empty if they have not been read since the stamp changed.
        n_others: How many files are not images.
        other: The name of one of these; empty if there are none.
    """

    state: str
    count: int
    n_bytes: int
    stamp: str
    is_settled: bool
    content: str
    n_others: int
    other: str


def scan_folders(
    folder: Path, names: Sequence[str], cache: Path | None, *, every_image: bool = False
) -> dict[str, FolderScan]:
    """Look at class folders without opening an image.

    Args:
        folder: The folder that contains them.
        names: The class folders.
        cache: The file that remembers what was read. If there are more than `MANY_IMAGES` images, a class folder whose
            own times and inode have not changed is not looked at again: added and removed images are noticed all the
            same, but an image that was changed in place is not.
        every_image: Look at every image, however many there are.

    Returns:
        What each class folder contains.

    Raises:
        DataError: If an image cannot be looked at, or a name is unusable.
    """
    remembered, is_large = ({}, False) if cache is None else _read_cache(cache, folder)

    def scan(name: str) -> FolderScan:
        known = remembered.get(name)
        may_skip = known is not None and is_large and not every_image
        if known is not None and may_skip and known.state == _state((folder / name).stat()):
            return known
        seen = _scan_folder(folder / name)
        return replace(seen, content=known.content) if known is not None and known.stamp == seen.stamp else seen

    with ThreadPoolExecutor(_SCANNERS) as pool:
        return dict(zip(names, pool.map(scan, names), strict=True))


def remember_scans(cache: Path, folder: Path, scans: Mapping[str, FolderScan]) -> None:
    """Write what was read of class folders to the cache, if it can be written and says something else."""
    known, _ = _read_cache(cache, folder)
    read = {name: scan for name, scan in scans.items() if scan.is_settled and scan.content}
    if read == known:
        return
    images = sum(scan.count for scan in scans.values())
    classes = {name: list(vars(scan).values()) for name, scan in read.items()}
    content = {"folder": _relative(folder, cache), "images": images, "classes": classes}
    for place in note_places(cache):
        with contextlib.suppress(OSError, DynvisionError):
            write_json(place, content, indent=None)
            return


def read_folders(
    folder: Path, scans: Mapping[str, FolderScan], known: Mapping[str, Sequence[ImageRow]]
) -> tuple[dict[str, list[ImageRow]], dict[str, FolderScan]]:
    """Read every image of the class folders whose contents are not known.

    Args:
        folder: The folder that contains them.
        scans: What `scan_folders` found.
        known: The images of an earlier table. They are taken over where they are those that the cache remembers.

    Returns:
        The images of each class folder, and the scans with the digest of what was read.

    Raises:
        DataError: If an image cannot be read, or was changed meanwhile.
    """
    rows: dict[str, list[ImageRow]] = {}
    read: dict[str, FolderScan] = {}
    for name, scan in scans.items():
        rows[name] = list(known.get(name, ()))
        if not scan.content or digest_rows(rows[name]) != scan.content:
            scan, rows[name] = _scan_settled(folder / name), _read_folder(folder / name)
            if _scan_folder(folder / name).stamp != scan.stamp or scan.count != len(rows[name]):
                raise DataError(f"{folder / name} changed while it was read. Run this again when nobody writes to it.")
            scan = replace(scan, content=digest_rows(rows[name]))
        read[name] = scan
    return rows, read


def compare_folders(
    folder: Path, scans: Mapping[str, FolderScan], rows: Mapping[str, Sequence[ImageRow]]
) -> tuple[list[str], dict[str, FolderScan]]:
    """Compare class folders with a table of their images. Only those whose contents are not known are read.

    Returns:
        A line for each difference, and the scans with the digest of what was read.
    """
    differences: list[str] = []
    read: dict[str, FolderScan] = {}
    for name, expected in rows.items():
        scan, wanted = scans.get(name), digest_rows(expected)
        if scan is None:
            differences.append(f"{folder / name} is missing")
        elif scan.content != wanted:
            scan, actual = _scan_folder(folder / name), _read_folder(folder / name)
            differences += _differences(folder / name, actual, expected)
            scan = replace(scan, content=digest_rows(actual))
        if scan is not None:
            read[name] = scan
    return differences, read


def check_name(folder: Path, name: str) -> None:
    """Raise an error if a name cannot be written to a record."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{folder}: the name {name!r} is not UTF-8, so it cannot be written to a record; rename it"
        ) from error


def _differences(folder: Path, actual: Sequence[ImageRow], expected: Sequence[ImageRow]) -> list[str]:
    now, then = ({row.name: row for row in rows} for rows in (actual, expected))
    changed = [name for name in then if name in now and now[name] != then[name]]
    return [
        *(f"{folder / name} is missing" for name in then if name not in now),
        *(f"{folder / name} was added" for name in now if name not in then),
        *(f"{folder / name} is not the image that was written" for name in changed),
    ]


def _read_folder(folder: Path) -> list[ImageRow]:
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if is_image_file(e))

    def read(name: str) -> ImageRow:
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            reason = error.strerror or error
            text = f"{folder / name} cannot be read: {reason}"
            raise as_unreadable(error, text, "Mend or remove it.") or DataError(
                f"{text}. Mend or remove it."
            ) from error
        return ImageRow(name, len(content), digest_image(content))

    with ThreadPoolExecutor(_SCANNERS) as pool:
        return list(pool.map(read, names))


def _scan_settled(folder: Path) -> FolderScan:
    """Look at a class folder; if a file changed just now, wait until another change would give another stamp."""
    scan = _scan_folder(folder)
    if not scan.is_settled:
        time.sleep(_RECENT_NS / 1e9)
        scan = _scan_folder(folder)
    return scan


def _scan_folder(folder: Path) -> FolderScan:
    own = folder.stat()
    with os.scandir(folder) as entries:
        shown = sorted((e for e in entries if e.name[0] != "."), key=lambda e: e.name)
    images = [e for e in shown if is_image_file(e)]
    names = {e.name for e in images}
    others = [e.name for e in shown if e.name not in names] if len(images) < len(shown) else []
    try:
        stats = [(e.name, e.stat()) for e in images]
    except OSError as error:
        text = f"an image cannot be looked at: {error}"
        raise as_unreadable(error, text, "Mend or remove it.") or DataError(f"{text}. Mend or remove it.") from error
    text = ";".join(f"{name},{s.st_size},{s.st_mtime_ns},{s.st_ctime_ns},{s.st_ino}" for name, s in stats)
    if not text.isprintable():
        for name, _ in stats:
            check_name(folder, name)
    # A time in the future is that of another clock, such as a camera's: it says nothing about what happens now.
    now = time.time_ns()
    times = (t for s in (own, *(s for _, s in stats)) for t in (s.st_mtime_ns, s.st_ctime_ns))
    is_settled = all(abs(now - t) > _RECENT_NS for t in times)
    stamp = digest_bytes(text.encode())
    n_bytes = sum(s.st_size for _, s in stats)
    other = ascii(others[0])[1:-1] if others else ""
    return FolderScan(_state(own), len(stats), n_bytes, stamp, is_settled, "", len(others), other)


def _read_cache(cache: Path, folder: Path) -> tuple[dict[str, FolderScan], bool]:
    """Read what is remembered of class folders, and whether they have many images; nothing if it is not ours."""
    content = next(filter(None, map(_read_note, newest_first(note_places(cache)))), {})
    try:
        types = (str, int, int, str, bool, str, int, str)
        scans = {name: FolderScan(*values) for name, values in content["classes"].items()}
        is_ours = all(type(v) is t for scan in scans.values() for v, t in zip(vars(scan).values(), types, strict=True))
        is_ours = is_ours and content["folder"] == _relative(folder, cache)
        return (scans, content["images"] > MANY_IMAGES) if is_ours else ({}, False)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}, False


def _read_note(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except (OSError, RecursionError):
        return None


def _relative(folder: Path, cache: Path) -> str:
    """Name a folder as seen from the cache, so that a root can be moved."""
    return os.path.relpath(folder, cache.parent)


def _state(stat: os.stat_result) -> str:
    return f"{stat.st_mtime_ns},{stat.st_ctime_ns},{stat.st_ino}"
