"""What a store of images answers: writing and verifying its files, and opening the images of a partition."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config import Config
from dynvision.data.images.samples import Sample
from dynvision.paths import Paths
from dynvision.records import Record
from dynvision.stimuli.presentation import Presentation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from dynvision.data.images.normalization import Normalization

__all__ = ["FinishRecord", "ImageStore", "Opening", "StoredImages", "WrittenStore"]

FinishRecord = Callable[[Sequence[Sequence[str]]], Record]
"""Makes the record of files, given `[path, reason]` of each image that was left out."""


@dataclass(frozen=True)
class Opening:
    """How the images of a part are opened.

    Attributes:
        batch_size: Images a batch.
        n_timesteps: How many steps each image is shown.
        order: `sequential` or `random`.
        seed: Seeds the order.
        indices: Only these samples, by their position in the part.
        normalized: Standardize each channel by `StoredImages.normalize`; otherwise images are in [0, 1].
        images_per_trial: How many images a trial shows; see `choose_trials`.
        other_class: Which of them are of another class than the first.
        workers: Threads or processes that read; by default as few as possible.
        is_looked_at_for_long: Whether the caller computes for so long on each batch that a fast reader with a slow
            start-up is not worth it. The numbers are the same.
    """

    batch_size: int
    n_timesteps: int = 1
    order: str = "sequential"
    seed: int = 0
    indices: Sequence[int] | None = None
    normalized: bool = True
    images_per_trial: int | None = None
    other_class: Sequence[int] = ()
    workers: int | None = None
    is_looked_at_for_long: bool = False

    @property
    def presentation(self) -> Presentation:
        """The image at every step."""
        return Presentation.constant(self.n_timesteps)

    def show(self, dataset: Any, workers: int = 0) -> Any:
        """Open a torch dataset of (image, label) items in this way.

        Args:
            dataset: The dataset of the whole part.
            workers: Processes that read.
        """
        import torch
        from torch.utils.data import Subset

        from dynvision.data.dataloader import get_data_loader

        return get_data_loader(
            dataset if self.indices is None else Subset(dataset, list(self.indices)),
            batch_size=self.batch_size,
            presentation=self.presentation,
            lazy=True,
            shuffle=self.order == "random",
            generator=torch.Generator().manual_seed(self.seed),
            images_per_trial=self.images_per_trial,
            other_class=self.other_class,
            num_workers=workers,
        )


class StoredImages(ABC):
    """The images of one partition, opened as loaders; labels are indices within the group.

    Attributes:
        record: The record of the partition.
        classes: The group's classes: index, name and folder, in the group's order; none of a stimulus set.
        labels: What the labels stand for: the classes, or the values of a column of a stimulus set.
        has_frames: Whether the images are frames of stimuli; `frame` of `samples` is then the place in the stimulus.
        channels: Channels of the images.
        normalize: Mean and standard deviation of each channel; `None` if the dataset has no statistics.
    """

    def __init__(self, record: Record, normalize: Normalization | None) -> None:
        self.record, self.normalize = record, normalize
        self.classes: list[dict[str, Any]] = record.details["classes"]
        self.labels: list[dict[str, Any]] = record.details.get("labels", self.classes)
        self.has_frames = bool(record.details.get("frames"))
        self.channels = int(record.details["channels"])

    @abstractmethod
    def samples(self, part: str) -> dict[str, list[Any]]:
        """Return a part's table of `source`, `label` (the dataset's own index) and `group_label`.

        Of a stimulus set it also has the columns of its table: `filename`, `stimulus_id` and all others. Labels are
        `NO_CLASS` there, unless a column of the table says them.
        """

    def loader(self, part: str, batch_size: int, n_timesteps: int = 1, **options: Any) -> Any:
        """Open a part (`train`, `val`, `test`, `images`) as lazy stimuli in time, with the options of `Opening`."""
        return self.open_part(part, Opening(batch_size, n_timesteps, **options))

    def frames(self, part: str, trials: npt.NDArray[np.int64], batch_size: int, **options: Any) -> Iterator[Tensor]:
        """Yield the images of trials whose samples are given, batch after batch.

        Args:
            part: The part.
            trials: Which samples each trial shows, shape `[N, K]`.
            batch_size: Trials a batch.
            options: Those of `Opening`.

        Yields:
            Images `[B, C, H, W]`, or `[B, K, C, H, W]` if a trial shows several.
        """
        per_trial = trials.shape[1]
        for sequence, _ in self.loader(part, batch_size * per_trial, indices=trials.reshape(-1).tolist(), **options):
            yield sequence.images if per_trial == 1 else sequence.images.unflatten(0, (-1, per_trial))

    @abstractmethod
    def open_part(self, part: str, opening: Opening) -> Any:
        """Open a part as lazy stimuli in time.

        Args:
            part: `train`, `val` or `test`; `images` of a stimulus set.
            opening: How it is opened.
        """

    def standardized_by(self, normalize: Normalization | None) -> StoredImages:
        """Return the same images, standardized by another mean and deviation of each channel."""
        images = copy.copy(self)
        images.normalize = normalize
        return images

    def normalization(self, opening: Opening) -> Normalization | None:
        """Return mean and standard deviation of each channel, if the images are to be standardized."""
        return self.normalize if opening.normalized else None


class ImageStore(ABC):
    """A way to keep the images of class groups.

    Args:
        config: The configuration.
        paths: The paths of the root.
    """

    def __init__(self, config: Config, paths: Paths) -> None:
        self.config, self.paths = config, paths

    @abstractmethod
    def open(self, dataset: str, partition: str, record: Record) -> StoredImages:
        """Open the images of a partition.

        Args:
            dataset: The dataset.
            partition: `<split>_<group>`, or `<group>` of a stimulus set.
            record: The record of the partition: processed for a `WrittenStore`, otherwise interim.
        """

    def normalization(self, dataset: str) -> Normalization | None:
        """Return the mean and standard deviation of a dataset's channels; `None` if the config has none."""
        statistics = self.config.data.data_statistics.get(dataset)
        return (statistics.mean, statistics.std) if statistics else None


class WrittenStore(ImageStore):
    """A store whose files the processed stage writes, one for each part of a partition."""

    @abstractmethod
    def settings(self, dataset: str) -> dict[str, Any]:
        """Return what the files of a dataset depend on, as JSON-ready values."""

    @abstractmethod
    def file(self, folder: Path, part: str) -> Path:
        """Return the path of a part's file."""

    @abstractmethod
    def record_file(self, path: Path) -> Path:
        """Return the file that carries the record of a part's file."""

    @abstractmethod
    def read_record(self, path: Path) -> Record | None:
        """Return the record of a part's file; `None` if it has not been written, or not completely."""

    @abstractmethod
    def write(
        self,
        folder: Path,
        dataset: str,
        parts: Mapping[str, Sequence[Sample]],
        channels: int,
        description: str,
        finish_record: FinishRecord,
    ) -> tuple[Record, int]:
        """Write the files of a partition, whole or not at all.

        Args:
            folder: The folder of the partition.
            dataset: The dataset.
            parts: The samples of each part, in order.
            channels: Channels of the images, 1 or 3.
            description: The text of the progress bar.
            finish_record: Makes the record, once it is known which images were left out.

        Returns:
            The record, and the bytes of all files.

        Raises:
            DataError: If images cannot be read; names all of them.
            DynvisionError: If the files cannot be written.
        """

    @abstractmethod
    def verify(self, path: Path, full: bool = False) -> dict[str, Any]:
        """Compare a file with its record.

        Args:
            path: The file.
            full: Read every byte again, even if the file looks unchanged since it was last verified.

        Returns:
            Facts about the file: `file` (with `samples`, the number of images, and `bad_images`), and `samples`, the
            table of the samples.

        Raises:
            MissingError: If there is no such file.
            DamagedFileError: If it is not the file that was written.
        """

    @abstractmethod
    def describe(self, path: Path) -> dict[str, Any]:
        """Return the same facts without a look at the file itself.

        Raises:
            MissingError: If there is no such file.
            DamagedFileError: If the facts cannot be read.
        """

    @abstractmethod
    def load(self, path: Path, dataset: str) -> Any:
        """Verify a file and return what `dynvision_assets.load` gives for it."""
