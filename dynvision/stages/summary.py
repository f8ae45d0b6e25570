"""Summary: tables and pictures over all conditions of an experiment, of one subject and of all."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.errors import DynvisionError, unknown_name
from dynvision.films.choosing import pick_evenly
from dynvision.films.encoding import encode_picture, is_whole_film
from dynvision.films.strip import draw_sheet
from dynvision.records import Record, make_record
from dynvision.stages.base import ReadBack
from dynvision.stages.base.checks import Check
from dynvision.stages.reporting import PAGE, compose_page, refresh_index
from dynvision.stages.summarizing import (
    Summary,
    SummaryTables,
    summarize_phenomena,
    summarize_subject,
    summarize_subjects,
)
from dynvision.stages.summary_checks import SummaryInspection, every_condition_is_measured
from dynvision.stages.summary_targets import (
    SHOWN_IN,
    SummaryTargets,
    is_comparison,
    is_phenomena,
)
from dynvision.system.file_digests import digest_files, list_files
from dynvision.system.files import (
    digest_json,
    make_directory,
    replace_directory,
    sha256_file,
    sync_tree,
    temporary_sibling,
    write_bytes,
    write_json,
)
from dynvision.system.progress import say
from dynvision.targets import Target

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["SHOWN_IN", "SummaryStage"]

STIMULI = "stimuli.png"
"""The picture of what was shown. It is not among the files of the record, so that nothing depends on it."""

SHEET_STEPS = 12
"""Frames of a strip in that picture: as many as a page is wide."""

LARGEST_SHEET = 320_000
"""Bytes of the picture of what was shown. Noise takes many; with fewer it would be too small to read."""

CONDITIONS_FILMED = 5
"""Conditions of an experiment whose strips are in that picture."""


class SummaryStage(SummaryTargets):
    """`summary/<experiment>/<subject>`, `summary/<experiment>` over all subjects, `summary/phenomena/<subject>`.

    It has no partitions.
    """

    load_options = ("table",)
    has_pages = True
    checks = (Check(every_condition_is_measured, is_hard=True),)

    def load(self, targets: Sequence[Target], table: str | None = None, **options: Any) -> pd.DataFrame:
        target, record = self.require_one(targets)
        self.check_files(target, record)
        names = self.tables(target)
        name = table or names[0]
        if name not in names:
            raise unknown_name("table", name, names, str(target))
        return self._read_table(target, record, name)

    def _read_table(self, target: Target, record: Record, name: str) -> pd.DataFrame:
        """Read a table whose bytes were compared with the record."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(record.check_files(self.output(target)).read(f"{name}.parquet")))

    def read_back(self, target: Target, record: Record) -> ReadBack:
        content = self.digest(target, self.output(target))
        return ReadBack(content, f"{record.details['rows']} rows, {len(record.files)} files byte for byte")

    def inspect(self, target: Target, record: Record) -> SummaryInspection:
        return SummaryInspection(self, target, record)

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        folder = self.output(target)
        # A summary of an earlier version may lack one.
        drawn = [name for name in self.pictures(target) if f"{name}.png" in record.files]
        pictures: dict[str, Figure | Path] = {name: folder / f"{name}.png" for name in drawn}
        return pictures | ({"stimuli": folder / STIMULI} if is_whole_film(folder / STIMULI) else {})

    def count_bytes(self, target: Target, record: Record) -> int | None:
        return self._sum_files(target, record)

    def digest(self, target: Target, folder: Path) -> str:
        """Digest the tables in a folder, for the data version; the pictures follow from the tables."""
        return digest_json({name: sha256_file(folder / f"{name}.csv") for name in self.tables(target)})

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build_one(target, inputs) for target in targets]

    def _summarize(self, target: Target, inputs: dict[Target, Record]) -> Summary:
        responses = self._responses
        if is_phenomena(target):
            return summarize_phenomena(
                {t.key[1]: self._read(t, inputs[t], ("tuning", "fits", "time_courses")) for t in self.upstream(target)}
            )
        experiment = self.config.experiments[target.key[1]]
        if is_comparison(target):
            subjects = {t.key[2]: self._read(t, inputs[t], ("tuning", "fits")) for t in self.upstream(target)}
            conditions = self.upstream(self.upstream(target)[0])
            presentations = {str(t.partition): responses.presentation(t) for t in conditions}
            return summarize_subjects(subjects, experiment, presentations)
        conditions = self.upstream(target)
        stores = [(responses.condition(t), responses.output(t), responses.presentation(t)) for t in conditions]
        return summarize_subject(stores, experiment, "/".join(target.key[1:]))

    def _read(self, target: Target, record: Record, names: Sequence[str]) -> SummaryTables:
        tables = {name: self._read_table(target, record, name) for name in names}
        return SummaryTables(self.config.experiments[target.key[1]], tables, record)

    def _build_one(self, target: Target, inputs: dict[Target, Record]) -> Record:
        """Write tables, pictures and record to a temporary folder, and put it in place in one step."""
        from dynvision.analysis.figures.style import save_figure

        start = time.perf_counter()
        summary = self._summarize(target, inputs)
        folder = self.output(target)
        make_directory(folder.parent)
        temporary = temporary_sibling(folder)
        temporary.mkdir()
        try:
            for name, table in summary.tables.items():
                table.to_parquet(temporary / f"{name}.parquet", index=False)
                table.to_csv(temporary / f"{name}.csv", index=False)
            for name, figure in summary.pictures.items():
                save_figure(figure, temporary, name)
            record = make_record(
                target,
                code_version=self.code_version,
                config=self.settings(target),
                inputs={str(t): inputs[t].data_version for t in self.upstream(target)},
                content=self.digest(target, temporary),
                details={**summary.details, "seconds": round(time.perf_counter() - start, 3)},
                files=digest_files(temporary, list_files(temporary)),
            )
            write_json(temporary / "record.json", record.to_dict())
            self._draw_stimuli(target, temporary)
            self._write_page(target, record, summary.tables, temporary)
            sync_tree(temporary)
            replace_directory(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        refresh_index(folder.parent.parent)
        return record

    def _draw_stimuli(self, target: Target, folder: Path) -> None:
        """Draw what was shown in some of the conditions. The picture is missing if the images are there no longer."""
        if is_comparison(target) or is_phenomena(target):
            return
        conditions = self.upstream(target)
        chosen = pick_evenly(conditions, CONDITIONS_FILMED)
        try:
            films = self._responses.films(chosen, 1)
            strips = [
                replace(film.strip(SHEET_STEPS, width=64), title=str(condition.partition))
                for condition, film in zip(chosen, films, strict=True)
            ]
            shown = "one of the trials"
            if len(chosen) < len(conditions):
                shown += f" of {len(chosen)} of {len(conditions)} conditions"
            sheet = draw_sheet(strips, f"{'/'.join(target.key[1:])}: {shown}")
            about = f"Film strips: {shown}, a row for each. {'. '.join(film.alt_text for film in films)}."
            write_bytes(folder / STIMULI, encode_picture(sheet, most_bytes=LARGEST_SHEET, about=about))
        except (DynvisionError, OSError, ValueError) as error:
            say(f"{target}: what was shown could not be drawn ({error})")

    def write_page(self, target: Target, notice: str = "") -> Path:
        target, record = self.require_one([target])
        names = [name.removesuffix(".parquet") for name in record.files if name.endswith(".parquet")]
        tables = {name: self._read_table(target, record, name) for name in names}
        self._write_page(target, record, tables, self.output(target), notice)
        refresh_index(self.output(target).parent.parent)
        return self.output(target) / PAGE

    def _write_page(
        self, target: Target, record: Record, tables: Mapping[str, pd.DataFrame], folder: Path, notice: str = ""
    ) -> None:
        """Write the page of a summary next to its files. It is none of them: it may be written again at any time."""
        from dynvision.reports.rendering import write_page

        page = compose_page(target, record, folder, tables, self.stages)
        write_page(replace(page, notice=notice), folder / PAGE)
