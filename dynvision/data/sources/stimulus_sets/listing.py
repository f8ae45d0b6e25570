"""Which images lie in a folder and in the folders below it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dynvision.data.images.files import is_image_file
from dynvision.data.sources.folders.class_names import is_system_folder
from dynvision.data.sources.folders.folder_scan import check_name
from dynvision.errors import DataError
from dynvision.system.failures import as_unreadable

__all__ = ["ImageTree", "list_tree", "sort_naturally", "strip_suffix"]

_PARTS = re.compile(r"\d+|\D+")


@dataclass
class ImageTree:
    """The images of a folder and of those below it.

    Attributes:
        images: The names of the images in each folder that has some, by its path below the top; `""` is the top.
        others: The paths of all other files, without hidden ones.
    """

    images: dict[str, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The paths of all images below the top."""
        return [_join(folder, name) for folder, names in self.images.items() for name in names]


def list_tree(top: Path) -> ImageTree:
    """List the images of a folder and of all folders below it. Hidden folders and those of other programs are left out.

    Raises:
        DataError: If a folder cannot be read, is reached twice by links, or a name is not UTF-8.
    """
    tree, seen = ImageTree(), dict[Path, str]()
    _list_folder(top, "", tree, seen)
    return tree


def strip_suffix(path: str) -> str:
    """Return the name of a file without its suffix."""
    return posixpath.splitext(posixpath.basename(path))[0]


def sort_naturally(paths: Iterable[str]) -> list[str]:
    """Sort paths as people do: `2.png` comes before `10.png`."""
    return sorted(paths, key=_natural_key)


def _natural_key(path: str) -> list[tuple[list[tuple[int, int, str]], str]]:
    names = path.split("/")
    shown = [*names[:-1], strip_suffix(names[-1])]  # so that `a.png` comes before `a2.png`
    return [([_part_key(part) for part in _PARTS.findall(text)], name) for text, name in zip(shown, names, strict=True)]


def _part_key(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isascii() and part.isdecimal() else (1, 0, part.casefold())


def _list_folder(top: Path, below: str, tree: ImageTree, seen: dict[Path, str]) -> None:
    folder = top / below
    first = seen.setdefault(folder.resolve(), below)
    if first != below:
        raise DataError(f"{folder} is a link to {top / first}, whose images would be shown twice. Remove one.")
    inner: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name[0] == ".":
                    continue
                check_name(folder, entry.name)
                if is_image_file(entry):
                    tree.images.setdefault(below, []).append(entry.name)
                elif not entry.is_dir():
                    tree.others.append(_join(below, entry.name))
                elif not is_system_folder(entry.name):
                    inner.append(_join(below, entry.name))
    except OSError as error:
        text = f"{folder} cannot be read: {error}"
        raise as_unreadable(error, text) or DataError(text) from error
    for path in inner:
        _list_folder(top, path, tree, seen)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
