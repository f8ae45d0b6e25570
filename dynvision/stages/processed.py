"""Processed: `.beton` files, one folder for each split and group."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.images.samples import Sample, list_samples
from dynvision.data.images.splits import stratified_split
from dynvision.data.stores.base import ImageStore, StoredImages, WrittenStore
from dynvision.data.stores.registry import open_store
from dynvision.errors import DataError, DynvisionError, unknown_name
from dynvision.keys import SplitGroup
from dynvision.records import Record, make_record
from dynvision.stages.base import ReadBack, Stage
from dynvision.stages.base.checks import Check, CheckResult, Inspection
from dynvision.stages.contact_sheets import draw_classes, draw_stimuli
from dynvision.stages.interim import InterimStage, group_selectors, select_group
from dynvision.stages.links import list_links
from dynvision.stages.raw import RawStage
from dynvision.system.files import digest_json
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ProcessedStage"]


class ProcessedInspection(Inspection):
    """A look at processed images; the stage knows the files and their store."""

    stage: ProcessedStage


def image_files_are_as_they_were_written(inspection: ProcessedInspection) -> CheckResult:
    """The files of images that networks are shown are, byte for byte, those that were written and verified."""
    stage = inspection.stage
    paths = sorted(stage.files(inspection.target))
    wrong, samples = [], 0
    for path in paths:
        try:
            samples += stage.store.verify(path, full=True)["file"]["samples"]
        except DynvisionError as error:
            wrong.append(str(error))
    sentence = f"{samples} samples in {len(paths)} files"
    return CheckResult("image_files_are_as_they_were_written", not wrong, sentence, {"samples": samples}, wrong)


class ProcessedStage(Stage):
    """`processed/<dataset>`, the partitions of interim; there are none if the store of images writes no files."""

    name = folder = "processed"
    code_version = "1"
    observes_config = True
    selectors = ("split", "group")
    load_options = ("file",)
    checks = (Check(image_files_are_as_they_were_written, is_hard=True),)

    @cached_property
    def image_store(self) -> ImageStore:
        """The store that keeps the images."""
        return open_store(self.config, self.paths)

    @property
    def store(self) -> WrittenStore:
        """The same, as this stage writes it."""
        assert isinstance(self.image_store, WrittenStore), "the stage has no targets if the store writes no files"
        return self.image_store

    @property
    def is_used(self) -> bool:
        """Whether this stage writes images; otherwise they are opened where the interim stage links them."""
        return isinstance(self.image_store, WrittenStore)

    def images(self, dataset: str, group: SplitGroup) -> Target:
        """Return the target whose images networks are shown."""
        return Target((self.name if self.is_used else InterimStage.name, dataset), str(group))

    def open_images(self, target: Target, record: Record) -> StoredImages:
        """Open the images of a target that `images` gave."""
        return self.image_store.open(target.key[1], str(target.partition), record)

    def keys(self) -> list[tuple[str, ...]]:
        return [(self.name, dataset) for dataset in self.config.datasets] if self.is_used else []

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return self.stages.of(InterimStage).partitions((InterimStage.name, key[1]))

    def upstream(self, target: Target) -> list[Target]:
        return [Target((InterimStage.name, target.key[1]), target.partition)]

    def settings(self, target: Target) -> dict[str, Any]:
        data, settings = self.config.data, self.store.settings(target.key[1])
        if "val" in self.parts(target):
            settings |= {"train_ratio": data.train_ratio, "split_seed": data.split_seed}
        return settings

    def describe(self, key: tuple[str, ...]) -> str:
        size = self.config.data.data_resolution[key[1]]
        if self.config.data.is_stimulus_set(key[1]):
            return (
                f"The images of the stimulus set {key[1]} at {size} × {size} pixels as an FFCV file, `images.beton`, "
                "with a sidecar that traces every sample to its image and its row in the table."
            )
        return (
            f"Images of {key[1]} at {size} × {size} pixels as FFCV files: "
            "`train.beton` and `val.beton` (a seeded split with every class in both) or `test.beton`, each with a "
            "sidecar that traces every sample to its image."
        )

    def written(self, target: Target) -> list[Path]:
        return [self.output(target), *self.files(target)]

    def parts(self, target: Target) -> tuple[str, ...]:
        """Return the parts of a target; see `SplitGroup.parts`."""
        return self.stages.of(InterimStage).split_group(target).parts

    def files(self, target: Target) -> list[Path]:
        """Return the paths of a target's files, one for each part."""
        return [self.store.file(self.output(target), part) for part in self.parts(target)]

    def read_record(self, target: Target) -> Record | None:
        records = [self.store.read_record(path) for path in self.files(target)]
        whole = [record.of(target, self.output(target)) for record in records if record is not None]
        same = len(whole) == len(records) and len({record.data_version for record in whole}) == 1
        return whole[0] if same else None

    def check_files(self, target: Target, record: Record, *, afresh: bool = False) -> None:
        for path in self.files(target):
            self.store.verify(path, full=afresh)

    def record_files(self, target: Target) -> list[Path]:
        return [self.store.record_file(path) for path in self.files(target)]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        return select_group(self, key, **options)

    def selectors_of(self, key: tuple[str, ...]) -> tuple[str, ...]:
        return group_selectors(self, key)

    def load(self, targets: Sequence[Target], file: str | None = None, **options: Any) -> Any:
        target, _ = self.require_one(targets)
        parts = self.parts(target)
        part = file or parts[0]
        if part not in parts:
            raise unknown_name("file", part, parts, str(target))
        return self.store.load(self.store.file(self.output(target), part), target.key[1])

    def read_back(self, target: Target, record: Record) -> ReadBack:
        samples, missing = 0, set()
        for path in self.files(target):
            file = self.store.verify(path, full=True)["file"]
            samples += file["samples"]
            missing |= {source for source, _ in file["bad_images"]}
        return ReadBack(digest_json(sorted(missing)) if missing else "", f"{samples} samples, byte for byte")

    def inspect(self, target: Target, record: Record) -> ProcessedInspection:
        return ProcessedInspection(self, target, record)

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        interim, (upstream,) = self.stages.of(InterimStage), self.upstream(target)
        folder, link = interim.output(upstream), interim.read_record(upstream)
        if not record.details["classes"] and link is not None:
            images = [folder / name for name in list_links(folder, link)]
            return {"contact_sheet": draw_stimuli(images, record, str(target))}
        return {"contact_sheet": draw_classes(folder, record, str(target))}

    def count_bytes(self, target: Target, record: Record) -> int | None:
        return self._sum_files(target, record)

    def describe_files(self, target: Target, with_samples: bool = False) -> dict[str, dict[str, Any]]:
        parts = ("file", "samples") if with_samples else ("file",)
        files = {path.name: self.store.describe(path) for path in self.files(target)}
        return {name: {part: facts[part] for part in parts} for name, facts in files.items()}

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        interim, link = self.stages.of(InterimStage), inputs[upstream]
        self.stages.of(RawStage).check_unchanged(interim.upstream(upstream)[0])
        samples = list_samples(interim.output(upstream), link, self.paths.root)
        indices = self.split(target, [s.label for s in samples])
        parts = {part: [samples[i] for i in chosen] for part, chosen in indices.items()}
        record, n_bytes = self.store.write(
            self.output(target),
            target.key[1],
            parts,
            link.details["channels"],
            str(target),
            lambda left_out: self._record(target, link, parts, left_out),
        )
        facts = {"bytes": n_bytes, "seconds": round(time.perf_counter() - start, 3)}
        return dataclasses.replace(record, details={**record.details, **facts})

    def _record(
        self,
        target: Target,
        link: Record,
        parts: Mapping[str, Sequence[Sample]],
        left_out: Sequence[Sequence[str]],
    ) -> Record:
        """Make the record of a target, given `[path, reason]` of each image that was left out."""
        missing = {source for source, _ in left_out}
        lost = Counter(s.label for samples in parts.values() for s in samples if s.source in missing)
        written = {part: sum(s.source not in missing for s in samples) for part, samples in parts.items()}
        return make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={str(upstream): link.data_version for upstream in self.upstream(target)},
            content=digest_json(sorted(missing)) if missing else "",
            details={
                "images": sum(written.values()),
                "parts": written,
                "classes": [{**c, "count": c["count"] - lost[c["index"]]} for c in link.details["classes"]],
                "channels": link.details["channels"],
                **{
                    name: link.details[name]
                    for name in ("bit_depth", "frames", "label", "labels")
                    if name in link.details
                },
                "resolution": self.config.data.data_resolution[target.key[1]],
            },
        )

    def split(self, target: Target, labels: Sequence[int]) -> dict[str, list[int]]:
        """Return the indices of the samples that go into each file."""
        if "val" not in self.parts(target):
            return {part: list(range(len(labels))) for part in self.parts(target)}
        train, val = stratified_split(labels, self.config.data.train_ratio, self.config.data.split_seed)
        if not val:
            raise DataError(f"{target}: no class has two images, so nothing is left for validation; add images")
        return {"train": train, "val": val}
