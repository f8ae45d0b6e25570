"""Processed: `.beton` files, one folder for each split and group."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.data.betons.sidecars import read_sidecar_head
from dynvision.data.betons.spec import default_write_mode
from dynvision.data.sources.registry import find_source
from dynvision.errors import DataError
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.stages.interim import InterimStage, split_partition
from dynvision.stages.raw import RawStage
from dynvision.system.files import digest_json
from dynvision.targets import Target

__all__ = ["ProcessedStage", "file_names"]


def file_names(split: str) -> tuple[str, ...]:
    """The parts that a split is kept in: `train` and `val`, or `test`."""
    return ("train", "val") if split == "train" else ("test",)


class ProcessedStage(Stage):
    """`processed/<dataset>`, partitions `<split>_<group>`; absent where `use_ffcv` is false."""

    name = "processed"
    code_version = "1"

    def keys(self) -> list[tuple[str, ...]]:
        return [("processed", dataset) for dataset in self.config.datasets] if self.config.data.use_ffcv else []

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return InterimStage(self.config, self.paths).partitions(("interim", key[1]))

    def upstream(self, target: Target) -> list[Target]:
        return [Target(("interim", target.key[1]), target.partition)]

    def settings(self, target: Target) -> dict[str, Any]:
        data = self.config.data
        resolution = data.data_resolution[target.key[1]]
        mode = self.write_mode(target.key[1])
        settings: dict[str, Any] = {"resolution": resolution, "write_mode": mode}
        if mode != "raw":
            settings["jpeg_quality"] = data.jpeg_quality
        if str(target.partition).startswith("train_"):
            settings |= {"train_ratio": data.train_ratio, "split_seed": data.split_seed}
        return settings

    def write_mode(self, dataset: str) -> str:
        """How the images of a dataset are stored."""
        data = self.config.data
        channels = find_source(dataset, self.config, self.paths).channels
        chosen = data.write_mode.get(dataset)
        return "raw" if channels == 1 else chosen or default_write_mode(data.data_resolution[dataset], channels)

    def output(self, target: Target) -> Path:
        return self.paths.processed(target.key[1], str(target.partition))

    def written(self, target: Target) -> list[Path]:
        return [self.output(target), *self.files(target)]

    def files(self, target: Target) -> list[Path]:
        """The `.beton` files of a target."""
        split, _ = split_partition(str(target.partition))
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

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record], force: bool = False) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        from dynvision.data.betons.spec import BetonFile
        from dynvision.data.betons.writing import write_betons
        from dynvision.data.images.samples import list_samples

        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        link = inputs[upstream]
        folder = self.paths.interim(target.key[1], str(target.partition))
        RawStage(self.config, self.paths).check_unchanged(InterimStage(self.config, self.paths).upstream(upstream)[0])
        samples = list_samples(folder, link)
        parts = self.split(target, [s.label for s in samples])
        resolution = self.config.data.data_resolution[target.key[1]]
        channels = link.details["channels"]
        data, mode = self.config.data, self.write_mode(target.key[1])

        def finish_record(left_out: list[list[str]]) -> dict[str, Any]:
            missing = {source for source, _ in left_out}
            lost = Counter(sample.label for sample in samples if sample.source in missing)
            return make_record(
                target,
                code_version=self.code_version,
                config=self.settings(target),
                inputs={str(upstream): link.data_version},
                content=digest_json(sorted(missing)) if missing else "",
                details={
                    "images": len(samples) - len(missing),
                    "parts": {n: sum(samples[i].source not in missing for i in p) for n, p in parts.items()},
                    "classes": [{**c, "count": c["count"] - lost[c["index"]]} for c in link.details["classes"]],
                    "channels": channels,
                    "resolution": resolution,
                    "fit": files[0].fit,
                    "bad_images": left_out,
                },
            ).to_dict()

        files = [
            BetonFile(
                path,
                [samples[i] for i in parts[path.stem]],
                self.paths.root,
                resolution,
                channels,
                {},
                mode,
                data.jpeg_quality,
            )
            for path in self.files(target)
        ]
        sidecars = write_betons(
            files,
            timeout=data.write_timeout,
            description=str(target),
            max_bad_images=data.max_bad_images,
            finish_record=finish_record,
        )
        seconds = time.perf_counter() - start
        facts = {"bytes": sum(s["file"]["bytes"] for s in sidecars), "seconds": round(seconds, 3)}
        record = Record.from_dict(sidecars[0]["record"], self.output(target))
        return Record(**{**record.to_dict(), "details": {**record.details, **facts}})

    def split(self, target: Target, labels: Sequence[int]) -> dict[str, list[int]]:
        """Which samples go into which part."""
        from dynvision.data.images.splits import stratified_split

        if str(target.partition).startswith("test_"):
            return {"test": list(range(len(labels)))}
        train, val = stratified_split(labels, self.config.data.train_ratio, self.config.data.split_seed)
        if not val:
            raise DataError(f"{target}: no class has two images, so nothing is left for validation; add images")
        return {"train": train, "val": val}
