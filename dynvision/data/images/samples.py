"""Samples: the images of a group, each with its file and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dynvision.data.images.files import list_images
from dynvision.data.images.image_table import read_table
from dynvision.errors import DataError
from dynvision.records import Record

__all__ = ["Sample", "list_samples"]


@dataclass(frozen=True)
class Sample:
    """One image of a group.

    Attributes:
        source: The image's path, relative to the root or absolute.
        label: Class index in the dataset's own order.
        group_label: Class index within the group.
        xxh3: The 64-bit XXH3 of the image's file; `None` if what is read of it is not compared.
    """

    source: str
    label: int
    group_label: int
    xxh3: int | None = None


def list_samples(folder: Path, record: Record, root: Path) -> list[Sample]:
    """List the images of a group, class after class in the group's order.

    Args:
        folder: The folder with the table of images that the record names.
        record: The record of a raw split or an interim folder.
        root: The folder that paths in records start from.

    Raises:
        DamagedFileError: If the table is not as written.
        DataError: If a class folder does not hold the images that are in the table.
    """
    source = Path(record.details["source"])
    dataset = record.target.partition("/")[2].partition(":")[0]
    table = next((name for name in record.files if name.endswith(".images.parquet")), "folder.images.parquet")
    rows = read_table(record.check_files(folder).read(table), folder / table)
    samples = []
    for position, entry in enumerate(record.details["classes"]):
        class_folder, label = source / entry["folder"], entry.get("group_index", position)
        images = rows.get(entry["folder"], [])
        _compare_names(root / class_folder, [image.name for image in images], dataset)
        samples += [
            Sample(f"{class_folder.as_posix()}/{image.name}", entry["index"], label, image.xxh3) for image in images
        ]
    return samples


def _compare_names(folder: Path, recorded: list[str], dataset: str) -> None:
    """Raise an error if a class folder does not hold the images that were recorded."""
    names = list_images(folder) if folder.is_dir() else []
    if names == recorded:
        return
    removed, added = (sorted(set(first) - set(second)) for first, second in ((recorded, names), (names, recorded)))
    example = ", ".join([*(f"{name} is missing" for name in removed[:1]), *(f"{name} was added" for name in added[:1])])
    raise DataError(
        f"{folder} holds {len(names)} images where {len(recorded)} were recorded ({example}). "
        f"Make the raw stage again: dynvision make --force raw/{dataset}"
    )
