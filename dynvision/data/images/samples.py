"""Samples: the images of a group, each with its file and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynvision.data.images.files import list_images
from dynvision.data.images.image_table import Rows, read_table
from dynvision.data.images.stimulus_table import FILENAME, Columns, read_stimuli
from dynvision.errors import DataError
from dynvision.records import Record

__all__ = ["NO_CLASS", "Sample", "list_samples", "read_labels", "tabulate_samples"]

NO_CLASS = -1
"""The label of an image whose class is not known, as of stimulus sets."""


@dataclass(frozen=True)
class Sample:
    """One image of a group.

    Attributes:
        source: The image's path, relative to the root or absolute.
        label: Class index in the dataset's own order; `NO_CLASS` if it is not known.
        group_label: Class index within the group, or the same.
        xxh3: The 64-bit XXH3 of the image's file; `None` if what is read of it is not compared.
        stimulus: Its row in the table of a stimulus set; empty for other datasets.
    """

    source: str
    label: int
    group_label: int
    xxh3: int | None = None
    stimulus: Mapping[str, Any] = field(default_factory=dict, hash=False)


def list_samples(folder: Path, record: Record, root: Path) -> list[Sample]:
    """List the images of a group, class after class in the group's order; those of a stimulus set in its own.

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
    stimuli = read_stimuli(record, folder)
    if stimuli is not None:
        return _list_stimuli(stimuli, rows, record, root)
    samples = []
    for position, entry in enumerate(record.details["classes"]):
        class_folder, label = source / entry["folder"], entry.get("group_index", position)
        images = rows.get(entry["folder"], [])
        _compare_names(root / class_folder, [image.name for image in images], dataset)
        samples += [
            Sample(f"{class_folder.as_posix()}/{image.name}", entry["index"], label, image.xxh3) for image in images
        ]
    return samples


def tabulate_samples(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Return the table of samples: `source`, `label`, `group_label`, and the columns of a stimulus set."""
    columns = list(samples[0].stimulus) if samples else []
    return {
        "source": [s.source for s in samples],
        "label": [s.label for s in samples],
        "group_label": [s.group_label for s in samples],
        **{name: [s.stimulus[name] for s in samples] for name in columns},
    }


def read_labels(details: Mapping[str, Any]) -> tuple[str | None, dict[Any, int]]:
    """Return the column that says the labels of a stimulus set, and the label of each of its values.

    Args:
        details: Those of an interim or processed record.

    Returns:
        The column; `None` if there is none. The index that each name stands for, or each index itself.
    """
    label = details.get("label")
    if label is None:
        return None, {}
    by_name = label["by"] == "name"
    return label["column"], {entry["name" if by_name else "index"]: entry["index"] for entry in details["labels"]}


def _list_stimuli(stimuli: Columns, rows: Rows, record: Record, root: Path) -> list[Sample]:
    start = Path(record.details["source"]).as_posix()
    column, indices = read_labels(record.details)
    digests = {
        f"{folder}/{row.name}" if folder else row.name: row.xxh3 for folder, group in rows.items() for row in group
    }
    samples = []
    for position, name in enumerate(stimuli[FILENAME]):
        row = {key: values[position] for key, values in stimuli.items()}
        label = NO_CLASS if column is None else indices.get(row[column], NO_CLASS)
        samples.append(Sample(f"{start}/{name}", label, label, digests[name], row))
    lost = next((s.source for s in samples if not (root / s.source).is_file()), None)
    if lost is not None:
        dataset = record.target.partition("/")[2].partition(":")[0]
        raise DataError(
            f"{root / lost} is missing. Put it back, or look at the images again: dynvision make raw/{dataset}"
        )
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
