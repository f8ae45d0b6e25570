"""Processed: `.beton` files, one folder for each split and group."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.betons.sidecars import read_sidecar, read_sidecar_head, verify_beton
from dynvision.data.betons.spec import BetonFile, default_write_mode
from dynvision.data.betons.writing import write_betons
from dynvision.data.images.samples import list_samples
from dynvision.data.images.splits import stratified_split
from dynvision.data.sources.registry import find_source
from dynvision.errors import DataError, DynvisionError, unknown_name
from dynvision.keys import SplitGroup
from dynvision.records import Record, make_record
from dynvision.stages.base import ReadBack, Stage
from dynvision.stages.checks import Check, CheckResult, Inspection
from dynvision.stages.contact_sheets import draw_classes
from dynvision.stages.interim import InterimStage, select_group
from dynvision.stages.raw import RawStage
from dynvision.system.files import digest_json
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dynvision.data.ffcv_dataloader import FFCVStimulusLoader

__all__ = ["ProcessedFile", "ProcessedStage", "file_names"]


def file_names(split: str) -> tuple[str, ...]:
    """Return the names of a split's files: `train` and `val`, or `test`."""
    return ("train", "val") if split == "train" else ("test",)


@dataclass(frozen=True)
class ProcessedFile:
    """A `.beton` file that was compared with its sidecar.

    Attributes:
        path: The file.
        sidecar: What the sidecar says: classes, samples, settings, data version.
        normalize: Mean and standard deviation of the dataset's channels, if the config has them.
    """

    path: Path
    sidecar: dict[str, Any]
    normalize: tuple[list[float], list[float]] | None

    def loader(self, **settings: Any) -> FFCVStimulusLoader:
        """Open the file; takes the settings of `get_ffcv_dataloader`, normalized like the dataset by default."""
        from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

        return get_ffcv_dataloader(self.path, **{"normalize": self.normalize, **settings})


def betons_match_their_sidecars(inspection: Inspection) -> CheckResult:
    """Every `.beton` file is, byte for byte, the one that its sidecar describes."""
    paths = sorted(inspection.folder / f"{name}.beton" for name in inspection.record.details["parts"])
    wrong, samples = [], 0
    for path in paths:
        try:
            samples += verify_beton(path, full=True)["file"]["samples"]
        except DynvisionError as error:
            wrong.append(str(error))
    sentence = f"{samples} samples in {len(paths)} files"
    return CheckResult("betons_match_their_sidecars", not wrong, sentence, {"samples": samples}, wrong)


class ProcessedStage(Stage):
    """`processed/<dataset>`, partitions `<split>_<group>`; there are none if `use_ffcv` is false."""

    name = folder = "processed"
    code_version = "1"
    observes_config = True
    selectors = ("split", "group")
    load_options = ("file",)
    checks = (Check(betons_match_their_sidecars, is_hard=True),)

    def keys(self) -> list[tuple[str, ...]]:
        return [(self.name, dataset) for dataset in self.config.datasets] if self.config.data.use_ffcv else []

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return self.stages.of(InterimStage).partitions((InterimStage.name, key[1]))

    def upstream(self, target: Target) -> list[Target]:
        return [Target((InterimStage.name, target.key[1]), target.partition)]

    def settings(self, target: Target) -> dict[str, Any]:
        data = self.config.data
        resolution = data.data_resolution[target.key[1]]
        mode = self.write_mode(target.key[1])
        settings: dict[str, Any] = {"resolution": resolution, "write_mode": mode}
        if mode != "raw":
            settings["jpeg_quality"] = data.jpeg_quality
        if "val" in file_names(SplitGroup.parse(str(target.partition)).split):
            settings |= {"train_ratio": data.train_ratio, "split_seed": data.split_seed}
        return settings

    def write_mode(self, dataset: str) -> str:
        """Return how the images of a dataset are stored: one of `WRITE_MODES`."""
        data = self.config.data
        channels = find_source(dataset, self.config, self.paths).channels
        chosen = data.write_mode.get(dataset)
        return "raw" if channels == 1 else chosen or default_write_mode(data.data_resolution[dataset], channels)

    def describe(self, key: tuple[str, ...]) -> str:
        size = self.config.data.data_resolution[key[1]]
        return (
            f"Images of {key[1]} at {size} × {size} pixels as FFCV files: "
            "`train.beton` and `val.beton` (a seeded split with every class in both) or `test.beton`, each with a "
            "sidecar that traces every sample to its image."
        )

    def written(self, target: Target) -> list[Path]:
        return [self.output(target), *self.files(target)]

    def files(self, target: Target) -> list[Path]:
        """Return the paths of a target's `.beton` files."""
        split = SplitGroup.parse(str(target.partition)).split
        return [self.output(target) / f"{name}.beton" for name in file_names(split)]

    def read_record(self, target: Target) -> Record | None:
        records = []
        for path in self.files(target):
            sidecar = read_sidecar_head(path)
            if sidecar is None or not path.is_file() or path.stat().st_size != sidecar["file"].get("bytes"):
                return None
            records.append(Record.from_dict(sidecar["record"], path))
        same = len({record.data_version for record in records}) == 1
        return records[0] if same else None

    def record_files(self, target: Target) -> list[Path]:
        return [path.with_name(path.name + ".json") for path in self.files(target)]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        return select_group(self, key, **options) if options else super().select(key)

    def load(self, targets: Sequence[Target], file: str | None = None, **options: Any) -> ProcessedFile:
        target, _ = self.require_one(targets)
        names = file_names(SplitGroup.parse(str(target.partition)).split)
        name = file or names[0]
        if name not in names:
            raise unknown_name("file", name, names, str(target))
        path = self.output(target) / f"{name}.beton"
        statistics = self.config.data.data_statistics.get(target.key[1])
        normalize = (statistics.mean, statistics.std) if statistics else None
        return ProcessedFile(path, verify_beton(path), normalize)

    def read_back(self, target: Target, record: Record) -> ReadBack:
        samples, missing = 0, set()
        for name in record.details["parts"]:
            file = verify_beton(self.output(target) / f"{name}.beton", full=True)["file"]
            samples += file["samples"]
            missing |= {source for source, _ in file["bad_images"]}
        return ReadBack(digest_json(sorted(missing)) if missing else "", f"{samples} samples, byte for byte")

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        folder = self.stages.of(InterimStage).output(self.upstream(target)[0])
        return {"contact_sheet": draw_classes(folder, record.details["classes"], str(target))}

    def count_bytes(self, target: Target, record: Record) -> int | None:
        return self._sum_files(target, record)

    def describe_files(self, target: Target, with_samples: bool = False) -> dict[str, dict[str, Any]]:
        parts = ("file", "samples") if with_samples else ("file",)
        sidecars = {path.name: read_sidecar(path) for path in self.files(target)}
        return {name: {part: sidecar[part] for part in parts} for name, sidecar in sidecars.items()}

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        interim = self.stages.of(InterimStage)
        self.stages.of(RawStage).check_unchanged(interim.upstream(upstream)[0])
        samples = list_samples(interim.output(upstream), inputs[upstream])
        parts = self.split(target, [s.label for s in samples])
        data, channels = self.config.data, inputs[upstream].details["channels"]
        resolution, mode = data.data_resolution[target.key[1]], self.write_mode(target.key[1])
        files = [
            BetonFile(
                path=path,
                samples=[samples[i] for i in parts[path.stem]],
                base=self.paths.root,
                resolution=resolution,
                channels=channels,
                record={},
                write_mode=mode,
                jpeg_quality=data.jpeg_quality,
            )
            for path in self.files(target)
        ]
        sidecars = write_betons(
            files,
            timeout=data.write_timeout,
            description=str(target),
            max_bad_images=data.max_bad_images,
            finish_record=lambda left_out: self._record(target, inputs[upstream], files, left_out).to_dict(),
        )
        seconds = time.perf_counter() - start
        facts = {"bytes": sum(s["file"]["bytes"] for s in sidecars), "seconds": round(seconds, 3)}
        record = Record.from_dict(sidecars[0]["record"], self.output(target))
        return Record(**{**record.to_dict(), "details": {**record.details, **facts}})

    def _record(
        self, target: Target, interim: Record, files: Sequence[BetonFile], left_out: Sequence[Sequence[str]]
    ) -> Record:
        """Make the record of some files, given `[path, reason]` of each image that was left out."""
        missing = {source for source, _ in left_out}
        lost = Counter(s.label for file in files for s in file.samples if s.source in missing)
        written = {file.path.stem: sum(s.source not in missing for s in file.samples) for file in files}
        return make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={str(upstream): interim.data_version for upstream in self.upstream(target)},
            content=digest_json(sorted(missing)) if missing else "",
            details={
                "images": sum(written.values()),
                "parts": written,
                "classes": [{**c, "count": c["count"] - lost[c["index"]]} for c in interim.details["classes"]],
                "channels": files[0].channels,
                "resolution": files[0].resolution,
                "fit": files[0].fit,
                "bad_images": left_out,
            },
        )

    def split(self, target: Target, labels: Sequence[int]) -> dict[str, list[int]]:
        """Return the indices of the samples that go into each file."""
        if file_names(SplitGroup.parse(str(target.partition)).split) == ("test",):
            return {"test": list(range(len(labels)))}
        train, val = stratified_split(labels, self.config.data.train_ratio, self.config.data.split_seed)
        if not val:
            raise DataError(f"{target}: no class has two images, so nothing is left for validation; add images")
        return {"train": train, "val": val}
