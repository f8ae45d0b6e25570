"""The layout of a `.beton` file, version 2 of FFCV's format, without FFCV.

    header | field descriptors | a row of metadata for each sample | pages of image data | allocation table

Importing FFCV takes seconds, longer than writing 50,000 small images; a file can be laid out and read back without.
A test makes sure that the layout is FFCV's own: the files of `BetonWriter` equal those of FFCV's writer, byte for byte.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynvision.errors import DamagedFileError

__all__ = ["ALLOCATION", "FIELD", "HEADER", "JPEG", "RAW", "VERSION", "Layout", "describe_fields", "metadata_row"]

VERSION = 2
JPEG, RAW = 0, 1
"""How the pixels of an image with three channels are stored."""

HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("alloc_table_ptr", "<u8"),
    ],
    align=True,
)
FIELD = np.dtype([("type_id", "u1"), ("name", ("u1", 16)), ("arguments", ("u1", (1024,)))], align=True)
ALLOCATION = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])

_INTEGER, _IMAGE, _ARRAY = 1, 2, 4
_PICTURE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")])
_ARRAY_ARGUMENTS = np.dtype([("shape", "<u8", 32), ("type_length", "<u8")])


def metadata_row(channels: int) -> np.dtype[Any]:
    """Return the type of a sample's row: where its image is, its label, its position in the file."""
    image: Any = _PICTURE if channels == 3 else np.dtype("<u8")
    return np.dtype([("f0", image), ("f1", "<i8"), ("f2", "<i8")], align=True)


def describe_fields(channels: int, resolution: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the descriptors of `image`, `label` and `index`; images of one channel are arrays."""
    fields = np.zeros(3, FIELD)
    for field, (name, type_id) in zip(
        fields,
        (("image", _IMAGE if channels == 3 else _ARRAY), ("label", _INTEGER), ("index", _INTEGER)),
        strict=True,
    ):
        field["type_id"] = type_id
        field["name"][: len(name)] = np.frombuffer(name.encode(), np.uint8)
    if channels == 1:
        kept_as = json.dumps(np.dtype(np.uint8).descr).encode()
        arguments = np.zeros(1, _ARRAY_ARGUMENTS)
        arguments["shape"][0][:3] = (1, resolution, resolution)
        arguments["type_length"] = len(kept_as)
        content = arguments.tobytes() + kept_as
        fields[0]["arguments"][: len(content)] = np.frombuffer(content, np.uint8)
    return fields


@dataclass(frozen=True)
class Layout:
    """What the head and the end of a finished file say.

    Attributes:
        rows: The metadata, see `metadata_row`.
        allocations: The sample, start and size of each image, see `ALLOCATION`.
    """

    rows: np.ndarray[Any, np.dtype[Any]]
    allocations: np.ndarray[Any, np.dtype[Any]]

    @classmethod
    def read(cls, path: Path, channels: int, resolution: int) -> Layout:
        """Read the layout of a file back.

        Raises:
            DamagedFileError: If it is not the layout of images of this shape.
        """
        with path.open("rb") as file:
            header = np.frombuffer(file.read(HEADER.itemsize), HEADER)
            fields = describe_fields(channels, resolution)
            descriptors = file.read(fields.nbytes)
            if len(header) != 1 or header["version"][0] != VERSION or descriptors != fields.tobytes():
                raise DamagedFileError(f"{path} does not begin as a .beton of such images does")
            row = metadata_row(channels)
            rows = np.frombuffer(file.read(int(header["num_samples"][0]) * row.itemsize), row)
            file.seek(int(header["alloc_table_ptr"][0]))
            allocations = np.frombuffer(file.read(), ALLOCATION)
        return cls(rows, allocations)

    @property
    def pointers(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Where each image begins."""
        image = self.rows["f0"]
        return np.asarray(image["data_ptr"] if image.dtype.names else image)
