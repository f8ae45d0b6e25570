"""Links of groups: which they are, and where they lead."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.data.images.stimulus_table import FILENAME, Columns, read_stimuli
from dynvision.errors import DataError, unknown_name
from dynvision.records import Record

__all__ = [
    "LINK_FILES",
    "choose_stimuli",
    "destinations",
    "list_labels",
    "list_links",
    "make_links",
    "name_links",
    "read_links",
]

LINK_FILES = ("folder.link", "folder.images.parquet", "folder.stimuli.parquet")
"""What the folder of a group holds besides links."""

_LONGEST_NAME = 255
"""Bytes of a file's name."""


def list_links(folder: Path, record: Record) -> dict[str, str]:
    """Return the links of a group: for each class its folder, for each image of a stimulus set its path.

    Args:
        folder: The folder of the group.
        record: Its record.

    Returns:
        For the name of each link the path that it leads to, below the folder of the raw images.
    """
    stimuli = read_stimuli(record, folder)
    if stimuli is not None:
        return name_links(stimuli[FILENAME])
    return {entry["folder"]: entry["folder"] for entry in record.details["classes"]}


def name_links(filenames: Sequence[str]) -> dict[str, str]:
    """Name the links of images: by their number in the set, so that no two are alike, and their own names."""
    width = len(str(max(len(filenames) - 1, 0)))
    return {f"{number:0{width}d}_{_shorten(path.rpartition('/')[2])}": path for number, path in enumerate(filenames)}


def choose_stimuli(columns: Columns, where: dict[str, list[Any]], key: str) -> list[int]:
    """Choose the rows whose values are among those that a group wants.

    Args:
        columns: The table.
        where: The values of each column.
        key: Where the configuration says so.

    Returns:
        The positions of the rows.

    Raises:
        UnknownNameError: If there is no such column or value; names the nearest.
        DataError: If no row has all of them.
    """
    chosen = list(range(len(columns[FILENAME])))
    for name, wanted in where.items():
        if name not in columns:
            raise unknown_name("column", name, columns, f"{key}.where")
        values = columns[name]
        for value in wanted:
            if not any(_is_same(value, other) for other in values):
                raise unknown_name("value", _show(value), sorted({_show(v) for v in values}), f"{key}.where.{name}")
        chosen = [row for row in chosen if any(_is_same(value, values[row]) for value in wanted)]
    if not chosen:
        raise DataError(f"{key}.where: no image has all of these values, so that the group is empty")
    return chosen


def list_labels(columns: Columns, chosen: Columns, label: dict[str, str]) -> list[dict[str, Any]]:
    """List what the labels of a group of a stimulus set stand for.

    Args:
        columns: The table of the whole set.
        chosen: The rows of the group.
        label: The column, and whether it holds names or indices.

    Returns:
        For each label in the group its `index`, `name` and `count`. Names are numbered in alphabetical order, the same
        in all groups; an empty name is no label.
    """
    column, by_name = label["column"], label["by"] == "name"
    values = sorted({value for value in columns[column] if value != ""})
    index_of = {value: index if by_name else value for index, value in enumerate(values)}
    counts = Counter(value for value in chosen[column] if value != "")
    return [
        {"index": index_of[value], "name": str(value), "folder": str(value), "count": counts[value]}
        for value in sorted(counts)
    ]


def destinations(root: Path, folder: Path, source: str, links: dict[str, str]) -> dict[str, str]:
    """Return where each link leads: relative inside the root, so that it can be moved.

    Args:
        root: The root.
        folder: The folder of the links.
        source: The folder of the raw images, relative to the root or absolute.
        links: See `list_links`.
    """
    path = root / source
    inside = root in path.parents
    start = os.path.relpath(path, folder) if inside else str(path.absolute())
    return {name: f"{start}/{below}" for name, below in links.items()}


def read_links(folder: Path) -> dict[str, str]:
    """Return where each link in a folder leads; none if there is no such folder."""
    if not folder.is_dir():
        return {}
    return {entry.name: os.readlink(entry.path) for entry in os.scandir(folder) if entry.is_symlink()}


def make_links(folder: Path, wanted: dict[str, str]) -> None:
    """Make a folder hold exactly these links.

    Args:
        folder: The folder.
        wanted: Where each leads.

    Raises:
        DataError: If it holds anything else, or a link leads nowhere.
    """
    for entry in list(os.scandir(folder)):
        if entry.name[0] == "." or entry.name.startswith(LINK_FILES):
            continue
        if not entry.is_symlink():
            raise DataError(
                f"{entry.path} is in the way: it is not a link of this project. Move it elsewhere; "
                "nothing of yours is deleted."
            )
    existing = read_links(folder)
    if existing == wanted:
        return
    # Delete the record first: from here on the folder is not what it says.
    (folder / "folder.link").unlink(missing_ok=True)
    for name, destination in existing.items():
        if wanted.get(name) != destination:
            os.unlink(folder / name)
    for name, destination in wanted.items():
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(destination)
        if not link.exists():
            raise DataError(f"{link} leads nowhere: {destination} does not exist. Rebuild the raw stage.")


def _is_same(wanted: Any, value: Any) -> bool:
    """Whether a value of a table is the one of the configuration; a number may be given as text, as YAML may need."""
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value or (isinstance(wanted, str) and wanted.lower() == _show(value))
    return bool(wanted == value) or str(wanted) == str(value)


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shorten(name: str, spare: int = 12) -> str:
    """Cut a name at its beginning, so that a number fits in front of it."""
    content = name.encode()
    return name if len(content) <= _LONGEST_NAME - spare else content[spare - _LONGEST_NAME :].decode(errors="ignore")
