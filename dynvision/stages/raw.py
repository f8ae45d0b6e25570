"""Raw: the images of a dataset as class folders, one partition for each split; those of a stimulus set as they lie."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.data.images.image_table import ImageRow, digest_rows, read_table, table_name, write_table
from dynvision.data.images.stimulus_table import FILENAME, read_stimuli, write_stimuli
from dynvision.data.sources.base import ExportedSource, FoundSource
from dynvision.data.sources.exporting import export_images, open_export, refuse_foreign_files
from dynvision.data.sources.folders.class_folders import Export
from dynvision.data.sources.folders.folder_scan import compare_folders, remember_scans, scan_folders
from dynvision.errors import DamagedFileError, DataError, DynvisionError
from dynvision.records import Record, make_record, rebuild_advice
from dynvision.stages.base import ReadBack
from dynvision.stages.contact_sheets import draw_classes, draw_stimuli
from dynvision.stages.raw_checks import RAW_CHECKS, RawInspection, digest_export
from dynvision.stages.raw_targets import SPLITS, RawTargets
from dynvision.system.files import make_directory, replace_directory, write_json
from dynvision.system.guards import check_guard
from dynvision.system.progress import say
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SPLITS", "RawStage"]


class RawStage(RawTargets):
    """`raw/<dataset>`, partitions `train` and `test`; of a stimulus set, the partition `all`."""

    checks = RAW_CHECKS

    def load(self, targets: Sequence[Target], **options: Any) -> Any:
        from dynvision.data.group_folder import GroupFolder

        target, record = self.require_one(targets)
        manifest = self._manifest(target)
        return GroupFolder(self.output(target), self.paths, record=record, table_folder=manifest.parent)

    def check_files(self, target: Target, record: Record, *, afresh: bool = False) -> None:
        files = record.check_files(self._manifest(target).parent)
        files.check_all(afresh=afresh)
        source = self.source(target.key[1])
        if isinstance(source, FoundSource) and not afresh:
            return  # `settings` compares sizes and times, and the next build the contents.
        folder, cache = self.output(target), self._cache(target)
        if "contents" not in record.details:
            raise DamagedFileError(f"the record of {target} says nothing about its images. {rebuild_advice(target)}")
        contents: dict[str, str] = record.details["contents"]
        existing = [name for name in contents if (folder / name).is_dir()]
        scans = scan_folders(folder, existing, None if afresh else cache, every_image=True)
        if {name: scan.content for name, scan in scans.items()} == contents:
            return  # Nothing changed since all of it was read.
        differences, scans = compare_folders(folder, scans, self.read_images(target, record))
        remember_scans(cache, folder, scans)
        if differences:
            more = f", and {len(differences) - 1} more differences" if len(differences) > 1 else ""
            advice = rebuild_advice(target) if self.is_exported(target.key[1]) else f"Make it: dynvision make {target}"
            raise DamagedFileError(f"{differences[0]}{more}: these are not the recorded images. {advice}")

    def read_images(self, target: Target, record: Record) -> dict[str, list[ImageRow]]:
        """Read the table of a split's images by class folder.

        Raises:
            DamagedFileError: If the table is not as written.
        """
        manifest = self._manifest(target)
        name = table_name(manifest)
        return read_table(record.check_files(manifest.parent).read(name), manifest.with_name(name))

    def read_stimuli(self, target: Target, record: Record) -> dict[str, list[Any]] | None:
        """Read the table of a stimulus set; `None` for other datasets.

        Raises:
            DamagedFileError: If the table is not as written.
        """
        return read_stimuli(record, self._manifest(target).parent)

    def read_back(self, target: Target, record: Record) -> ReadBack:
        if not self.is_exported(target.key[1]):
            sentence = f"{record.details['images']} images, byte for byte"
            return ReadBack(str(record.config["files"]), sentence)
        digest, count = digest_export(self.output(target), record)
        return ReadBack(digest, f"{count} images hold the pixels that were exported")

    def inspect(self, target: Target, record: Record) -> RawInspection:
        return RawInspection(self, target, record)

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        stimuli, folder = self.read_stimuli(target, record), self.output(target)
        if stimuli is not None:
            return {"contact_sheet": draw_stimuli([folder / p for p in stimuli[FILENAME]], record, str(target))}
        return {"contact_sheet": draw_classes(folder, record, str(target))}

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target) for target in targets]

    def _build(self, target: Target) -> Record:
        source = self.source(target.key[1])
        if isinstance(source, FoundSource):
            return self._observe(target, source)
        return self._export(target, source)

    def _observe(self, target: Target, source: FoundSource) -> Record:
        start = time.perf_counter()
        manifest = self._manifest(target)
        make_directory(manifest.parent)
        export = source.read(str(target.partition), self._known_images(target))
        for note in source.notes(str(target.partition)):
            say(f"{target}: {note}")
        return self._record(target, export, start, manifest)

    def _group_order(self, target: Target, export: Export) -> list[int]:
        source = self.source(target.key[1])
        if isinstance(source, FoundSource):
            return source.group_order(str(target.partition))
        return [c.index for c in export.classes]

    def _known_images(self, target: Target) -> dict[str, list[ImageRow]]:
        """Return the images of an earlier record, if it is whole and the run is not a fresh one."""
        try:
            record = None if self.run.fresh else self.read_record(target)
            return {} if record is None else self.read_images(target, record)
        except DataError:
            return {}

    def _cache(self, target: Target) -> Path:
        return self.paths.raw(target.key[1]) / f".{target.partition}.scan.json"

    def _export(self, target: Target, source: ExportedSource) -> Record:
        start = time.perf_counter()
        folder = self.output(target)
        refuse_foreign_files(folder)
        make_directory(folder.parent)
        # An interrupted export leaves its images here, and the next one keeps them unless it is forced.
        source_settings = {"code": self.code_version, **self.settings(target)}
        unfinished = open_export(folder, source_settings, afresh=self.run.fresh)
        try:
            images = source.open(str(target.partition))
            export = export_images(
                images,
                images.classes,
                unfinished,
                len(images),
                str(target),
                compress_level=self.config.data.png_compress_level,
                workers=self.run.workers,
            )
        except DynvisionError:
            check_guard(folder)  # If another process has taken the lock over, the folder is that one's.
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        except OSError as error:
            raise DynvisionError(
                f"{target}: {unfinished} could not be written ({error}). The images written so far are kept. Free some "
                f"space or repair the disk, then resume: dynvision make {target}"
            ) from error
        record = self._record(target, export, start, unfinished / "manifest.json")
        # Not every image is written through to the disk, which would take minutes: an image that a power cut takes is
        # noticed by its digest.
        replace_directory(unfinished, folder)
        return record

    def check_unchanged(self, target: Target) -> str:
        """Look at every image of a dataset that this project does not write, whatever the cache says.

        Returns:
            A digest of the images; empty for a dataset that this project writes.

        Raises:
            DataError: If an image was changed in place, which only a look at each image can tell.
        """
        source = self.source(target.key[1])
        if not isinstance(source, FoundSource):
            return ""
        split = str(target.partition)
        export = source.scan_every_image(split)
        record = self.read_record(target)
        if record is None or record.config.get("files") != export.digest:
            # The cache is wrong: without it, everything that follows is known to be stale as well.
            with contextlib.suppress(OSError):
                source.cache(split).unlink(missing_ok=True)
            raise DataError(
                f"{target}: images in {self.output(target)} were changed since they were looked at. "
                f"Look again: dynvision make {target}"
            )
        return export.digest

    def _record(self, target: Target, export: Export, start: float, manifest: Path) -> Record:
        """Write the manifest and the table of images."""
        files, settings = write_table(manifest, export.rows), self.settings(target)
        if export.stimuli is not None:
            files |= write_stimuli(manifest, export.stimuli)
        # Images that were found are not opened, so their shape is unknown.
        channels = self.source(target.key[1]).channels
        if export.shape is not None:
            channels = 1 if len(export.shape) == 2 else 3
        record = make_record(
            target,
            code_version=self.code_version,
            config=settings,
            inputs={},
            content=export.digest,
            files=files,
            details={
                "source": self.paths.relative(self.output(target)),
                "images": export.count,
                "bytes": export.n_bytes,
                "channels": channels,
                **self.source(target.key[1]).details,
                **({"frames": True} if "frames" in settings else {}),
                "seconds": round(time.perf_counter() - start, 3),
                "classes": [c.to_dict() for c in export.classes],
                "group_order": self._group_order(target, export),
                "contents": {name: digest_rows(rows) for name, rows in export.rows.items()},
                "ignored": {name: list(ignored) for name, ignored in export.ignored.items()},
            },
        )
        write_json(manifest, record.to_dict())
        return record
