"""Samples: the images of a group, each with its file and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dynvision.data.images.files import list_images
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
    """

    source: str
    label: int
    group_label: int


def list_samples(folder: Path, record: Record) -> list[Sample]:
    """List the images of a group, class after class in the group's order.

    Args:
        folder: `data/interim/<dataset>/<split>_<group>`.
        record: Its `folder.link`.

    Raises:
        DataError: If a class folder has another number of images than when it was linked.
    """
    source = Path(record.details["source"])
    dataset = record.target.partition("/")[2].partition(":")[0]
    samples = []
    for group_label, entry in enumerate(record.details["classes"]):
        names = list_images(folder / entry["folder"])
        if len(names) != entry["count"]:
            raise DataError(
                f"{folder / entry['folder']} holds {len(names)} images where {entry['count']} were counted. "
                f"Make the raw stage again: dynvision make --force raw/{dataset}"
            )
        class_folder = (source / entry["folder"]).as_posix()
        samples += [Sample(f"{class_folder}/{name}", entry["index"], group_label) for name in names]
    return samples
