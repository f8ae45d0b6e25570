"""Raw: the images of a dataset as class folders, one partition a split."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config import Config
from dynvision.config.data import DataSource
from dynvision.data.sources.archives import ARCHIVE_DATASETS, fetch_archive, open_split
from dynvision.data.sources.class_folders import Export, scan_class_folders
from dynvision.data.sources.class_path import OwnDataset, open_own_dataset
from dynvision.data.sources.exporting import export_images, open_export
from dynvision.errors import ConfigError, DataError, DynvisionError
from dynvision.paths import Paths
from dynvision.records import Record, make_record
from dynvision.stages.base import ReadBack, Stage, Stages
from dynvision.stages.contact_sheets import draw_classes
from dynvision.stages.raw_checks import RAW_CHECKS, RawInspection, digest_export
from dynvision.system.files import make_directory, read_json, replace_directory, write_json
from dynvision.system.source_code import digest_source
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SPLITS", "RawStage"]

SPLITS = ("train", "test")
_SOURCE_SPLITS = {"train": ("train",), "test": ("test", "val")}


class RawStage(Stage):
    """`raw/<dataset>`, partitions `train` and `test`."""

    name = folder = "raw"
    code_version = "1"
    watches_files = True
    selectors = ("split",)
    checks = RAW_CHECKS

    def __init__(self, config: Config, paths: Paths, stages: Stages) -> None:
        super().__init__(config, paths, stages)
        self._observed: dict[Target, Export] = {}

    def keys(self) -> list[tuple[str, ...]]:
        return [("raw", dataset) for dataset in self.config.datasets]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return list(SPLITS)

    def upstream(self, target: Target) -> list[Target]:
        return []

    def settings(self, target: Target) -> dict[str, Any]:
        _, dataset = target.key
        data = self.config.data
        if dataset == "gratings":
            unused = "test_per_class" if target.partition == "train" else "train_per_class"
            return {**data.gratings.model_dump(mode="json", exclude={unused}), "size": data.data_resolution[dataset]}
        if not self.is_exported(dataset):
            # Its images may change without us: what is there now is part of what the record is compared with.
            return {
                "channels": self._channels(dataset),
                "source": self.paths.relative(self.output(target)),
                "files": self._observe(target).digest,
            }
        source = data.data_sources.get(dataset)
        if source is not None and source.class_path is not None:
            own = {"class": source.class_path, "args": source.args, "source": digest_source(source.class_path)}
            return {**own, "channels": self._channels(dataset)}
        sums = {"md5": source.md5, "files": source.files} if source else {}
        return {key: value for key, value in sums.items() if value}

    def explain_change(self, target: Target, changed: Sequence[str]) -> str:
        if not self.is_exported(target.key[1]) and list(changed) == ["files"]:
            return f"images or classes in {self.output(target)} changed"
        return super().explain_change(target, changed)

    def watched_files(self, target: Target) -> str | None:
        if self.is_exported(target.key[1]) or not self.output(target).is_dir():
            return None
        return str(self.settings(target)["files"])

    def describe(self, key: tuple[str, ...]) -> str:
        return (
            f"Images of {key[1]} as 8-bit files in one folder a class: "
            f"`data/raw/{key[1]}/<split>/<class>/<n>.png`. A folder's name is "
            "the class index in the dataset's own order."
        )

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        return [Target(key, self.parse(key, options["split"]))] if options else super().select(key)

    def load(self, targets: Sequence[Target], **options: Any) -> Any:
        from dynvision.data.group_folder import GroupFolder

        target, record = self.require_one(targets)
        return GroupFolder(self.output(target), self.paths, record=record)

    def read_back(self, target: Target, record: Record) -> ReadBack:
        if not self.is_exported(target.key[1]):
            sentence = f"{record.details['images']} images have the sizes and times that were observed"
            return ReadBack(self.check_unchanged(target), sentence)
        digest, count = digest_export(self.output(target), record)
        return ReadBack(digest, f"{count} images hold the pixels that were exported")

    def inspect(self, target: Target, record: Record) -> RawInspection:
        return RawInspection(self, target, record)

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        return {"contact_sheet": draw_classes(self.output(target), record.details["classes"], str(target))}

    def output(self, target: Target) -> Path:
        return self.source_folder(target.key[1], str(target.partition))

    def written(self, target: Target) -> list[Path]:
        return [self.output(target) if self.is_exported(target.key[1]) else self._manifest(target)]

    def is_exported(self, dataset: str) -> bool:
        """Whether this project writes the images, rather than finding them."""
        source = self.config.data.data_sources.get(dataset)
        has_class = source is not None and source.class_path is not None
        known = dataset == "gratings" or dataset in ARCHIVE_DATASETS
        return dataset not in self.config.data.mounts() and (known or has_class)

    def source_folder(self, dataset: str, split: str) -> Path:
        """The folder that holds a split's class folders."""
        if self.is_exported(dataset):
            return self.paths.raw(dataset, split)
        mount = self.config.data.mounts().get(dataset)
        # As for class_index_files: a path that is not absolute begins at the root, whichever folder one is in.
        bases = (
            [self.paths.root / Path(mount).expanduser()]
            if mount
            else [self.paths.raw(dataset), self.paths.external(dataset)]
        )
        found = [base / name for base in bases for name in _SOURCE_SPLITS[split] if (base / name).is_dir()]
        return found[0] if found else bases[0] / split

    def read_record(self, target: Target) -> Record | None:
        path = self._manifest(target)
        content = read_json(path)
        return Record.from_dict(content, path) if content and self.output(target).is_dir() else None

    def record_files(self, target: Target) -> list[Path]:
        return [self._manifest(target)]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target) for target in targets]

    def _channels(self, dataset: str) -> int:
        """Channels of a dataset that this project does not write: as many as it has statistics for, else 3."""
        statistics = self.config.data.data_statistics.get(dataset)
        return 1 if statistics is not None and len(statistics.mean) == 1 else 3

    def _manifest(self, target: Target) -> Path:
        _, dataset = target.key
        if self.is_exported(dataset):
            return self.output(target) / "manifest.json"
        return self.paths.raw(dataset) / f"{target.partition}.manifest.json"

    def _build(self, target: Target) -> Record:
        start = time.perf_counter()
        self._observed.pop(target, None)
        if not self.is_exported(target.key[1]):
            # Every image is looked at, so that nothing remembered goes into the record.
            make_directory(self._manifest(target).parent)
            self._cache(target).unlink(missing_ok=True)
            export = self._observe(target)
            record = self._record(target, export, start)
            write_json(self._manifest(target), record.to_dict())
            return record
        folder = self.output(target)
        if folder.exists() and not self._is_ours(target):
            raise DataError(
                f"{folder} is in the way: it exists but was not written by this project (no manifest.json). "
                "Move it elsewhere; nothing of yours is deleted."
            )
        make_directory(folder.parent)
        # What an interrupted export has written stays, and the next one goes on from it.
        place = open_export(folder, {"code": self.code_version, **self.settings(target)})
        try:
            export = self._export(target, place)
        except DynvisionError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        except OSError as error:
            raise DynvisionError(
                f"{target}: {place} could not be written ({error}). What is there is kept: make room or mend the disk, "
                f"then go on: dynvision make {target}"
            ) from error
        record = self._record(target, export, start)
        write_json(place / "manifest.json", record.to_dict())
        replace_directory(place, folder)
        return record

    def _is_ours(self, target: Target) -> bool:
        """Whether the folder was written by this project, put aside by a failed check or not."""
        names = ("manifest.json", "manifest.json.rejected")
        contents = [read_json(self.output(target) / name) for name in names]
        return any(content is not None and content.get("target") == str(target) for content in contents)

    def _export(self, target: Target, folder: Path) -> Export:
        _, dataset = target.key
        split = str(target.partition)
        export = partial(export_images, compress_level=self.config.data.png_compress_level, workers=self.run.workers)
        if dataset == "gratings":
            from dynvision.data.sources.gratings import class_names, iterate_gratings

            settings = self.config.data.gratings
            names = class_names(settings)
            total = len(names) * (settings.train_per_class if split == "train" else settings.test_per_class)
            images: Any = iterate_gratings(settings, split, self.config.data.data_resolution[dataset])
            return export(images, names, folder, total, str(target))
        source = self.config.data.data_sources.get(dataset)
        if source is not None and source.class_path is not None:
            images = self._open_own(dataset, split, source)
            return export(images, images.classes, folder, len(images), str(target))
        archives = fetch_archive(
            dataset, self.paths.raw(dataset) / "archive", self.config.data.data_sources.get(dataset)
        )
        images = open_split(dataset, split, archives)
        count = len(images.labels)
        return export(images, images.classes, folder, count, str(target))

    def _open_own(self, dataset: str, split: str, source: DataSource) -> OwnDataset:
        bases = [self.paths.external(dataset), self.paths.raw(dataset)]
        folder = next((base for base in bases if base.is_dir()), bases[0])
        where = f"{self.config.folder / 'config_data.yaml'}: data_sources.{dataset}.class"
        return open_own_dataset(str(source.class_path), source.args, folder, split, where)

    def _observe(self, target: Target) -> Export:
        if target not in self._observed:
            order = self.order_of(target)
            self._observed[target] = scan_class_folders(self.output(target), *order, self._cache(target))
        return self._observed[target]

    def check_unchanged(self, target: Target) -> str:
        """Look at every image of a dataset that this project does not write, whatever is remembered of its folders.

        Returns:
            A digest of what is there; empty for a dataset that this project writes.

        Raises:
            DataError: An image was changed in place, which nothing but a look at each can tell.
        """
        if self.is_exported(target.key[1]):
            return ""
        export = scan_class_folders(self.output(target), *self.order_of(target))
        record = self.read_record(target)
        if record is None or record.config.get("files") != export.digest:
            self._cache(target).unlink(missing_ok=True)  # so that the state of everything is true from now on
            raise DataError(
                f"{target}: images in {self.output(target)} were changed since they were looked at. "
                f"Look again: dynvision make {target}"
            )
        return export.digest

    def order_of(self, target: Target) -> tuple[dict[int, tuple[str, str]] | None, list[Path]]:
        """What gives the classes of a dataset that this project does not write their indices.

        Returns:
            The class index file's content, where there is one, and the folders of the other splits.
        """
        _, dataset = target.key
        beside = [self.source_folder(dataset, split) for split in SPLITS if split != target.partition]
        return self.class_index(dataset), beside

    def _cache(self, target: Target) -> Path:
        return self.paths.raw(target.key[1]) / f".{target.partition}.scan.json"

    def class_index(self, dataset: str) -> dict[int, tuple[str, str]] | None:
        """The folder and name of each class, from the dataset's index file; `None` where it has none."""
        given = self.config.data.class_index_files.get(dataset)
        if given is None:
            return None
        path = Path(given).expanduser()
        path = path if path.is_absolute() else self.paths.root / path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return {int(index): (str(entry[0]), str(entry[1])) for index, entry in content.items()}
        except (OSError, ValueError, LookupError, AttributeError) as error:
            raise ConfigError(
                f"{self.config.folder / 'config_data.yaml'}: class_index_files.{dataset}: cannot read {path} "
                f"({error}). It maps each index to [folder, name]."
            ) from error

    def _record(self, target: Target, export: Export, start: float) -> Record:
        dataset = target.key[1]
        count = sum(c.count for c in export.classes)
        return make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={},
            content=export.digest,
            details={
                "source": self.paths.relative(self.output(target)),
                "images": count,
                "bytes": export.n_bytes,
                "channels": (1 if len(export.shape) == 2 else 3)
                if export.shape is not None
                else self._channels(dataset),
                "seconds": round(time.perf_counter() - start, 3),
                "classes": [c.to_dict() for c in export.classes],
                "ignored": {name: list(found) for name, found in export.ignored.items()},
            },
        )
