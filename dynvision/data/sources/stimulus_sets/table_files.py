"""The files of a stimulus set's table: the columns of CSV and of Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dynvision.config.sections.stimulus_sets import column_name
from dynvision.data.images.stimulus_table import FILENAME
from dynvision.data.sources.stimulus_sets.columns import read_texts, read_values
from dynvision.errors import DataError
from dynvision.system.escaping import show_text

__all__ = ["FILENAMES", "PARQUET", "read_csv", "read_parquet"]

FILENAMES = (FILENAME, "image_file_name")
"""Names of the column of file names; the second is that of BrainIO."""
_SEPARATORS = ",;\t"
PARQUET = (".parquet", ".pq")


def read_csv(path: Path, content: bytes) -> dict[str, list[Any]]:
    """Read the columns of a CSV file, separated by commas, semicolons or tabs.

    Args:
        path: The file, for messages.
        content: Its bytes.

    Raises:
        DataError: If it is no such table, or two columns have one name.
    """
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
    return list(texts) if name in FILENAMES else read_texts(texts, decimal_comma=separator == ";")


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


def read_parquet(path: Path, content: bytes) -> dict[str, list[Any]]:
    """Read the columns of a Parquet file.

    Args:
        path: The file, for messages.
        content: Its bytes.

    Raises:
        DataError: If it is damaged, or two columns have one name.
    """
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
