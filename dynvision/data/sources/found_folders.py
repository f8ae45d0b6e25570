"""Datasets of class folders that this project finds and does not write: the user's own, or mounted from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynvision.config import Config
from dynvision.data.sources.base import Source
from dynvision.data.sources.class_folders import Export, scan_class_folders
from dynvision.paths import Paths

__all__ = ["FoundFolders"]

_FOLDER_NAMES = {"train": ("train",), "test": ("test", "val")}
"""The folders that may contain a split; the first that exists is used."""


class FoundFolders(Source):
    """Class folders below `data/raw/<dataset>`, `data/external/<dataset>`, or the folder that is mounted."""

    def __init__(self, dataset: str, config: Config, paths: Paths) -> None:
        super().__init__(dataset, config, paths)
        self._scans: dict[str, Export] = {}

    def settings(self, split: str) -> dict[str, Any]:
        """Return the channels, the folder and a digest of the files, which may change without this project.

        The bit depth is part of them if the configuration states it.
        """
        return {
            "channels": self.channels,
            "source": self.paths.relative(self.folder(split)),
            "files": self.scan(split).digest,
            **self.details,
        }

    @property
    def details(self) -> dict[str, Any]:
        """The bit depth, if the configuration states it."""
        return {} if self.bit_depth is None else {"bit_depth": self.bit_depth}

    def folder(self, split: str) -> Path:
        """Return the existing folder of a split, or the one where it should be."""
        bases = self._bases()
        folders = (base / name for base in bases for name in _FOLDER_NAMES[split])
        return next((folder for folder in folders if folder.is_dir()), bases[0] / split)

    def scan(self, split: str, *, afresh: bool = False) -> Export:
        """Look at the class folders of a split, once; later calls return the same result.

        Class folders that the cache knows to be unchanged are not looked at again.

        Args:
            split: `train` or `test`.
            afresh: Forget the cache and what an earlier call returned.

        Raises:
            DataError: If the folder has no class folders, or one has no images.
            MissingError: If the folder does not exist.
        """
        if afresh:
            self._scans.pop(split, None)
            self.cache(split).unlink(missing_ok=True)
        if split not in self._scans:
            self._scans[split] = scan_class_folders(self.folder(split), *self.class_order(split), self.cache(split))
        return self._scans[split]

    def scan_every_image(self, split: str) -> Export:
        """Look at every image of a split, whatever the cache says."""
        return scan_class_folders(self.folder(split), *self.class_order(split))

    def class_order(self, split: str) -> tuple[dict[int, tuple[str, str]] | None, list[Path]]:
        """Return what gives the classes their indices: the class index, and the folders of the other splits."""
        return self.class_index(), [self.folder(other) for other in _FOLDER_NAMES if other != split]

    def cache(self, split: str) -> Path:
        """Return the file that remembers the class folders of a split."""
        return self.paths.raw(self.dataset) / f".{split}.scan.json"

    def _bases(self) -> list[Path]:
        mount = self.config.data.mounts().get(self.dataset)
        if mount:
            # Like class_index_files: a relative path starts at the root, whatever the current folder is.
            return [self.paths.root / Path(mount).expanduser()]
        return [self.paths.raw(self.dataset), self.paths.external(self.dataset)]
