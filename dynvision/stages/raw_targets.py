"""Which raw images there are: the splits of datasets, where they come from, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.config import Config
from dynvision.data.sources.base import ExportedSource, FoundSource
from dynvision.data.sources.registry import find_source
from dynvision.paths import Paths
from dynvision.records import Record, read_record
from dynvision.stages.base import Stage, Stages
from dynvision.system.escaping import code_span
from dynvision.targets import Target

__all__ = ["SPLITS", "RawTargets"]

SPLITS = ("train", "test")


class RawTargets(Stage):
    """The splits of datasets, and the stimulus sets, as the configuration has them."""

    name = folder = "raw"
    code_version = "1"
    watches_files = True
    selectors = ("split",)

    def __init__(self, config: Config, paths: Paths, stages: Stages) -> None:
        super().__init__(config, paths, stages)
        self._sources: dict[str, ExportedSource | FoundSource] = {}

    def keys(self) -> list[tuple[str, ...]]:
        return [("raw", dataset) for dataset in self.config.datasets]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return list(self.splits(key[1]))

    def splits(self, dataset: str) -> tuple[str, ...]:
        """Return the splits of a dataset; a stimulus set has one part, `all`."""
        return ("all",) if self.config.data.is_stimulus_set(dataset) else SPLITS

    def upstream(self, target: Target) -> list[Target]:
        return []

    def source(self, dataset: str) -> ExportedSource | FoundSource:
        """Return the source of a dataset."""
        if dataset not in self._sources:
            self._sources[dataset] = find_source(dataset, self.config, self.paths)
        return self._sources[dataset]

    def settings(self, target: Target) -> dict[str, Any]:
        return self.source(target.key[1]).settings(str(target.partition))

    def explain_change(self, target: Target, changed: Sequence[str]) -> str:
        reason = self.source(target.key[1]).explain_change(str(target.partition), changed)
        return super().explain_change(target, changed) if reason is None else reason

    def watched_files(self, target: Target) -> str | None:
        if not self.output(target).is_dir():
            return None
        source = self.source(target.key[1])
        if isinstance(source, FoundSource):
            return source.scan(str(target.partition)).stamp
        files = self.settings(target).get("inputs")
        return None if files is None else str(files)

    def describe(self, key: tuple[str, ...]) -> str:
        if self.config.data.is_stimulus_set(key[1]):
            folder = self.paths.relative(self.source(key[1]).folder("all"))
            return f"The images of the stimulus set {key[1]} in {code_span(folder)}, and the table about them."
        return (
            f"Images of {key[1]} as 8-bit files in one folder a class: "
            f"`data/raw/{key[1]}/<split>/<class>/<n>.png`. A folder's name is "
            "the class index in the dataset's own order."
        ) + (f" Watched for changes: {inputs}." if (inputs := self.source(key[1]).inputs) else "")

    def selectors_of(self, key: tuple[str, ...]) -> tuple[str, ...]:
        return () if self.config.data.is_stimulus_set(key[1]) else self.selectors

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        return [Target(key, self.parse(key, options["split"]))] if options else super().select(key)

    def output(self, target: Target) -> Path:
        return self.source_folder(target.key[1], str(target.partition))

    def written(self, target: Target) -> list[Path]:
        return [self.output(target) if self.is_exported(target.key[1]) else self._manifest(target)]

    def is_exported(self, dataset: str) -> bool:
        """Whether this project writes the images of a dataset; otherwise it finds them."""
        return isinstance(self.source(dataset), ExportedSource)

    def source_folder(self, dataset: str, split: str) -> Path:
        """Return the folder that contains the class folders of a split."""
        return self.source(dataset).folder(split)

    def read_record(self, target: Target) -> Record | None:
        return read_record(self._manifest(target), target) if self.output(target).is_dir() else None

    def record_files(self, target: Target) -> list[Path]:
        return [self._manifest(target)]

    def _manifest(self, target: Target) -> Path:
        _, dataset = target.key
        if self.is_exported(dataset):
            return self.output(target) / "manifest.json"
        return self.paths.raw(dataset) / f"{target.partition}.manifest.json"

    def class_index(self, dataset: str) -> dict[int, tuple[str, str]] | None:
        """Return the folder and name of each class from the dataset's index file; `None` if it has none."""
        return self.source(dataset).class_index()
