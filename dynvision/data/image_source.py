"""The normalized images of one partition, from `.beton` files or from the interim folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset

from dynvision.config import Config
from dynvision.data.betons.raw_images import RawImages
from dynvision.data.images.normalization import normalize_pixels
from dynvision.data.images.reading import read_image
from dynvision.data.images.samples import list_samples
from dynvision.data.images.splits import stratified_split
from dynvision.errors import DataError
from dynvision.paths import Paths
from dynvision.records import Record
from dynvision.stimuli.presentation import Presentation

__all__ = ["ImageSource"]


class ImageSource:
    """Opens the parts of a partition as loaders; labels are indices within the group.

    Args:
        config: The configuration.
        paths: The paths of the root.
        dataset: The dataset.
        partition: `<split>_<group>`.
        record: The record of the partition: processed, or interim where `use_ffcv` is false.

    Attributes:
        classes: The group's classes: index, name and folder, in the group's order.
        channels: Channels of the images.
    """

    def __init__(self, config: Config, paths: Paths, dataset: str, partition: str, record: Record) -> None:
        self.config, self.paths, self.dataset, self.partition, self.record = config, paths, dataset, partition, record
        self.classes: list[dict[str, Any]] = record.details["classes"]
        self.channels = int(record.details["channels"])
        statistics = config.data.data_statistics.get(dataset)
        self.normalize = (statistics.mean, statistics.std) if statistics else None

    def samples(self, part: str) -> dict[str, list[Any]]:
        """The part's table of `source`, `label` (the dataset's own index) and `group_label`."""
        if self.config.data.use_ffcv:
            from dynvision.data.betons.sidecars import read_sidecar

            return dict(read_sidecar(self._beton(part))["samples"])
        listed = [self._listed()[i] for i in self._part(part)]
        return {
            "source": [s.source for s in listed],
            "label": [s.label for s in listed],
            "group_label": [s.group_label for s in listed],
        }

    def loader(
        self,
        part: str,
        batch_size: int,
        n_timesteps: int = 1,
        *,
        order: str = "sequential",
        seed: int = 0,
        indices: Sequence[int] | None = None,
        normalized: bool = True,
        images_per_trial: int | None = None,
        workers: int | None = None,
        is_looked_at_for_long: bool = False,
    ) -> Any:
        """Open a part (`train`, `val` or `test`) as lazy stimuli in time.

        Args:
            part: The part.
            batch_size: Images a batch.
            n_timesteps: How long each image is shown.
            order: `sequential` or `random`.
            seed: Seeds the order.
            indices: Only these samples, by their place in the part.
            images_per_trial: How many images a trial shows; see `choose_trials`.
            normalized: Standardize each channel by the dataset's statistics; else images are in [0, 1].
            workers: Threads (of FFCV) or processes (of image files) that read; by default 1 thread, or no process. Raw
                files that are read without FFCV need none.
            is_looked_at_for_long: Each batch takes its reader so long that FFCV's start-up is not worth it: raw
                `.beton` files are read without it. The numbers are the same.
        """
        show = Presentation.constant(n_timesteps)
        dataset: Any = None
        if self.config.data.use_ffcv and is_looked_at_for_long and self._is_raw(part):
            dataset, workers = RawImages(self._beton(part), self.normalize if normalized else None), None
        elif self.config.data.use_ffcv:
            from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

            return get_ffcv_dataloader(
                self._beton(part),
                batch_size,
                normalize=self.normalize if normalized else None,
                order=order,
                presentation=show,
                lazy=True,
                label_space="group",
                indices=indices,
                seed=seed,
                images_per_trial=images_per_trial,
                num_workers=workers or 1,
            )
        from dynvision.data.dataloader import get_data_loader

        if dataset is None:
            dataset = self._images(part, normalized)
        return get_data_loader(
            dataset if indices is None else Subset(dataset, list(indices)),
            batch_size=batch_size,
            presentation=show,
            lazy=True,
            shuffle=order == "random",
            generator=torch.Generator().manual_seed(seed),
            images_per_trial=images_per_trial,
            num_workers=workers or 0,
        )

    def _beton(self, part: str) -> Path:
        return self.paths.processed(self.dataset, self.partition) / f"{part}.beton"

    def _is_raw(self, part: str) -> bool:
        from dynvision.data.betons.sidecars import read_sidecar_head

        head = read_sidecar_head(self._beton(part))  # what is missing or damaged is told by who opens it
        return head is not None and head["file"].get("write_mode") == "raw"

    def _images(self, part: str, normalized: bool) -> _Images:
        if not self._part(part):
            raise DataError(f"{self.record.target}: nothing is left for '{part}'; no class has two images. Add images.")
        return _Images(self, [self._listed()[i] for i in self._part(part)], normalized)

    def _listed(self) -> Any:
        return list_samples(self.paths.interim(self.dataset, self.partition), self.record)

    def _part(self, part: str) -> list[int]:
        labels = [s.label for s in self._listed()]
        if part == "test":
            return list(range(len(labels)))
        train, val = stratified_split(labels, self.config.data.train_ratio, self.config.data.split_seed)
        return train if part == "train" else val


class _Images(Dataset[Any]):
    """Normalized images read directly from their files, decoded on demand."""

    def __init__(self, source: ImageSource, samples: Sequence[Any], normalized: bool) -> None:
        self.samples, self.root = samples, source.paths.root
        self.channels, self.normalize = source.channels, source.normalize if normalized else None
        self.resolution = source.config.data.data_resolution[source.dataset]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        sample = self.samples[index]
        pixels = np.array(read_image(self.root / sample.source, self.channels, self.resolution))
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
        return normalize_pixels(planes, self.normalize)[0], sample.group_label
