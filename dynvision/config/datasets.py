"""The datasets that this project knows by name: what the configuration has to know before any image exists.

A dataset that is not listed is one of the user's own: folders of images, or a class named in `data_sources`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dynvision.config.sections.data import DataConfig, DataSource
from dynvision.config.sections.stimulus_sets import ColumnGroup, StimulusSet
from dynvision.config.values.names import repeats
from dynvision.errors import ConfigError

__all__ = ["KNOWN_DATASETS", "KnownDataset", "check_datasets", "count_classes"]


@dataclass(frozen=True)
class KnownDataset:
    """The facts about one dataset.

    Attributes:
        channels: The channels of its images.
        class_count: How many classes it has under a configuration.
        n_archives: How many files it is downloaded as; 0 if it is not downloaded.
    """

    channels: int
    class_count: Callable[[DataConfig], int]
    n_archives: int = 0


KNOWN_DATASETS = {
    "gratings": KnownDataset(channels=3, class_count=lambda data: data.gratings.orientations),
    "mnist": KnownDataset(channels=1, class_count=lambda _: 10, n_archives=4),
    "cifar10": KnownDataset(channels=3, class_count=lambda _: 10, n_archives=1),
    "cifar100": KnownDataset(channels=3, class_count=lambda _: 100, n_archives=1),
}
"""The datasets of `dynvision.data.sources` about which the configuration is checked before any image exists."""


def count_classes(data: DataConfig, dataset: str) -> int | None:
    """Return how many classes a dataset has; `None` if only its images say so."""
    known = KNOWN_DATASETS.get(dataset)
    return None if known is None else known.class_count(data)


def check_datasets(data: DataConfig, file: Path) -> None:
    """Check the sources, statistics and groups of every dataset against what is known of it.

    Args:
        data: The content of `config_data.yaml`.
        file: Its path, for the message.

    Raises:
        ConfigError: A bit depth is given for images of 8 bits, a source does not fit its dataset, the statistics have
            another number of channels, or a group is empty, repeats a class index or has one outside its dataset.
    """
    for dataset, source in data.data_sources.items():
        _check_source(f"{file}: data_sources.{dataset}", data, dataset, source)
    for dataset, statistics in data.data_statistics.items():
        known = KNOWN_DATASETS.get(dataset)
        if known is not None and len(statistics.mean) != known.channels:
            raise ConfigError(
                f"{file}: data_statistics.{dataset}: {len(statistics.mean)} means for images of "
                f"{known.channels} channels"
            )
    _check_sets(data, file)
    highest, resolution = data.gratings.spatial_frequency[1], data.data_resolution.get("gratings")
    if resolution is not None and highest > resolution / 2:
        raise ConfigError(
            f"{file}: gratings.spatial_frequency: {highest:g} cycles in {resolution} pixels cannot be drawn: a cycle "
            f"needs two pixels, so that {resolution / 2:g} is the most."
        )
    for dataset in data.bit_depth:
        if dataset in KNOWN_DATASETS and dataset not in data.mounts():
            raise ConfigError(f"{file}: bit_depth.{dataset}: the images of '{dataset}' have 8 bits; leave it out")
    for dataset, groups in data.data_groups.items():
        for group, chosen in groups.items():
            where = f"{file}: data_groups.{dataset}.{group}"
            if group == "all":
                raise ConfigError(
                    f"{where}: 'all' always means every {'image' if data.is_stimulus_set(dataset) else 'class'}; "
                    "choose another name"
                )
            if data.is_stimulus_set(dataset):
                _check_column_group(where, data.stimulus_sets[dataset], chosen)
            elif isinstance(chosen, ColumnGroup):
                raise ConfigError(
                    f"{where}: 'where' chooses images of a stimulus set by its table, and '{dataset}' is none. List "
                    "class indices."
                )
            else:
                _check_group(where, dataset, chosen, count_classes(data, dataset))


def _check_source(where: str, data: DataConfig, dataset: str, source: DataSource) -> None:
    known = KNOWN_DATASETS.get(dataset)
    if source.class_path is not None:
        if known is not None or dataset in data.mounts():
            raise ConfigError(f"{where}: '{dataset}' has its own images; give the class another dataset's name")
        return
    if known is None or known.n_archives == 0:
        downloaded = [name for name, other in KNOWN_DATASETS.items() if other.n_archives]
        raise ConfigError(f"{where}: '{dataset}' is not downloaded; only {', '.join(downloaded)} are")
    if known.n_archives > 1:
        if source.md5 is not None:
            raise ConfigError(
                f"{where}.md5: {dataset} is {known.n_archives} files; give each its checksum under 'files'"
            )
    elif source.files:
        raise ConfigError(f"{where}.files: {dataset} is one archive; give its checksum as 'md5'")
    elif source.url is not None and source.md5 is None:
        raise ConfigError(f"{where}: a source of your own needs its checksum: add 'md5'")


_NOT_OF_SETS = ("data_sources", "class_index_files", "max_shared_images")
"""Keys that are about splits and classes, or about other places of images."""


def _check_sets(data: DataConfig, file: Path) -> None:
    """Raise if a stimulus set has the name of another dataset, or a setting that only those have."""
    for name in data.stimulus_sets:
        where = f"{file}: stimulus_sets.{name}"
        if name in KNOWN_DATASETS:
            raise ConfigError(f"{where}: '{name}' is a dataset of this project; give the stimulus set another name")
        if name in data.mounts():
            raise ConfigError(f"{where}: leave '{name}' out of mounted_datasets, and name its folder here as 'folder'")
        for key in _NOT_OF_SETS:
            if name in getattr(data, key):
                raise ConfigError(
                    f"{file}: {key}.{name}: '{name}' is a stimulus set, which has neither splits nor class folders. "
                    "Leave it out."
                )


def _check_column_group(where: str, stimuli: StimulusSet, chosen: ColumnGroup | list[int]) -> None:
    if isinstance(chosen, list):
        raise ConfigError(
            f"{where}: a stimulus set has no class indices. Choose its images by a column of its table: "
            "{where: {<column>: <value>}}."
        )
    if stimuli.table is None:
        raise ConfigError(
            f"{where}: 'where' chooses images by a column of a table. Name the table of the stimulus set."
        )


def _check_group(where: str, dataset: str, classes: list[int], count: int | None) -> None:
    if not classes:
        raise ConfigError(f"{where}: the group is empty; list class indices")
    if repeated := repeats(classes):
        raise ConfigError(f"{where}: class index {min(repeated)} is listed twice")
    if count is not None and (outside := [c for c in classes if c >= count]):
        raise ConfigError(
            f"{where}: class index {outside[0]} is outside '{dataset}', whose classes are 0 to {count - 1}"
        )
