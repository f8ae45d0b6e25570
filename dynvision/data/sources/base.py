"""What a source answers for its dataset; each kind of dataset is one module of this folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from dynvision.config import Config
from dynvision.config.datasets import KNOWN_DATASETS
from dynvision.data.images.image_table import Rows
from dynvision.data.sources.folders.class_folders import Export
from dynvision.data.sources.folders.class_index import read_class_index
from dynvision.paths import Paths

__all__ = ["ExportedSource", "FoundSource", "Images", "Source"]


class Images(Protocol):
    """The images of one split, in the source's own order."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes, by index."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """Yield the class index and the pixels of each image, `[H, W, 3]` or `[H, W]`, uint8."""


class Source(ABC):
    """Where the images of one dataset come from.

    Args:
        dataset: The name of the dataset.
        config: The configuration.
        paths: The paths of the root.
    """

    def __init__(self, dataset: str, config: Config, paths: Paths) -> None:
        self.dataset = dataset
        self.config = config
        self.paths = paths

    @property
    def class_count(self) -> int | None:
        """How many classes the dataset has; `None` if only its images say so."""
        return self.config.class_count(self.dataset)

    @property
    def channels(self) -> int:
        """The channels of the images: 1 if the dataset has statistics of one channel, otherwise 3."""
        statistics = self.config.data.data_statistics.get(self.dataset)
        return 1 if statistics is not None and len(statistics.mean) == 1 else 3

    @property
    def bit_depth(self) -> int | None:
        """The bits of images that have more than 8; `None` if the configuration does not say."""
        return self.config.data.bit_depth.get(self.dataset)

    @property
    def inputs(self) -> str:
        """What a dataset's class reads and this project watches, for people; empty for other sources."""
        return ""

    @property
    def details(self) -> dict[str, Any]:
        """Further facts for the record of the images, which do not enter its version."""
        return {}

    def explain_change(self, split: str, changed: Sequence[str]) -> str | None:
        """Say why the images of a split are stale.

        Args:
            split: The split.
            changed: Which of its settings are others now.

        Returns:
            A sentence; `None` if the names of the settings say enough.
        """
        return None

    @abstractmethod
    def settings(self, split: str) -> dict[str, Any]:
        """Return what the images of a split depend on, as JSON-ready values; another value makes them stale."""

    @abstractmethod
    def folder(self, split: str) -> Path:
        """Return the folder that contains the class folders of a split."""

    def class_index(self) -> dict[int, tuple[str, str]] | None:
        """Read the folder and the name of each class from the dataset's index file; `None` if it has none.

        Raises:
            ConfigError: If the file cannot be read, or an entry in it is not usable.
        """
        given = self.config.data.class_index_files.get(self.dataset)
        if given is None:
            return None
        where = f"{self.config.folder / 'config_data.yaml'}: class_index_files.{self.dataset}"
        snapshot = self.config.snapshot
        text = snapshot.class_indexes.get(self.dataset) if snapshot is not None else None
        return read_class_index(self.paths.root / Path(given).expanduser(), where, text)


class FoundSource(Source):
    """A source whose images this project finds, and does not write."""

    def cache(self, split: str) -> Path:
        """Return the file that remembers the folders of a split."""
        return self.paths.raw(self.dataset) / f".{split}.scan.json"

    @property
    def details(self) -> dict[str, Any]:
        """The bit depth, if the configuration states it."""
        return {} if self.bit_depth is None else {"bit_depth": self.bit_depth}

    @abstractmethod
    def scan(self, split: str) -> Export:
        """Look at the images of a split, without opening one; later calls return the same result.

        Raises:
            DataError: If the folder has no images, or its layout is not understood.
            MissingError: If the folder does not exist.
        """

    @abstractmethod
    def read(self, split: str, known: Rows) -> Export:
        """Read every image of a split that may have changed since it was read.

        Args:
            split: The split.
            known: The images of an earlier table.
        """

    @abstractmethod
    def scan_every_image(self, split: str) -> Export:
        """Look at every image of a split, however many there are."""

    @abstractmethod
    def notes(self, split: str) -> list[str]:
        """Say what a person should know about the images of a split, in sentences."""

    @abstractmethod
    def group_order(self, split: str) -> list[int]:
        """Return the indices of all classes in the order of their labels within the group `all`, in every split."""


class ExportedSource(Source):
    """A source whose images this project writes to `data/raw/<dataset>/<split>`.

    Attributes:
        datasets: The datasets that it gives, by name; none if something else chooses it.
    """

    datasets: ClassVar[tuple[str, ...]] = ()

    @property
    def channels(self) -> int:
        """The channels of a known dataset; otherwise as many as the statistics say."""
        known = KNOWN_DATASETS.get(self.dataset)
        return super().channels if known is None else known.channels

    def folder(self, split: str) -> Path:
        """Return `data/raw/<dataset>/<split>`."""
        return self.paths.raw(self.dataset, split)

    @abstractmethod
    def open(self, split: str) -> Images:
        """Open the images of a split. The caller holds the lock of its output."""
