"""Datasets of class folders that this project finds and does not write: the user's own, or mounted from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.config import Config
from dynvision.data.images.image_table import Rows
from dynvision.data.sources.base import FoundSource
from dynvision.data.sources.folders.class_folders import Export, scan_class_folders
from dynvision.data.sources.folders.class_order import order_classes
from dynvision.data.sources.folders.split_folders import SPLIT_NAMES, SplitFolders
from dynvision.errors import ConfigError, DataError
from dynvision.paths import Paths

__all__ = ["FoundFolders"]


class FoundFolders(FoundSource):
    """Class folders below `data/raw/<dataset>`, `data/external/<dataset>`, or the folder that is mounted."""

    def __init__(self, dataset: str, config: Config, paths: Paths) -> None:
        super().__init__(dataset, config, paths)
        self._scans: dict[str, Export] = {}
        self._splits: SplitFolders | None = None

    def settings(self, split: str) -> dict[str, Any]:
        """Return the channels, the folder and a digest of the images, which may change without this project.

        The digest is empty while some have other sizes or times than when they were read. The bit depth is part
        of the settings if the configuration states it.
        """
        return {
            "channels": self.channels,
            "source": self.paths.relative(self.folder(split)),
            "files": self.scan(split).digest,
            **self.details,
        }

    def explain_change(self, split: str, changed: Sequence[str]) -> str | None:
        """Say that images changed."""
        if list(changed) != ["files"]:
            return None
        return f"images or classes in {self.folder(split)} changed, or their sizes or times did"

    def folder(self, split: str) -> Path:
        """Return the folder of a split, or the one where it should be; see `SplitFolders`."""
        return self._split_folders().folder(split)

    def scan(self, split: str) -> Export:
        """Look at the class folders of a split, without opening an image; later calls return the same result.

        Raises:
            DataError: If the folder has no class folders, one has no images, or the layout is not understood.
            MissingError: If the folder does not exist.
        """
        if split not in self._scans:
            self._scans[split] = self._scan(split)
        return self._scans[split]

    def read(self, split: str, known: Rows) -> Export:
        """Read every image of a split that may have changed since it was read.

        Args:
            split: `train` or `test`.
            known: The images of an earlier table.
        """
        self._splits = None  # Look at the folders again, too.
        self._scans[split] = self._scan(split, every_image=True, known=known)
        return self._scans[split]

    def scan_every_image(self, split: str) -> Export:
        """Look at every image of a split, however many there are."""
        return self._scan(split, every_image=True)

    def notes(self, split: str) -> list[str]:
        """Say what a person should know about the folders and the classes of a split, in sentences."""
        order = order_classes(self.folder(split), *self.class_order(split))
        return [*self._split_folders().notes(split), *order.notes()]

    def group_order(self, split: str) -> list[int]:
        """Return the indices of all classes in the order of their labels within the group `all`, in every split."""
        return order_classes(self.folder(split), *self.class_order(split)).group_order(self.folder("train"))

    def class_order(self, split: str) -> tuple[dict[int, tuple[str, str]] | None, list[Path]]:
        """Return what gives the classes their indices: the class index, and the folders of the other splits."""
        return self.class_index(), [self.folder(other) for other in SPLIT_NAMES if other != split]

    def _scan(self, split: str, *, every_image: bool = False, known: Rows | None = None) -> Export:
        self._split_folders().check(split)
        order, cache = self.class_order(split), self.cache(split)
        export = scan_class_folders(self.folder(split), *order, cache, every_image=every_image, known=known)
        largest, count = export.classes[-1], self.class_count
        if count is not None and largest.index >= count:
            raise DataError(
                f"{self.folder(split)}: the class '{largest.folder}' has the index {largest.index}, but "
                f"'{self.dataset}' has {count} classes, 0 to {count - 1}"
            )
        return export

    def _split_folders(self) -> SplitFolders:
        if self._splits is None:
            self._splits = SplitFolders(self._bases(), self._known_folders())
        return self._splits

    def _known_folders(self) -> list[str]:
        """List the folders of the class index file. A file that cannot be read is reported when it is needed."""
        try:
            return [folder for folder, _ in (self.class_index() or {}).values()]
        except ConfigError:
            return []

    def _bases(self) -> list[Path]:
        mount = self.config.data.mounts().get(self.dataset)
        if mount:
            # Like class_index_files: a relative path starts at the root, whatever the current folder is.
            return [self.paths.root / Path(mount).expanduser()]
        return [self.paths.raw(self.dataset), self.paths.external(self.dataset)]
