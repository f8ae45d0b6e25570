"""Tables of images: the name, size and digest of each, so that what is read later is what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from dynvision.errors import DataError
from dynvision.system.file_digests import FileDigest, digest_bytes
from dynvision.system.files import write_bytes

__all__ = [
    "ImageRow",
    "Rows",
    "digest_image",
    "digest_rows",
    "read_table",
    "table_name",
    "write_table",
]


class ImageRow(NamedTuple):
    """An image file.

    Attributes:
        name: Its name in the class folder.
        n_bytes: Its size.
        xxh3: The 64-bit XXH3 of its bytes.
    """

    name: str
    n_bytes: int
    xxh3: int


Rows = Mapping[str, Sequence[ImageRow]]
"""The images of each class folder, in order."""


def table_name(record: Path) -> str:
    """Return the name of the table next to a record: `manifest.images.parquet` next to `manifest.json`."""
    return f"{record.stem}.images.parquet"


def digest_image(content: Any) -> int:
    """Return the 64-bit XXH3 of an image's bytes."""
    return xxhash.xxh3_64_intdigest(content)


def digest_rows(rows: Sequence[ImageRow]) -> str:
    """Digest the names and contents of a class folder's images."""
    return digest_bytes(";".join(f"{row.name},{row.n_bytes},{row.xxh3:016x}" for row in rows).encode())


def write_table(record: Path, rows: Rows) -> dict[str, FileDigest]:
    """Write the table next to a record, whole or not at all.

    If the images are others than before, the record is deleted first, so that it never lies next to another table.

    Args:
        record: The file of the record that will name the table.
        rows: The images.

    Returns:
        The size and digest of the table, by its name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [row for group in rows.values() for row in group]
    folders = [folder for folder, group in rows.items() for _ in group]
    table = {
        "folder": pa.array(folders, pa.string()).dictionary_encode(),
        "name": pa.array([row.name for row in images], pa.string()),
        "bytes": pa.array([row.n_bytes for row in images], pa.int64()),
        "xxh3": pa.array([row.xxh3 for row in images], pa.uint64()),
    }
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(table), buffer)
    content = buffer.getvalue().to_pybytes()
    path = record.with_name(table_name(record))
    if not path.is_file() or path.read_bytes() != content:
        record.unlink(missing_ok=True)
        write_bytes(path, content)
    return {path.name: FileDigest(len(content), digest_bytes(content))}


def read_table(content: bytes, where: object) -> dict[str, list[ImageRow]]:
    """Read the images of each class folder from the bytes of a table, which were compared with its record.

    Raises:
        DataError: If they are no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        folders = table["folder"].to_pylist()
        sizes, digests = (table[name].to_numpy().tolist() for name in ("bytes", "xxh3"))
        names = np.asarray(table["name"].to_numpy(), dtype=object).tolist()
    except (pa.ArrowException, KeyError) as error:
        raise DataError(f"{where} is no table of images ({error})") from error
    rows: dict[str, list[ImageRow]] = {}
    for folder, name, n_bytes, xxh3 in zip(folders, names, sizes, digests, strict=True):
        rows.setdefault(folder, []).append(ImageRow(name, n_bytes, xxh3))
    return rows
