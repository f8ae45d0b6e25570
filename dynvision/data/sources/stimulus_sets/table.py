"""Reading the table of a stimulus set, and matching its rows with the images."""

from __future__ import annotations

import csv
import io
import posixpath
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.config.sections.stimulus_sets import column_name
from dynvision.data.images.stimulus_table import FILENAME, FRAME, STIMULUS_ID
from dynvision.data.sources.stimulus_sets.columns import read_texts, read_values
from dynvision.data.sources.stimulus_sets.listing import sort_naturally, strip_suffix
from dynvision.errors import DataError, MissingError, nearest_name
from dynvision.system.escaping import show_text
from dynvision.system.failures import as_unreadable
from dynvision.system.files import read_file

__all__ = ["StimulusTable", "describe_without_table", "list_frames", "read_stimulus_table"]

_FILENAMES = (FILENAME, "image_file_name")
"""Names of the column of file names; the second is that of BrainIO."""
_SEPARATORS = ",;\t"
_PARQUET = (".parquet", ".pq")


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
        others = {name: values for name, values in self.columns.items() if name not in (*_FILENAMES, STIMULUS_ID)}
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
        column = next((name for name in _FILENAMES if name in self.columns), None)
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
    is_parquet = path.suffix.lower() in _PARQUET
    columns = _read_parquet(path, content) if is_parquet else _read_csv(path, content)
    if not columns or not any(columns.values()):
        raise DataError(f"{path} has no rows; a table has a row for each image")
    return StimulusTable(path, columns, 1 if is_parquet else 2)


def _read_csv(path: Path, content: bytes) -> dict[str, list[Any]]:
    text = _decode(path, content)
    header, _, _ = text.lstrip("\n").partition("\n")
    separator = max(_SEPARATORS, key=header.count)
    try:
        rows = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True)
        ]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV: {error}") from error
    numbered = [(number, row) for number, row in enumerate(rows, 1) if any(row)]
    if not numbered:
        return {}
    (_, header_names), *body = numbered
    names = [column_name(name) for name in header_names]
    for number, row in body:
        if (len(row) > len(names) and any(row[len(names) :])) or len(row) < len(names):
            raise DataError(
                f"{path}, row {number}: {len(row)} values, where the first row has {len(names)} names of columns"
            )
    values = {place: [row[place] for _, row in body] for place in range(len(names))}
    kept = {place: name for place, name in enumerate(names) if name or not _counts_rows(values[place])}
    _check_names(path, kept.values())
    return {name: _read_column(name, values[place], separator) for place, name in kept.items()}


def _read_column(name: str, texts: Sequence[str], separator: str) -> list[Any]:
    return list(texts) if name in _FILENAMES else read_texts(texts, decimal_comma=separator == ";")


def _counts_rows(texts: Sequence[str]) -> bool:
    """Whether a column without a name is the number of the row, as pandas writes it, or is empty."""
    return not any(texts) or list(texts) == [str(number) for number in range(len(texts))]


def _decode(path: Path, content: bytes) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text in UTF-8 (byte {error.start:,}). Save it again as 'CSV UTF-8', or as Parquet."
        ) from error
    if "\0" in text:
        raise DataError(f"{path} is no text: it holds a zero byte. Save it again as 'CSV UTF-8', or as Parquet.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_parquet(path: Path, content: bytes) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        reason = show_text(str(error).partition("\n")[0], 200)
        raise DataError(f"{path} is no Parquet file, or is damaged ({reason})") from error
    names = [name for name in table.column_names if name != "__index_level_0__"]
    _check_names(path, names)
    columns = {}
    for name in names:
        try:
            columns[column_name(name)] = read_values(table[name].to_pylist())
        except ValueError as error:
            raise DataError(f"{path}: the column '{show_text(name)}': {error}. Leave it out.") from error
    return columns


def _check_names(path: Path, names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in map(column_name, names):
        if not name:
            raise DataError(f"{path}: a column has no name; give it one, or leave it out")
        other = seen.get(name.casefold())
        if other is not None:
            alike = (
                "" if other == name else f" and '{show_text(other)}', which are one file where capitals do not count"
            )
            raise DataError(f"{path}: two columns are named '{show_text(name)}'{alike}; rename one")
        if not name.isprintable() or "/" in name or name.startswith(("__", ".")) or name == "zarr.json":
            raise DataError(
                f"{path}: the column '{show_text(name)}' becomes a variable of results, which begins with a letter and "
                "has no '/'; rename it"
            )
        seen[name.casefold()] = name
