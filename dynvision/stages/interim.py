"""Interim: one symlink a class, one folder for each split and group."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.data.images.files import list_images
from dynvision.errors import ConfigError, DataError
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.stages.raw import SPLITS, RawStage
from dynvision.system.files import make_directory, read_json, write_json
from dynvision.targets import Target

__all__ = ["InterimStage", "split_partition"]


def split_partition(partition: str) -> tuple[str, str]:
    """Take `<split>_<group>` apart."""
    split, _, group = partition.partition("_")
    return split, group


class InterimStage(Stage):
    """`interim/<dataset>`, partitions `<split>_<group>`."""

    name = "interim"
    code_version = "1"

    def keys(self) -> list[tuple[str, ...]]:
        return [("interim", dataset) for dataset in self.config.datasets]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [f"{split}_{group}" for split in SPLITS for group in self.config.data.groups(key[1])]

    def upstream(self, target: Target) -> list[Target]:
        split, _ = split_partition(str(target.partition))
        return [Target(("raw", target.key[1]), split)]

    def settings(self, target: Target) -> dict[str, Any]:
        _, group = split_partition(str(target.partition))
        return {"classes": self.config.data.groups(target.key[1])[group]}

    def output(self, target: Target) -> Path:
        return self.paths.interim(target.key[1], str(target.partition))

    def read_record(self, target: Target) -> Record | None:
        path = self.output(target) / "folder.link"
        content = read_json(path)
        return Record.from_dict(content, path) if content else None

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "folder.link"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        raw = inputs[upstream].details
        chosen = self._choose_classes(target, raw["classes"])
        source = Path(raw["source"])
        source = source if source.is_absolute() else self.paths.root / source
        # Images that this project did not write were looked at just now, to know that raw is up to date.
        is_listed = RawStage(self.config, self.paths).is_exported(target.key[1])
        for entry in chosen:
            place, held = source / entry["folder"], entry["count"]
            if is_listed or not place.is_dir():
                held = len(list_images(place)) if place.is_dir() else 0
            if held != entry["count"]:
                raise DataError(
                    f"{place} holds {held} images where {entry['count']} were counted. "
                    f"Make it again: dynvision make --force {upstream}"
                )
        folder = make_directory(self.output(target))
        self._link(folder, source, [c["folder"] for c in chosen])
        group_index = {c["index"]: place for place, c in enumerate(chosen)}
        record = make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={str(upstream): inputs[upstream].data_version},
            content="",
            details={
                "group": split_partition(str(target.partition))[1],
                "source": raw["source"],
                "images": sum(c["count"] for c in chosen),
                "channels": raw["channels"],
                "seconds": round(time.perf_counter() - start, 3),
                "classes": [{**c, "group_index": group_index[c["index"]]} for c in chosen],
            },
        )
        write_json(folder / "folder.link", record.to_dict())
        return record

    def _choose_classes(self, target: Target, classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = self.settings(target)["classes"]
        if wanted is None:
            return classes
        by_index = {c["index"]: c for c in classes}
        outside = [index for index in wanted if index not in by_index]
        if outside:
            _, group = split_partition(str(target.partition))
            raise ConfigError(
                f"{self.config.folder / 'config_data.yaml'}: data_groups.{target.key[1]}.{group}: class index "
                f"{outside[0]} is outside '{target.key[1]}', whose classes are {min(by_index)} to {max(by_index)}"
            )
        return [by_index[index] for index in wanted]

    def _link(self, folder: Path, source: Path, classes: list[str]) -> None:
        """Make the folder hold exactly these links; anything that is no link is in the way."""
        inside = self.paths.root in source.parents
        for entry in list(os.scandir(folder)):
            if entry.name[0] == "." or entry.name.startswith("folder.link"):
                continue
            if not entry.is_symlink():
                raise DataError(
                    f"{entry.path} is in the way: it is no link of this project. Move it elsewhere; "
                    "nothing of yours is deleted."
                )
        wanted = {
            name: os.path.relpath(source / name, folder) if inside else str((source / name).absolute())
            for name in classes
        }
        held = {entry.name: os.readlink(entry.path) for entry in os.scandir(folder) if entry.is_symlink()}
        if held == wanted:
            return
        # From here on the folder is not what its record says.
        (folder / "folder.link").unlink(missing_ok=True)
        for name, destination in held.items():
            if wanted.get(name) != destination:
                os.unlink(folder / name)
        for name, destination in wanted.items():
            link = folder / name
            if not link.is_symlink():
                link.symlink_to(destination)
            if not link.is_dir():
                raise DataError(f"{link} leads nowhere: {source / name} is not a folder. Rebuild the raw stage.")
