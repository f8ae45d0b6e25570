"""Tables of stimuli: what is known about each image of a stimulus set, in the order of the set.

A column holds whole numbers, numbers, Booleans or texts. A missing number is NaN, a missing text is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynvision.errors import DataError
from dynvision.records import Record
from dynvision.system.file_digests import FileDigest, digest_bytes
from dynvision.system.files import write_bytes

__all__ = ["FILENAME", "FRAME", "STIMULUS_ID", "Columns", "read_stimuli", "stimuli_name", "take_rows", "write_stimuli"]

FILENAME = "filename"
"""The column of an image's path below the folder of the set."""

STIMULUS_ID = "stimulus_id"
"""The column of what an image is called, which no two share."""

FRAME = "frame"
"""The column of an image's place in a stimulus of several frames, from 0."""

Columns = Mapping[str, Sequence[Any]]
"""The columns of a table by name, all of one length; `FILENAME` and `STIMULUS_ID` are among them."""

_SUFFIX = ".stimuli.parquet"


def stimuli_name(record: Path) -> str:
    """Return the name of the table next to a record: `all.manifest.stimuli.parquet` next to `all.manifest.json`."""
    return f"{record.stem}{_SUFFIX}"


def take_rows(columns: Columns, positions: Sequence[int]) -> dict[str, list[Any]]:
    """Return some rows of a table, in the order of their positions."""
    return {name: [values[position] for position in positions] for name, values in columns.items()}


def write_stimuli(record: Path, columns: Columns) -> dict[str, FileDigest]:
    """Write the table next to a record, whole or not at all.

    If it is another one than before, the record is deleted first, so that it never lies next to another table.

    Args:
        record: The file of the record that will name the table.
        columns: The columns.

    Returns:
        The size and digest of the table, by its name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), buffer)
    content = buffer.getvalue().to_pybytes()
    path = record.with_name(stimuli_name(record))
    if not path.is_file() or path.read_bytes() != content:
        record.unlink(missing_ok=True)
        write_bytes(path, content)
    return {path.name: FileDigest(len(content), digest_bytes(content))}


def read_stimuli(record: Record, folder: Path) -> dict[str, list[Any]] | None:
    """Read the table that a record names.

    Args:
        record: The record of raw or interim images.
        folder: The folder of the table.

    Returns:
        The columns; `None` if the images are those of a dataset with classes, so that there is no table.

    Raises:
        DamagedFileError: If the table is not as written.
        DataError: If it is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = next((name for name in record.files if name.endswith(_SUFFIX)), None)
    if name is None:
        return None
    content = record.check_files(folder).read(name)
    try:
        columns: dict[str, list[Any]] = pq.ParquetFile(pa.BufferReader(content)).read().to_pydict()
    except pa.ArrowException as error:
        raise DataError(f"{folder / name} is no table of stimuli ({error})") from error
    return columns
