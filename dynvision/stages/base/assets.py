"""Which assets a stage has: how they are named, read from text, chosen and described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dynvision.config import Config
from dynvision.errors import unknown_name
from dynvision.paths import Paths
from dynvision.targets import Target

__all__ = ["Key", "StageAssets"]

Key = tuple[str, ...]
"""The parts of an asset's name; the first is the stage."""


class StageAssets(ABC):
    """The assets of a stage over one configuration and one root.

    Args:
        config: The validated configuration.
        paths: The paths of the root.

    Attributes:
        name: The word for the stage: the first part of its keys.
        folder: The folder under `data/` that holds its outputs.
        key_names: What the parts of a key after the stage's name are.
        is_partitioned: Whether its assets have partitions.
        selectors: The keywords of `load` and `path` that choose a partition, the same for all keys.
    """

    name: ClassVar[str]
    folder: ClassVar[str]
    key_names: ClassVar[tuple[str, ...]] = ("dataset",)
    is_partitioned: ClassVar[bool] = True
    selectors: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Config, paths: Paths) -> None:
        self.config, self.paths = config, paths

    @abstractmethod
    def keys(self) -> list[Key]:
        """Return the keys of the stage's assets."""

    @abstractmethod
    def partitions(self, key: Key) -> list[str | None]:
        """Return the partitions of an asset; `[None]` if it has none."""

    def parse(self, key: Key, text: str) -> str:
        """Read a partition as a user writes it.

        Raises:
            UnknownNameError: If there is no such partition.
        """
        valid = [p for p in self.partitions(key) if p is not None]
        if text not in valid:
            raise unknown_name("partition", text, valid, "/".join(key))
        return text

    def parse_path(self, parts: Sequence[str]) -> tuple[Key, str | None]:
        """Read the parts of a path below the stage's folder.

        Returns:
            The key, and the text of a partition; `None` if the path names the whole asset.
        """
        depth = len(self.key_names)
        return (self.name, *parts[:depth]), parts[depth] if len(parts) > depth else None

    def dimensions(self, key: Key) -> dict[str, list[str]]:
        """Return the dimensions of an asset's partitions, each with its levels in order; one, unnamed, by default."""
        names = [name for name in self.partitions(key) if name is not None]
        return {"": names} if names else {}

    def levels(self, target: Target) -> dict[str, str]:
        """Return the level of a target in each of `dimensions`."""
        return {} if target.partition is None else {"": target.partition}

    def partition_at(self, key: Key, levels: Mapping[str, str]) -> str:
        """Return the partition at these levels; the inverse of `levels`."""
        return levels[""]

    def tags(self, key: Key) -> dict[str, str]:
        """Return what an asset is about, by which it is found and filtered: dataset, model, experiment, subject."""
        return dict(zip(self.key_names, key[1:], strict=False))

    def describe(self, key: Key) -> str:
        """Say in Markdown what an asset holds, with shapes and units."""
        return f"`data/{self.folder}/{'/'.join(key[1:])}`"

    def description(self, key: Key) -> str | None:
        """Return what the configuration says in its own words about an asset; `None` if it says nothing."""
        experiment = self.config.experiments.get(key[1]) if "experiment" in self.key_names else None
        return None if experiment is None else experiment.description

    def selectors_of(self, key: Key) -> tuple[str, ...]:
        """Return the keywords of `load` and `path` that choose partitions of a key."""
        return self.selectors

    def select(self, key: Key, **options: Any) -> list[Target]:
        """Return the targets of a key that match the given keywords (see `selectors_of`); all if there are none.

        Raises:
            UnknownNameError: If there is no such partition or level; the message names the nearest.
        """
        return [Target(key, partition) for partition in self.partitions(key)]
