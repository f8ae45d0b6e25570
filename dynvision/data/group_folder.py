"""An interim folder as a torchvision dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.datasets import VisionDataset

from dynvision.data.images.reading import decode_image, name_unreadable, read_bytes
from dynvision.data.images.samples import list_samples
from dynvision.data.sources.folders.class_index import name_apart
from dynvision.errors import MissingError
from dynvision.paths import Paths
from dynvision.records import Record, read_record

__all__ = ["GroupFolder"]


class GroupFolder(VisionDataset):
    """The images of a class group; an item is (image, label).

    An image has the pixels that a `.beton` file and a network get, at its own size: see `decode_image`. Labels are
    class indices in the dataset's own order. Those of a stimulus set are what the `label` column of its table says (an
    index, or the place of a name among all names), and without one `NO_CLASS` (-1).

    Args:
        folder: `data/interim/<dataset>/<split>_<group>`, or `…/<group>` of a stimulus set.
        paths: The paths of the root.
        transform: Applied to each image (PIL, RGB or grey).
        target_transform: Applied to each label.
        record: The record of the folder; by default its `folder.link`.
        table_folder: The folder with the table of images that the record names; by default `folder`.

    Attributes:
        samples: Path and label of each image.
        targets: The labels in the dataset's own order.
        group_targets: The labels within the group.
        classes: The names of the group's classes. Two of the same name are told apart: `crane (n02012849)`.
        class_to_idx: The index of each name in the dataset's own order, the same in every split.
        stimuli: The table of a stimulus set, a list for each column; empty for other datasets.
        channels: 3, or 1 for a dataset of one channel.
        bit_depth: The bits of images that have more than 8; `None` if the configuration does not say.

    Raises:
        MissingError: If the folder has not been made; the message names the command.
        DataError: If an image cannot be read, or it is not certain what its numbers mean; names the file.
    """

    def __init__(
        self,
        folder: Path,
        paths: Paths,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        record: Record | None = None,
        table_folder: Path | None = None,
    ) -> None:
        super().__init__(str(folder), transform=transform, target_transform=target_transform)
        if record is None:
            target = f"interim/{folder.parent.name}:{folder.name}"
            record = read_record(folder / "folder.link", target)
            if record is None:
                raise MissingError(f"{folder} has no folder.link. Make it: dynvision make {paths.relative(folder)}")
        listed = list_samples(table_folder or folder, record, paths.root)
        self._digests = [s.xxh3 for s in listed]
        self.samples = [(str(paths.root / s.source), s.label) for s in listed]
        self.targets = [s.label for s in listed]
        self.group_targets = [s.group_label for s in listed]
        columns = list(listed[0].stimulus) if listed else []
        self.stimuli: dict[str, list[Any]] = {name: [s.stimulus[name] for s in listed] for name in columns}
        # Records written before, and dataset classes, may give two classes one name.
        names = name_apart({entry["folder"]: entry["name"] for entry in record.details["classes"]})
        self.classes = [names[entry["folder"]] for entry in record.details["classes"]]
        self.class_to_idx = {names[entry["folder"]]: entry["index"] for entry in record.details["classes"]}
        self.channels = int(record.details["channels"])
        self.bit_depth: int | None = record.details.get("bit_depth")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[index]
        with name_unreadable(path):
            pixels = decode_image(read_bytes(path, self._digests[index]), self.channels, self.bit_depth)
        image: Any = Image.fromarray(pixels[:, :, 0] if self.channels == 1 else pixels)
        if self.transform is not None:
            image = self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)
