"""Datasets that are given as a class by import path; their images are exported like those of an archive."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.config import Config
from dynvision.config.sections.data import DataSource
from dynvision.data.sources.base import ExportedSource
from dynvision.data.sources.own_dataset import OwnDataset, open_own_dataset
from dynvision.data.sources.split_arguments import SPLITS
from dynvision.data.sources.watched_files import WatchedFiles
from dynvision.errors import ConfigError
from dynvision.paths import Paths
from dynvision.system.json_values import whole_key_paths
from dynvision.system.source_code import digest_source

__all__ = ["ImportedClass", "OwnDataset", "open_own_dataset"]


class ImportedClass(ExportedSource):
    """The class that `data_sources.<dataset>.class` names."""

    def __init__(self, dataset: str, config: Config, paths: Paths) -> None:
        super().__init__(dataset, config, paths)
        self._watched: dict[Path, WatchedFiles] = {}

    def settings(self, split: str) -> dict[str, Any]:
        """Return the class, its arguments, digests of its source files and of the files it may read, and the channels.

        The arguments of the split and the bit depth are part of them if the configuration states them.
        """
        given, files = self._given, self._files.digest()
        settings: dict[str, Any] = {
            "class": given.class_path,
            "args": given.args,
            "source": digest_source(str(given.class_path), given.args),
            "channels": self.channels,
        }
        if given.split_args is not None:
            settings["split_args"] = given.split_args[split]  # type: ignore[index]
        if paths := whole_key_paths([settings["args"], settings.get("split_args")]):
            settings["whole_keys"] = paths
        if self.bit_depth is not None:
            settings["bit_depth"] = self.bit_depth
        return settings if files is None else settings | {"inputs": files}

    def explain_change(self, split: str, changed: Sequence[str]) -> str | None:
        """Say that the files changed which the class reads."""
        return (
            f"the files that the dataset's class reads changed: {self.inputs}" if list(changed) == ["inputs"] else None
        )

    @property
    def inputs(self) -> str:
        """What is watched, and what is not."""
        chosen = self._given.inputs
        folder = self.paths.relative(self._folder)
        files = "all files" if chosen is None else ", ".join(chosen) or "no files"
        return f"{files} of {folder}; files that the class reads elsewhere are not watched"

    @property
    def details(self) -> dict[str, Any]:
        """What is watched."""
        return {"inputs": self.inputs}

    def open(self, split: str) -> OwnDataset:
        """Make the dataset of a split. Its files are in `data/external/<dataset>` or `data/raw/<dataset>`."""
        given, statistics = self._given, self.config.data.data_statistics.get(self.dataset)
        key = f"{self.config.folder / 'config_data.yaml'}: data_sources.{self.dataset}"
        files = self._files
        before = files.digests()

        dataset = open_own_dataset(
            str(given.class_path),
            copy.deepcopy(given.args),  # The class may change what it is given.
            self._folder,
            split,
            f"{key}.class",
            split_args=copy.deepcopy(given.split_args),  # type: ignore[arg-type]
            channels=None if statistics is None else len(statistics.mean),
            bit_depth=self.bit_depth,
            finish=lambda: files.require_unchanged(before, f"raw/{self.dataset}:{split}"),
        )
        if missing := files.unmatched():
            existing = ", ".join(list(files.digests())[:5])
            raise ConfigError(
                f"{key}.inputs: nothing in {self._folder} matches '{missing[0]}'"
                + (f"; other inputs match {existing}" if existing else "")
                + ". Inputs are paths or globs below that folder."
            )
        return dataset

    @property
    def _given(self) -> DataSource:
        return self.config.data.data_sources[self.dataset]

    @property
    def _folder(self) -> Path:
        bases = [self.paths.external(self.dataset), self.paths.raw(self.dataset)]
        return next((base for base in bases if base.is_dir()), bases[0])

    @property
    def _files(self) -> WatchedFiles:
        """The files that the class may read. The folder may be made while an export begins, so it is not kept."""
        folder, raw = self._folder, self.paths.raw(self.dataset)
        if folder not in self._watched:
            own = {*SPLITS, *(f"{split}.manifest.json{end}" for split in SPLITS for end in ("", ".rejected"))}
            self._watched[folder] = WatchedFiles(
                folder, self._given.inputs, own if folder == raw else frozenset(), raw / ".inputs.json"
            )
        return self._watched[folder]
