"""Reading the table of a stimulus set, and matching its rows with the images."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.data.images.stimulus_table import FILENAME, FRAME, STIMULUS_ID
from dynvision.data.sources.stimulus_sets.listing import sort_naturally, strip_suffix
from dynvision.data.sources.stimulus_sets.table_files import FILENAMES, PARQUET, read_csv, read_parquet
from dynvision.errors import DataError, MissingError, nearest_name
from dynvision.system.escaping import show_text
from dynvision.system.failures import as_unreadable
from dynvision.system.files import read_file

__all__ = ["StimulusTable", "describe_without_table", "list_frames", "read_stimulus_table"]


@dataclass(frozen=True)
class StimulusTable:
    """The rows of a table.

    Attributes:
        path: The file.
        columns: Its columns by name.
        first: The number of the first row, as an editor of the file counts lines.
    """

    path: Path
    columns: dict[str, list[Any]]
    first: int

    def match(self, folder: Path, images: Sequence[str], in_order: bool = False) -> dict[str, list[Any]]:
        """Match the rows with the images of a folder.

        A table without file names may name its images by `stimulus_id`, which is then a file's name without its suffix.

        Args:
            folder: The folder, for messages.
            images: The paths of its images.
            in_order: Row k is image k, whatever else the table says.

        Returns:
            The columns: `filename`, as it is on the disk; `stimulus_id`; and all others.

        Raises:
            DataError: If a row has no image, an image has no row, or a name is there twice; names row and file.
        """
        names = self._number(folder, images) if in_order else self._filenames(images)
        on_disk = {unicodedata.normalize("NFC", name): name for name in images}
        similar = {name.casefold(): name for name in on_disk}
        matched: list[str] = []
        for number, name in enumerate(names):
            found = on_disk.get(unicodedata.normalize("NFC", name))
            if found is None:
                raise DataError(f"{self._row(number)}: {self._explain_missing(folder, name, similar)}")
            matched.append(found)
        self._refuse_twice(FILENAME, matched)
        if extra := sorted(set(images) - set(matched)):
            more = f" (and {len(extra) - 1} more)" if len(extra) > 1 else ""
            raise DataError(
                f"{self.path}: the image '{show_text(extra[0])}'{more} in {folder} has no row. Add a row for each "
                "image, or move the images elsewhere."
            )
        others = {name: values for name, values in self.columns.items() if name not in (*FILENAMES, STIMULUS_ID)}
        return {FILENAME: matched, STIMULUS_ID: self._identifiers(matched), **others}

    def _number(self, folder: Path, images: Sequence[str]) -> list[str]:
        count = max(map(len, self.columns.values()))
        if count != len(images):
            raise DataError(
                f"{self.path} has {count} rows, and {folder} {len(images)} images; a table about an array has a row "
                "for each image, in its order"
            )
        return sort_naturally(images)

    def _name_by_identifier(self, images: Sequence[str]) -> list[str]:
        """Return the image of each row by `stimulus_id`; where there is none, the identifier itself."""
        by_stem = {strip_suffix(image): image for image in reversed(images)}
        by_name = {image.rpartition("/")[2]: image for image in reversed(images)}
        texts = [str(value) for value in self.columns[STIMULUS_ID]]
        return [by_name.get(text) or by_stem.get(text) or text for text in texts]

    def _filenames(self, images: Sequence[str]) -> list[str]:
        column = next((name for name in FILENAMES if name in self.columns), None)
        if column is None and STIMULUS_ID in self.columns:
            return self._name_by_identifier(images)
        if column is None:
            raise DataError(
                f"{self.path}: no column is named 'filename', which names the image of each row. "
                f"{nearest_name(FILENAME, self.columns)}"
            )
        names = []
        for number, value in enumerate(self.columns[column]):
            name = str(value).replace("\\", "/")
            if not name:
                raise DataError(f"{self._row(number)}: the row has no '{column}'")
            if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
                wrong = "is an absolute path; write it relative to the folder of the images"
                raise DataError(f"{self._row(number)}: '{show_text(name)}' {wrong}")
            if ".." in name.split("/"):
                wrong = "leads out of the folder of the images with '..'"
                raise DataError(f"{self._row(number)}: '{show_text(name)}' {wrong}")
            names.append(posixpath.normpath(name))
        return _below_common_folder(names, images)

    def _identifiers(self, filenames: Sequence[str]) -> list[Any]:
        if STIMULUS_ID not in self.columns:
            return name_stimuli(filenames)
        given = self.columns[STIMULUS_ID]
        for number, value in enumerate(given):
            if value in ("", None) or value != value:
                raise DataError(f"{self._row(number)}: the row has no '{STIMULUS_ID}'")
        self._refuse_twice(STIMULUS_ID, given)
        return given

    def _refuse_twice(self, column: str, values: Sequence[Any]) -> None:
        seen: dict[Any, int] = {}
        for number, value in enumerate(values):
            first = seen.setdefault(value, number)
            if first != number:
                raise DataError(
                    f"{self._row(number)}: the {column} '{show_text(value)}' is in row {first + self.first}, too; an "
                    "image has one row"
                )

    def _explain_missing(self, folder: Path, name: str, similar: dict[str, str]) -> str:
        other = similar.get(unicodedata.normalize("NFC", name).casefold())
        if other is not None:
            return (
                f"the image is named '{show_text(other)}' in {folder}, and '{show_text(name)}' here; write capital "
                "letters alike"
            )
        return f"there is no image '{show_text(name)}' in {folder}. Add it, or remove the row."

    def _row(self, number: int) -> str:
        return f"{self.path}, row {number + self.first}"


def _below_common_folder(names: list[str], images: Sequence[str]) -> list[str]:
    """Return names with the folder in front that all images lie in, if none is an image without it.

    Archives often hold one folder with everything in it, which tables leave out.
    """
    tops = {image.partition("/")[0] if "/" in image else "" for image in images}
    if len(tops) != 1 or "" in tops or set(names) & set(images):
        return names
    (top,) = tops
    return [f"{top}/{name}" for name in names] if {f"{top}/{name}" for name in names} & set(images) else names


def describe_without_table(images: Sequence[str]) -> dict[str, list[Any]]:
    """Return the columns of images without a table: `filename` and `stimulus_id`."""
    return {FILENAME: list(images), STIMULUS_ID: name_stimuli(images)}


def name_stimuli(filenames: Sequence[str]) -> list[str]:
    """Name each image: by its file without the suffix if these are different, otherwise by its path."""
    stems = [strip_suffix(name) for name in filenames]
    return stems if len(set(stems)) == len(stems) else list(filenames)


def list_frames(columns: Mapping[str, Sequence[Any]], frames: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
    """Turn a table of stimuli into one of their frames.

    Args:
        columns: The table; `filename` is the folder of the frames.
        frames: The paths of the frames in each folder, in order.

    Returns:
        The same columns with a row for each frame, its own `filename`, and its place in the stimulus as `frame`.
    """
    rows = [(row, place) for row, name in enumerate(columns[FILENAME]) for place in range(len(frames[name]))]
    expanded = {name: [values[row] for row, _ in rows] for name, values in columns.items()}
    expanded[FILENAME] = [frames[columns[FILENAME][row]][place] for row, place in rows]
    places = [place for _, place in rows]
    return {FILENAME: expanded.pop(FILENAME), STIMULUS_ID: expanded.pop(STIMULUS_ID), FRAME: places, **expanded}


def read_stimulus_table(path: Path, where: str) -> StimulusTable:
    """Read a table: CSV (also with semicolons or tabs), or Parquet.

    Args:
        path: The file.
        where: The key of the configuration that names it.

    Raises:
        MissingError: If there is no such file.
        DataError: If it is no such table, or has no rows, or two columns of one name.
    """
    try:
        content = read_file(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        problem = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise MissingError(f"{path} {problem}. It is the table that {where} names.") from error
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror or error}"
        raise as_unreadable(error, text) or DataError(text) from error
    is_parquet = path.suffix.lower() in PARQUET
    columns = read_parquet(path, content) if is_parquet else read_csv(path, content)
    if not columns or not any(columns.values()):
        raise DataError(f"{path} has no rows; a table has a row for each image")
    return StimulusTable(path, columns, 1 if is_parquet else 2)
