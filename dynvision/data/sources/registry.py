"""Which source gives the images of a dataset."""

from __future__ import annotations

import pkgutil

from dynvision.config import Config
from dynvision.config.data import DataConfig
from dynvision.config.datasets import KNOWN_DATASETS
from dynvision.data.sources.base import ExportedSource
from dynvision.data.sources.class_path import ImportedClass
from dynvision.data.sources.found_folders import FoundFolders
from dynvision.paths import Paths

__all__ = ["find_source"]


def find_source(dataset: str, config: Config, paths: Paths) -> ExportedSource | FoundFolders:
    """Make the source of a dataset.

    A mounted dataset is found where it is mounted. Otherwise the images come from the class that `data_sources` names,
    or from the source in `KNOWN_DATASETS`. All other datasets are folders of the user's own.

    Args:
        dataset: The name of the dataset.
        config: The configuration.
        paths: The paths of the root.
    """
    return _source_class(dataset, config.data)(dataset, config, paths)


def _source_class(dataset: str, data: DataConfig) -> type[ExportedSource] | type[FoundFolders]:
    if dataset in data.mounts():
        return FoundFolders
    given = data.data_sources.get(dataset)
    if given is not None and given.class_path is not None:
        return ImportedClass
    known = KNOWN_DATASETS.get(dataset)
    if known is None:
        return FoundFolders
    # The table is on a lower floor, so it names the class as text.
    cls: type[ExportedSource] = pkgutil.resolve_name(f"{__package__}.{known.source}")
    return cls
