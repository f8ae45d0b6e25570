"""Interim: class groups as folders of symlinks, one folder for each split and group."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.images.files import list_images
from dynvision.data.images.image_table import ImageRow, Rows, write_table
from dynvision.data.images.reading import read_bytes
from dynvision.data.images.samples import list_samples
from dynvision.data.images.stimulus_table import FILENAME, Columns, take_rows, write_stimuli
from dynvision.errors import ConfigError, DamagedFileError, DataError
from dynvision.keys import SplitGroup
from dynvision.records import Record, make_record, read_record, rebuild_advice
from dynvision.stages.base import ReadBack, Stage
from dynvision.stages.base.checks import Check, CheckResult, Inspection, count_images_again
from dynvision.stages.contact_sheets import draw_classes, draw_stimuli
from dynvision.stages.links import (
    choose_stimuli,
    destinations,
    list_labels,
    list_links,
    make_links,
    name_links,
    read_links,
)
from dynvision.stages.raw import SPLITS, RawStage
from dynvision.system.files import make_directory, write_json
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["InterimStage"]


def every_link_resolves(inspection: Inspection) -> CheckResult:
    """The group has a link for each of its classes, or each image of a stimulus set, and no other."""
    folder = inspection.folder
    wanted = list_links(folder, inspection.record).keys()
    noun = "a folder" if inspection.record.details["classes"] else "an image"
    is_whole = Path.is_dir if inspection.record.details["classes"] else Path.is_file
    broken = sorted(name for name in wanted if not is_whole(folder / name))
    extra = sorted(p.name for p in folder.iterdir() if p.is_symlink() and p.name not in wanted)
    sentence = f"{len(wanted) - len(broken)} of {len(wanted)} links lead to {noun}, {len(extra)} do not belong"
    return CheckResult("every_link_resolves", not broken + extra, sentence, {"links": len(wanted)}, broken + extra)


def linked_images_are_those_that_were_counted(inspection: Inspection) -> CheckResult:
    """Every class of the group leads to as many images as it had when they were counted."""
    if not inspection.record.details["classes"]:
        total, count = inspection.record.details["images"], len(list_images(inspection.folder))
        wrong = [] if count == total else [f"{count} of {total} images"]
        sentence = f"{count} links, one for each image"
        return CheckResult("linked_images_are_those_that_were_counted", not wrong, sentence, {"images": count}, wrong)
    counts, wrong = count_images_again(inspection.folder, inspection.record)
    total = sum(counts.values())
    sentence = f"{total} images behind {len(counts)} links"
    return CheckResult("linked_images_are_those_that_were_counted", not wrong, sentence, {"images": total}, wrong)


def select_group(stage: Stage, key: tuple[str, ...], **options: Any) -> list[Target]:
    """Return the targets of a split and group: all if none is given; `train` and `all` if only one of them is.

    A stimulus set has no splits, and its group is `all` if none is given.
    """
    if stage.config.data.is_stimulus_set(key[1]):
        return [Target(key, stage.parse(key, str(options.get("group", "all"))))]
    if not options:
        return [Target(key, partition) for partition in stage.partitions(key)]
    chosen = SplitGroup(options.get("split", "train"), options.get("group", "all"))
    return [Target(key, stage.parse(key, str(chosen)))]


def group_selectors(stage: Stage, key: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keywords that choose a partition: `split` and `group`, or `group` of a stimulus set."""
    return ("group",) if stage.config.data.is_stimulus_set(key[1]) else stage.selectors


class InterimStage(Stage):
    """`interim/<dataset>`, partitions `<split>_<group>`, or `<group>` of a stimulus set."""

    name = folder = "interim"
    code_version = "1"
    observes_config = True
    selectors = ("split", "group")
    checks = (Check(every_link_resolves, is_hard=True), Check(linked_images_are_those_that_were_counted, is_hard=True))

    def keys(self) -> list[tuple[str, ...]]:
        return [("interim", dataset) for dataset in self.config.datasets]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        data = self.config.data
        splits = ("",) if data.is_stimulus_set(key[1]) else SPLITS
        return [str(SplitGroup(split, group)) for split in splits for group in data.groups(key[1])]

    def split_group(self, target: Target) -> SplitGroup:
        """Return the split and group that a target of interim or processed is."""
        return self.config.data.parse_partition(target.key[1], str(target.partition))

    def upstream(self, target: Target) -> list[Target]:
        return [Target((RawStage.name, target.key[1]), self.split_group(target).split or "all")]

    def settings(self, target: Target) -> dict[str, Any]:
        data, dataset, group = self.config.data, target.key[1], self.split_group(target).group
        if not data.is_stimulus_set(dataset):
            return {"classes": data.groups(dataset)[group]}
        chosen, label = data.column_group(dataset, group), data.stimulus_sets[dataset].label
        settings: dict[str, Any] = {"where": None if chosen is None else chosen.where}
        return settings if label is None else settings | {"label": label.model_dump(mode="json")}

    def describe(self, key: tuple[str, ...]) -> str:
        if self.config.data.is_stimulus_set(key[1]):
            return (
                f"Groups of the stimulus set {key[1]} as links to its images: `data/interim/{key[1]}/<group>`, with "
                "`folder.link` saying what is linked."
            )
        return (
            f"Class groups of {key[1]} as links to its raw class folders: "
            f"`data/interim/{key[1]}/<split>_<group>/<class>`, with `folder.link` saying what is linked."
        )

    def read_record(self, target: Target) -> Record | None:
        return read_record(self.output(target) / "folder.link", target)

    def check_files(self, target: Target, record: Record, *, afresh: bool = False) -> None:
        super().check_files(target, record, afresh=afresh)
        folder = self.output(target)
        existing, links = read_links(folder), list_links(folder, record)
        for name, destination in destinations(self.paths.root, folder, record.details["source"], links).items():
            if existing.get(name) != destination:
                leads = f"leads to {existing[name]}" if name in existing else "is missing"
                raise DamagedFileError(
                    f"the link {folder / name} {leads}, where {destination} was linked. {rebuild_advice(target)}"
                )
        if extra := sorted(existing.keys() - links.keys()):
            raise DamagedFileError(f"the link {folder / extra[0]} was added later. {rebuild_advice(target)}")

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "folder.link"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        return select_group(self, key, **options)

    def selectors_of(self, key: tuple[str, ...]) -> tuple[str, ...]:
        return group_selectors(self, key)

    def load(self, targets: Sequence[Target], **options: Any) -> Any:
        from dynvision.data.group_folder import GroupFolder

        target, record = self.require_one(targets)
        self.check_files(target, record)
        return GroupFolder(self.output(target), self.paths, record=record)

    def read_back(self, target: Target, record: Record) -> ReadBack:
        folder = self.output(target)
        for sample in list_samples(folder, record, self.paths.root):
            read_bytes(self.paths.root / sample.source, sample.xxh3)
        links = list_links(folder, record)
        sentence = f"{len(links)} links lead to {record.details['images']} images"
        return ReadBack("", sentence)

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        folder = self.output(target)
        if not record.details["classes"]:
            images = [folder / name for name in list_links(folder, record)]
            return {"contact_sheet": draw_stimuli(images, record, str(target))}
        return {"contact_sheet": draw_classes(folder, record, str(target))}

    def count_bytes(self, target: Target, record: Record) -> int | None:
        return None  # Links take no space of their own.

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        raw, stage = inputs[upstream].details, self.stages.of(RawStage)
        images, stimuli = stage.read_images(upstream, inputs[upstream]), stage.read_stimuli(upstream, inputs[upstream])
        folder, settings = make_directory(self.output(target)), self.settings(target)
        labels: dict[str, Any] = {}
        if stimuli is None:
            chosen = self._choose_classes(target, raw)
            self._check_counts(self.paths.root / raw["source"], chosen, upstream)  # An absolute source stays as it is.
            links, count = {c["folder"]: c["folder"] for c in chosen}, sum(c["count"] for c in chosen)
            images = {c["folder"]: images.get(c["folder"], []) for c in chosen}
        else:
            chosen, whole = [], stimuli
            stimuli = self._choose_stimuli(target, whole)
            if "label" in settings:
                labels = {"label": settings["label"], "labels": list_labels(whole, stimuli, settings["label"])}
            links, count = name_links(stimuli[FILENAME]), len(stimuli[FILENAME])
            images = _keep_images(images, stimuli[FILENAME])
        make_links(folder, destinations(self.paths.root, folder, raw["source"], links))
        files = write_table(folder / "folder.link", images)
        if stimuli is not None:
            files |= write_stimuli(folder / "folder.link", stimuli)
        record = make_record(
            target,
            code_version=self.code_version,
            config=settings,
            inputs={str(upstream): inputs[upstream].data_version},
            content="",
            files=files,
            details={
                "group": self.split_group(target).group,
                "source": raw["source"],
                "images": count,
                "channels": raw["channels"],
                **labels,
                **{name: raw[name] for name in ("bit_depth", "frames") if name in raw},
                "seconds": round(time.perf_counter() - start, 3),
                "classes": chosen,
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

    def _choose_stimuli(self, target: Target, stimuli: Columns) -> dict[str, list[Any]]:
        """Return the rows of a group of a stimulus set."""
        where = self.settings(target)["where"]
        if where is None:
            return {name: list(values) for name, values in stimuli.items()}
        key = f"{self.config.folder / 'config_data.yaml'}: data_groups.{target.key[1]}.{target.partition}"
        return take_rows(stimuli, choose_stimuli(stimuli, where, key))

    def _choose_classes(self, target: Target, raw: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the classes of a group in its order, each with its label within the group, the same in all splits."""
        wanted = self.settings(target)["classes"]
        by_index = {c["index"]: c for c in raw["classes"]}
        if wanted is None:
            labels = {index: label for label, index in enumerate(raw["group_order"])}
            return [{**by_index[index], "group_index": label} for index, label in labels.items() if index in by_index]
        outside = [index for index in wanted if index not in by_index]
        if outside:
            group = self.split_group(target).group
            raise ConfigError(
                f"{self.config.folder / 'config_data.yaml'}: data_groups.{target.key[1]}.{group}: class index "
                f"{outside[0]} is outside '{target.key[1]}', whose classes are {min(by_index)} to {max(by_index)}"
            )
        return [{**by_index[index], "group_index": label} for label, index in enumerate(wanted)]


def _keep_images(rows: Rows, paths: Sequence[str]) -> dict[str, list[ImageRow]]:
    """Return the rows of some images of a stimulus set."""
    wanted = set(paths)
    kept = {
        folder: [row for row in group if (f"{folder}/{row.name}" if folder else row.name) in wanted]
        for folder, group in rows.items()
    }
    return {folder: group for folder, group in kept.items() if group}
