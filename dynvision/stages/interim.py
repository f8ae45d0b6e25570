"""Interim: class groups as folders of symlinks, one folder for each split and group."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.images.files import list_images
from dynvision.data.images.image_table import read_image_bytes, table_name, write_table
from dynvision.data.images.samples import list_samples
from dynvision.errors import ConfigError, DamagedFileError, DataError
from dynvision.keys import SplitGroup
from dynvision.records import Record, make_record, read_record, rebuild_advice
from dynvision.stages.base import ReadBack, Stage
from dynvision.stages.checks import Check, CheckResult, Inspection, count_images_again
from dynvision.stages.contact_sheets import draw_classes
from dynvision.stages.raw import SPLITS, RawStage
from dynvision.system.files import make_directory, write_json
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["InterimStage"]


def every_link_resolves(inspection: Inspection) -> CheckResult:
    """Every class of the group is a link to a folder, and there are no other links."""
    folder = inspection.folder
    wanted = {c["folder"] for c in inspection.record.details["classes"]}
    broken = sorted(name for name in wanted if not (folder / name).is_dir())
    extra = sorted(p.name for p in folder.iterdir() if p.is_symlink() and p.name not in wanted)
    sentence = f"{len(wanted) - len(broken)} of {len(wanted)} links lead to a folder, {len(extra)} do not belong"
    return CheckResult("every_link_resolves", not broken + extra, sentence, {"links": len(wanted)}, broken + extra)


def linked_images_are_those_that_were_counted(inspection: Inspection) -> CheckResult:
    """Every link leads to as many images as its class was counted with."""
    counts, wrong = count_images_again(inspection.folder, inspection.record)
    total = sum(counts.values())
    sentence = f"{total} images behind {len(counts)} links"
    return CheckResult("linked_images_are_those_that_were_counted", not wrong, sentence, {"images": total}, wrong)


def select_group(stage: Stage, key: tuple[str, ...], split: str = "train", group: str = "all") -> list[Target]:
    """Return the target of a split and group; both have the defaults that are used if only one of them is given."""
    return [Target(key, stage.parse(key, str(SplitGroup(split, group))))]


class InterimStage(Stage):
    """`interim/<dataset>`, partitions `<split>_<group>`."""

    name = folder = "interim"
    code_version = "1"
    observes_config = True
    selectors = ("split", "group")
    checks = (Check(every_link_resolves, is_hard=True), Check(linked_images_are_those_that_were_counted, is_hard=True))

    def keys(self) -> list[tuple[str, ...]]:
        return [("interim", dataset) for dataset in self.config.datasets]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [str(SplitGroup(split, group)) for split in SPLITS for group in self.config.data.groups(key[1])]

    def upstream(self, target: Target) -> list[Target]:
        return [Target((RawStage.name, target.key[1]), SplitGroup.parse(str(target.partition)).split)]

    def settings(self, target: Target) -> dict[str, Any]:
        group = SplitGroup.parse(str(target.partition)).group
        return {"classes": self.config.data.groups(target.key[1])[group]}

    def describe(self, key: tuple[str, ...]) -> str:
        return (
            f"Class groups of {key[1]} as links to its raw class folders: "
            f"`data/interim/{key[1]}/<split>_<group>/<class>`, with `folder.link` saying what is linked."
        )

    def read_record(self, target: Target) -> Record | None:
        return read_record(self.output(target) / "folder.link", target)

    def check_files(self, target: Target, record: Record, *, afresh: bool = False) -> None:
        super().check_files(target, record, afresh=afresh)
        folder = self.output(target)
        names = [entry["folder"] for entry in record.details["classes"]]
        existing = _read_links(folder)
        for name, destination in self._destinations(folder, record.details["source"], names).items():
            if existing.get(name) != destination:
                leads = f"leads to {existing[name]}" if name in existing else "is missing"
                raise DamagedFileError(
                    f"the link {folder / name} {leads}, where {destination} was linked. {rebuild_advice(target)}"
                )
        if extra := sorted(existing.keys() - set(names)):
            raise DamagedFileError(f"the link {folder / extra[0]} was added later. {rebuild_advice(target)}")

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "folder.link"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        return select_group(self, key, **options) if options else super().select(key)

    def load(self, targets: Sequence[Target], **options: Any) -> Any:
        from dynvision.data.group_folder import GroupFolder

        target, record = self.require_one(targets)
        self.check_files(target, record)
        return GroupFolder(self.output(target), self.paths, record=record)

    def read_back(self, target: Target, record: Record) -> ReadBack:
        folder = self.output(target)
        for sample in list_samples(folder, record, self.paths.root):
            read_image_bytes(self.paths.root / sample.source, sample.xxh3)
        sentence = f"{len(record.details['classes'])} links lead to {record.details['images']} images"
        return ReadBack("", sentence)

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        return {"contact_sheet": draw_classes(self.output(target), record.details["classes"], str(target))}

    def count_bytes(self, target: Target, record: Record) -> int | None:
        return None  # Links take no space of their own.

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        raw = inputs[upstream].details
        chosen = self._choose_classes(target, raw["classes"])
        source = self.paths.root / raw["source"]  # An absolute source stays as it is.
        self._check_counts(source, chosen, upstream)
        folder = make_directory(self.output(target))
        self._link(folder, source, self._destinations(folder, raw["source"], [c["folder"] for c in chosen]))
        images = self.stages.of(RawStage).read_images(upstream, inputs[upstream])
        table = folder / table_name(folder / "folder.link")
        (folder / "folder.link").unlink(missing_ok=True)  # Other images never lie next to the old record.
        digest = write_table(table, {c["folder"]: images[c["folder"]] for c in chosen if c["folder"] in images})
        record = make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={str(upstream): inputs[upstream].data_version},
            content="",
            files={table.name: digest},
            details={
                "group": SplitGroup.parse(str(target.partition)).group,
                "source": raw["source"],
                "images": sum(c["count"] for c in chosen),
                "channels": raw["channels"],
                "seconds": round(time.perf_counter() - start, 3),
                "classes": [{**c, "group_index": position} for position, c in enumerate(chosen)],
            },
        )
        write_json(folder / "folder.link", record.to_dict())
        return record

    def _check_counts(self, source: Path, classes: Sequence[dict[str, Any]], upstream: Target) -> None:
        """Raise if a class folder does not hold the images that the raw stage counted."""
        # The raw stage has just looked at images that this project did not write, to know that it is up to date.
        is_exported = self.stages.of(RawStage).is_exported(upstream.key[1])
        for entry in classes:
            folder, count = source / entry["folder"], entry["count"]
            if not folder.is_dir():
                count = 0
            elif is_exported:
                count = len(list_images(folder))
            if count != entry["count"]:
                raise DataError(
                    f"{folder} holds {count} images where {entry['count']} were counted. "
                    f"Make it again: dynvision make --force {upstream}"
                )

    def _choose_classes(self, target: Target, classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = self.settings(target)["classes"]
        if wanted is None:
            return classes
        by_index = {c["index"]: c for c in classes}
        outside = [index for index in wanted if index not in by_index]
        if outside:
            group = SplitGroup.parse(str(target.partition)).group
            raise ConfigError(
                f"{self.config.folder / 'config_data.yaml'}: data_groups.{target.key[1]}.{group}: class index "
                f"{outside[0]} is outside '{target.key[1]}', whose classes are {min(by_index)} to {max(by_index)}"
            )
        return [by_index[index] for index in wanted]

    def _destinations(self, folder: Path, source: str, classes: list[str]) -> dict[str, str]:
        """Return where the link of each class leads: relative inside the root, so that it can be moved."""
        path = self.paths.root / source
        inside = self.paths.root in path.parents
        return {
            name: os.path.relpath(path / name, folder) if inside else str((path / name).absolute()) for name in classes
        }

    def _link(self, folder: Path, source: Path, wanted: dict[str, str]) -> None:
        """Make the folder hold exactly these links. Anything else in it is an error."""
        for entry in list(os.scandir(folder)):
            if entry.name[0] == "." or entry.name.startswith(("folder.link", "folder.images.parquet")):
                continue
            if not entry.is_symlink():
                raise DataError(
                    f"{entry.path} is in the way: it is not a link of this project. Move it elsewhere; "
                    "nothing of yours is deleted."
                )
        existing = _read_links(folder)
        if existing == wanted:
            return
        # Delete the record first: from here on the folder is not what it says.
        (folder / "folder.link").unlink(missing_ok=True)
        for name, destination in existing.items():
            if wanted.get(name) != destination:
                os.unlink(folder / name)
        for name, destination in wanted.items():
            link = folder / name
            if not link.is_symlink():
                link.symlink_to(destination)
            if not link.is_dir():
                raise DataError(f"{link} leads nowhere: {source / name} is not a folder. Rebuild the raw stage.")


def _read_links(folder: Path) -> dict[str, str]:
    """Return where each link in a folder leads; none if there is no such folder."""
    if not folder.is_dir():
        return {}
    return {entry.name: os.readlink(entry.path) for entry in os.scandir(folder) if entry.is_symlink()}
