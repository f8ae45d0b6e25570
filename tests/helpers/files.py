"""Damaging files, sealing them again, and finding what a stopped build left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash

from dynvision.records import CHECKSUM, Record
from dynvision.system.file_digests import digest_files, list_files
from dynvision.system.files import write_json

NOBODY = 65534


def flip_byte(path: Path, position: int) -> None:
    """Change one byte of a file; a negative position counts from the end."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(bytes(content))


def reseal(folder: Path, name: str = "record.json", **changes: Any) -> Record:
    """Write a record that fits the files in a folder, as if these were the ones that had been built.

    Args:
        folder: The folder of an output with a record, which may be damaged but is JSON.
        name: The file of the record. A `record.json` names every file, another one those that it named before.
        changes: Other values for fields of the record.
    """
    path = folder / name
    content = {key: value for key, value in json.loads(path.read_bytes()).items() if key != CHECKSUM}
    names = list_files(folder, [name]) if name == "record.json" else content["files"]
    files = digest_files(folder, names)
    record = Record(**{**content, "files": files, **changes})
    write_json(path, record.to_dict())
    return record


def reseal_images(folder: Path) -> None:
    """Record the images in the folder of an exported split as they are, as if they had been written like that."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "manifest.images.parquet"
    table = pq.read_table(path)
    contents = [
        (folder / row["folder"] / row["name"]).read_bytes() for row in table.select(["folder", "name"]).to_pylist()
    ]
    for name, values in {
        "bytes": pa.array([len(content) for content in contents], pa.int64()),
        "xxh3": pa.array([xxhash.xxh3_64_intdigest(content) for content in contents], pa.uint64()),
    }.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, path)
    reseal(folder, "manifest.json")


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, without hidden files: these remember, and say nothing."""
    return {name: (folder / name).read_bytes() for name in list_files(folder)}


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Have no more rights than anybody: permissions mean nothing to root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def find_leftovers(folder: Path) -> list[str]:
    """Temporary files and folders below a folder."""
    return sorted(p.name for p in folder.rglob("*") if "partial" in p.name or p.name.startswith(".unpacked"))


def md5(path: Path) -> str:
    """The MD5 of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()
