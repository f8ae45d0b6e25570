"""Which source gives the images of a dataset."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from dynvision.config import Config
from dynvision.config.sections.data import DataConfig
from dynvision.data import sources
from dynvision.data.sources.base import ExportedSource, FoundSource
from dynvision.data.sources.class_path import ImportedClass
from dynvision.data.sources.found_folders import FoundFolders
from dynvision.data.sources.stimulus_files import find_stimuli
from dynvision.paths import Paths

__all__ = ["find_source", "named_sources"]


def find_source(dataset: str, config: Config, paths: Paths) -> ExportedSource | FoundSource:
    """Make the source of a dataset.

    A stimulus set is found in its folder, and a mounted dataset where it is mounted. Otherwise the images come from the
    class that `data_sources` names, or from the source that names the dataset itself. All other datasets are folders of
    the user's own.

    Args:
        dataset: The name of the dataset.
        config: The configuration.
        paths: The paths of the root.
    """
    return _source_class(dataset, config.data)(dataset, config, paths)


@cache
def named_sources() -> dict[str, type[ExportedSource]]:
    """Import every module of this folder, and return the sources by the datasets that they name."""
    by_name: dict[str, type[ExportedSource]] = {}
    for module in pkgutil.iter_modules(sources.__path__):
        for value in vars(importlib.import_module(f"{sources.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, ExportedSource):
                by_name |= dict.fromkeys(value.datasets, value)
    return by_name


def _source_class(dataset: str, data: DataConfig) -> type[ExportedSource] | type[FoundSource]:
    if data.is_stimulus_set(dataset):
        return find_stimuli(data.stimulus_sets[dataset])
    if dataset in data.mounts():
        return FoundFolders
    given = data.data_sources.get(dataset)
    if given is not None and given.class_path is not None:
        return ImportedClass
    return named_sources().get(dataset, FoundFolders)
