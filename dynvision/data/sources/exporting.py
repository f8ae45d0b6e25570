"""Exporting images to PNG files in class folders, on several threads; an interrupted export is resumed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.files import list_images
from dynvision.data.images.image_table import ImageRow, digest_image
from dynvision.data.sources.folders.class_folders import ClassFolder, Export
from dynvision.errors import DataError
from dynvision.system.files import digest_json, make_directory, read_json, write_json
from dynvision.system.guards import check_guard
from dynvision.system.machine import usable_cores
from dynvision.system.progress import progress_bar

__all__ = ["export_images", "find_foreign_files", "interrupted_export", "open_export", "refuse_foreign_files"]

_CHUNK = 256
"""How many images a thread writes at a time."""
_NOTE = ".export.json"
"""The file that says which source an unfinished export belongs to."""

_OURS = re.compile(
    r"manifest\.(json|images\.parquet)(\.rejected)?|\.manifest\.(json|images\.parquet)\.partial-.*|" + re.escape(_NOTE)
)
"""What this project writes to the folder of an export, besides class folders."""
_CLUTTER = re.compile(
    r"\.DS_Store|\._.*|\.nfs[0-9a-f]+|\.fuse_hidden.*|\.directory|thumbs\.db|desktop\.ini", re.IGNORECASE
)
"""What operating systems leave in folders of which somebody has looked at the images."""

_LOOK = 5.0
"""Seconds between two looks at whether the lock of the output is still held, while images are written."""

Numbered = tuple[int, int, npt.NDArray[np.uint8]]
"""An image: its number in the source, its class index, its pixels."""

Written = tuple[int, ImageRow]
"""An image that was written: its class index, and its file."""


def interrupted_export(folder: Path) -> Path:
    """Return the folder in which an export to `folder` is written until it is complete."""
    return folder.with_name(f".{folder.name}.export")


def open_export(folder: Path, source: dict[str, Any], *, afresh: bool = False) -> Path:
    """Open the folder in which an export is written, with the images that an interrupted one left there.

    The caller holds the lock of the output.

    Args:
        folder: The folder of the finished export.
        source: What the images depend on. Images of an interrupted export from another source are removed.
        afresh: Remove all of them.

    Returns:
        The folder to write to.
    """
    unfinished = interrupted_export(folder)
    note = {"source": digest_json(source)}
    if unfinished.exists() and (afresh or read_json(unfinished / _NOTE) != note):
        shutil.rmtree(unfinished)
    make_directory(unfinished)
    write_json(unfinished / _NOTE, note)
    return unfinished


def find_foreign_files(folder: Path) -> list[str]:
    """Find what an export to a folder did not write, by the names in it.

    Args:
        folder: The folder of an export. Its manifest may be damaged, but something of it must have stayed.

    Returns:
        Names relative to the folder; everything in it if it holds no manifest of ours, and `.` if it is empty or no
        folder.
    """
    if not folder.is_dir() or folder.is_symlink():
        return ["."]
    manifests = [read_json(path) for path in folder.glob("manifest.json*")]
    ours = {"target", "data_version", "inputs"}
    is_export = (folder / "manifest.images.parquet").is_file() or (
        bool(manifests) and not any(content is not None and ours.isdisjoint(content) for content in manifests)
    )
    if not is_export:
        return sorted(path.name for path in folder.iterdir()) or ["."]
    foreign: list[str] = []
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if _OURS.fullmatch(entry.name) or _CLUTTER.fullmatch(entry.name):
            continue
        if not entry.is_dir(follow_symlinks=False) or not entry.name.isdecimal():
            foreign.append(entry.name)
            continue
        for image in sorted(os.scandir(entry.path), key=lambda e: e.name):
            is_ours = re.fullmatch(r"\d{5,}\.png", image.name) and not image.is_dir(follow_symlinks=False)
            if not is_ours and not _CLUTTER.fullmatch(image.name):
                foreign.append(f"{entry.name}/{image.name}")
    return foreign


def refuse_foreign_files(folder: Path) -> None:
    """Raise if the folder of an export holds anything that an export did not write, as it would be deleted.

    Raises:
        DataError: Names the first such file.
    """
    foreign = find_foreign_files(folder) if folder.exists() or folder.is_symlink() else []
    if foreign:
        what = "it" if foreign[0] == "." else f"{foreign[0]} in it"
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        raise DataError(
            f"{folder} is in the way: {what}{more} was not written by this project. Move it elsewhere; nothing of "
            "yours is deleted."
        )


def export_images(
    images: Iterable[tuple[int, npt.NDArray[np.uint8]]],
    names: Sequence[str],
    folder: Path,
    total: int,
    description: str,
    *,
    compress_level: int = 6,
    workers: int | None = None,
) -> Export:
    """Write images as PNG into zero-padded class folders.

    Folder `006` is class 6, so that string order is numeric order; file `00042.png` is the 43rd image of the split in
    the source's own order. An existing file is kept if it has the same pixels, so that an interrupted export is
    resumed. The result does not depend on the number of workers.

    Args:
        images: Class index and image `[H, W, 3]` or `[H, W]`, uint8, in the source's order.
        names: The names of the classes, by index.
        folder: A folder made by `open_export`, or an empty one.
        total: How many images there are.
        description: The text of the progress bar, which errors also begin with.
        compress_level: Compression of the files, from 0 (none) to 9.
        workers: Threads that write; by default one for each core.

    Raises:
        DataError: If the source gives another number of images, some with one channel and some with three, or the
            folder contains other ones.
        LockLostError: If another process has taken over the lock of the output.
        OSError: If a file cannot be written. The files already written stay for the next attempt.
    """
    width = len(str(len(names) - 1))
    folders = [folder / f"{index:0{width}d}" for index in range(len(names))]
    resumes = any(class_folder.exists() for class_folder in folders)
    for class_folder in folders:
        class_folder.mkdir(exist_ok=True)
    tally = _Tally(description, [0] * len(names), hashlib.sha256(), [[] for _ in names])
    counted = _count(((number, index, image) for number, (index, image) in enumerate(images)), tally)
    write = partial(_write_chunk, folders=folders, compress_level=compress_level, resumes=resumes)
    with progress_bar(total, description) as bar:
        for written in _write_all(counted, write, workers or usable_cores()):
            for index, row in written:
                tally.rows[index].append(row)
            bar.update(len(written))
    if sum(tally.counts) != total:
        raise DataError(f"{description}: the source gave {sum(tally.counts)} images where {total} were expected")
    if resumes:
        _check_counts(folders, tally.counts, description)
    check_guard(folder)
    (folder / _NOTE).unlink(missing_ok=True)
    return tally.export(names, folders)


@dataclass
class _Tally:
    """Counts and a digest in the order of the source, whatever order the files are written in."""

    description: str
    counts: list[int]
    digest: Any
    rows: list[list[ImageRow]]
    shape: list[int] | None = None

    def export(self, names: Sequence[str], folders: Sequence[Path]) -> Export:
        """Return what was written."""
        classes = [ClassFolder(i, names[i], folders[i].name, count) for i, count in enumerate(self.counts)]
        rows = {folder.name: sorted(written) for folder, written in zip(folders, self.rows, strict=True)}
        n_bytes = sum(row.n_bytes for written in self.rows for row in written)
        return Export(classes, self.digest.hexdigest()[:32], n_bytes, self.shape, rows=rows)


def _count(images: Iterable[Numbered], tally: _Tally) -> Iterator[Numbered]:
    for number, index, image in images:
        tally.digest.update(f"{index},{image.shape};".encode())
        tally.digest.update(image.tobytes())
        tally.counts[index] += 1
        if tally.shape is not None and len(tally.shape) != image.ndim:
            raise DataError(
                f"{tally.description}: image {number} has the shape {list(image.shape)}, and those before it "
                f"{tally.shape}; all images of a dataset are grey [H, W], or all have three colours [H, W, 3]"
            )
        tally.shape = list(image.shape)
        yield number, index, image


def _write_all(
    images: Iterator[Numbered], write: Callable[[Sequence[Numbered]], list[Written]], workers: int
) -> Iterator[list[Written]]:
    """Write images on several threads; yield what was written, chunk after chunk."""
    with ThreadPoolExecutor(workers) as pool:
        for chunks in _batches(images, _CHUNK, 2 * workers):
            jobs = [pool.submit(write, chunk) for chunk in chunks]
            for job in jobs:
                yield job.result()


def _batches(images: Iterator[Numbered], size: int, count: int) -> Iterator[list[list[Numbered]]]:
    """Yield up to `count` chunks of `size` images at a time, so that memory stays bounded."""
    while chunks := [chunk for _ in range(count) if (chunk := list(islice(images, size)))]:
        yield chunks


def _write_chunk(
    chunk: Sequence[Numbered], folders: Sequence[Path], compress_level: int, resumes: bool
) -> list[Written]:
    import cv2

    check_guard(folders[0], _LOOK)
    written = []
    for number, index, image in chunk:
        path = folders[index] / f"{number:05d}.png"
        content: Any = _content_if_same(path, image) if resumes else None
        if content is None:
            colours = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            done, encoded = cv2.imencode(".png", colours, [cv2.IMWRITE_PNG_COMPRESSION, compress_level])
            if not done:
                raise OSError(f"image {number} could not be encoded as PNG")
            content = encoded.data
            path.write_bytes(content)
        written.append((index, ImageRow(path.name, len(content), digest_image(content))))
    return written


def _content_if_same(path: Path, image: npt.NDArray[np.uint8]) -> bytes | None:
    """Return the bytes of a file if it contains exactly this image, otherwise `None`."""
    from dynvision.data.images.reading import decode_image

    try:
        content = path.read_bytes()
        existing = decode_image(np.frombuffer(content, np.uint8), 1 if image.ndim == 2 else 3)
    except (OSError, ValueError):
        return None
    same = existing.size == image.size and np.array_equal(existing.reshape(image.shape), image)
    return content if same else None


def _check_counts(folders: Sequence[Path], counts: Sequence[int], description: str) -> None:
    for folder, count in zip(folders, counts, strict=True):
        n_files = len(list_images(folder))
        if n_files != count:
            raise DataError(
                f"{description}: {folder} contains {n_files} images, but {count} were exported. The others are from "
                f"an interrupted export of something else. Remove {folder.parent} and run this again."
            )
