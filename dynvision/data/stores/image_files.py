"""No files of its own: images are read from the interim folder, and split when they are opened."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config import Config
from dynvision.data.images.samples import Sample, list_samples, tabulate_samples
from dynvision.data.images.splits import stratified_split
from dynvision.data.stores.base import ImageStore, Opening, StoredImages
from dynvision.errors import DataError
from dynvision.paths import Paths
from dynvision.records import Record

if TYPE_CHECKING:
    from dynvision.data.images.normalization import Normalization

__all__ = ["STORE", "FileImages", "ImageFileStore"]


class ImageFileStore(ImageStore):
    """Reads images from their own files."""

    def open(self, dataset: str, partition: str, record: Record) -> FileImages:
        """Open the images behind the links of an interim folder."""
        folder = self.paths.interim(dataset, partition)
        return FileImages(self.config, self.paths, dataset, folder, record, self.normalization(dataset))


class FileImages(StoredImages):
    """The images of an interim folder.

    Args:
        config: The configuration.
        paths: The paths of the root.
        dataset: The dataset.
        folder: The interim folder.
        record: Its record.
        normalize: Mean and standard deviation of each channel.
    """

    def __init__(
        self,
        config: Config,
        paths: Paths,
        dataset: str,
        folder: Path,
        record: Record,
        normalize: Normalization | None,
    ) -> None:
        super().__init__(record, normalize)
        self.folder, self.root, self.data = folder, paths.root, config.data
        self.resolution = config.data.data_resolution[dataset]

    def samples(self, part: str) -> dict[str, list[Any]]:
        """See `StoredImages.samples`."""
        return tabulate_samples(self._list(part))

    def open_part(self, part: str, opening: Opening) -> Any:
        """See `StoredImages.open_part`; `workers` are processes, none by default."""
        from dynvision.data.images.decoded_files import DecodedFiles

        samples = self._list(part)
        if not samples:
            raise DataError(f"{self.record.target}: nothing is left for '{part}'; no class has two images. Add images.")
        images = DecodedFiles(
            samples,
            self.root,
            self.channels,
            self.resolution,
            self.normalization(opening),
            self.record.details.get("bit_depth"),
        )
        return opening.show(images, opening.workers or 0)

    @cached_property
    def _listed(self) -> list[Sample]:
        return list_samples(self.folder, self.record, self.root)

    def _list(self, part: str) -> list[Sample]:
        """List the samples of a part, in order."""
        if part not in ("train", "val"):
            return self._listed
        labels = [s.label for s in self._listed]
        train, val = stratified_split(labels, self.data.train_ratio, self.data.split_seed)
        return [self._listed[i] for i in (train if part == "train" else val)]


STORE = ImageFileStore
