"""What every stage answers: its keys and partitions, its inputs, its record, and how it is built."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dynvision.config import Config
from dynvision.paths import Paths
from dynvision.records import Record
from dynvision.stages.run_settings import RunSettings
from dynvision.targets import Target

__all__ = ["Stage"]


class Stage(ABC):
    """A stage of the graph over one configuration and one root.

    Attributes:
        name: The word for the stage: the first part of its keys.
        code_version: Changes when the same inputs give another result.
        builds_many: Whether several partitions of a key are built in one go.
        run: How the present run computes.
    """

    name: ClassVar[str]
    code_version: ClassVar[str]
    builds_many: ClassVar[bool] = False
    run: RunSettings = RunSettings()

    def __init__(self, config: Config, paths: Paths) -> None:
        self.config = config
        self.paths = paths

    @abstractmethod
    def keys(self) -> list[tuple[str, ...]]:
        """The keys of the stage's assets."""

    @abstractmethod
    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        """The partitions of an asset; `[None]` where it has none."""

    @abstractmethod
    def upstream(self, target: Target) -> list[Target]:
        """The targets that a target is directly made from."""

    @abstractmethod
    def settings(self, target: Target) -> dict[str, Any]:
        """The slice of the configuration that a target depends on, as JSON-ready values."""

    @abstractmethod
    def output(self, target: Target) -> Path:
        """The file or folder that a target is."""

    def written(self, target: Target) -> list[Path]:
        """The files and folders that building a target writes; its lock lies beside the first."""
        return [self.output(target)]

    @abstractmethod
    def read_record(self, target: Target) -> Record | None:
        """The record of what is there; `None` where nothing (whole) is."""

    @abstractmethod
    def record_files(self, target: Target) -> list[Path]:
        """The files that carry the record; without them nothing is taken for built."""

    def with_run_settings(self, targets: Sequence[Target], run_settings: Mapping[str, Any]) -> Stage:
        """Return the stage as one run uses it.

        Args:
            targets: What the run builds; all of one key.
            run_settings: What is set for the run, as `RunSettings` has it.
        """
        stage = copy.copy(self)
        stage.run = RunSettings.from_dict(run_settings)
        return stage

    @abstractmethod
    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        """Build targets of one key and return their records, in order.

        Args:
            targets: What to build; more than one only where `builds_many`.
            inputs: The record of everything upstream.
        """

    def explain_change(self, target: Target, changed: Sequence[str]) -> str:
        """Say why a target is stale, given which of its settings are not those of its record."""
        return f"the configuration changed: {', '.join(changed)}"

    def parse_partition(self, key: tuple[str, ...], text: str) -> str:
        """Read a partition as a user writes it.

        Raises:
            UnknownNameError: There is no such partition.
        """
        from dynvision.errors import unknown_name

        valid = [p for p in self.partitions(key) if p is not None]
        if text not in valid:
            raise unknown_name("partition", text, valid, "/".join(key))
        return text
