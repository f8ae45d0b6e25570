"""Summary: tables and pictures over all conditions of an experiment, of one subject and of all."""

from __future__ import annotations

import io
import math
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
from dynvision.paths import ALL_SUBJECTS, PHENOMENA
from dynvision.records import Record, make_record, read_record
from dynvision.stages.base import ReadBack, Stage
from dynvision.stages.checks import Check, CheckResult, Inspection
from dynvision.stages.reporting import PAGE, compose_page, refresh_index
from dynvision.stages.responses import ResponsesStage
from dynvision.stages.summarizing import (
    GROUPS,
    Summary,
    SummaryTables,
    summarize_phenomena,
    summarize_subject,
    summarize_subjects,
)
from dynvision.system.escaping import escape_markdown
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

LARGEST_SHEET = 250_000
"""Bytes of the picture of what was shown. Noise takes many; with fewer it would be too small to read."""

CONDITIONS_FILMED = 5
"""Conditions of an experiment whose strips are in that picture."""

SHOWN_IN = ("contrast", "duration", "interval", "stability", "masking")
"""The experiments from which the phenomena of a subject are read (`dynvision.analysis.phenomena`)."""


class SummaryInspection(Inspection):
    """A look at a summary; the stage says which conditions it is made from."""

    stage: SummaryStage


def every_condition_is_measured(inspection: SummaryInspection) -> CheckResult:
    """Every condition is in the table, with an accuracy if its labels are classes of the network and scores differ."""
    if _is_phenomena(inspection.target):
        rows = inspection.record.details["phenomena"]
        read = sum(row["value"] is not None for row in rows)
        return CheckResult("every_condition_is_measured", True, f"{read} of {len(rows)} numbers were read", {})
    conditions = inspection.stage.conditions(inspection.target)
    rows = inspection.record.details["tuning"]
    settings = [inspection.stage.config.record(*key[1:]) for key in {condition.key for condition in conditions}]
    unlabelled = inspection.record.details.get("without_accuracy", [])
    asked = [row for row in rows if "accuracy" in row and row.get("subject") not in unlabelled]
    without = [_name_row(row) for row in asked if row["accuracy"] is None or not math.isfinite(row["accuracy"])]
    unanswered = set(inspection.record.details.get("unanswered", ()))
    wrong = [name for name in without if name not in unanswered]
    if any(setting.allow_nonfinite for setting in settings):
        wrong = []
    sentence = f"{len(rows)} of {len(conditions)} conditions are in the table"
    if unanswered:
        sentence += f"; in {len(unanswered)} of them all classes have the same score, so there is no accuracy"
    if len(asked) < len(rows):
        sentence += f"; in {len(rows) - len(asked)} of them labels do not match the network's classes: no accuracy"
    passed = len(rows) == len(conditions) and not wrong
    return CheckResult("every_condition_is_measured", passed, sentence, {"conditions": len(rows)}, wrong)


def _name_row(row: dict[str, Any]) -> str:
    return "/".join(str(row[name]) for name in ("subject", "condition") if name in row)


_TABLES = ("table", "tuning", "fits", "time_courses")
_COMPARISON_TABLES = ("table", "fits")
_PHENOMENA_TABLES = ("table",)


class SummaryStage(Stage):
    """`summary/<experiment>/<subject>`, `summary/<experiment>` over all subjects, `summary/phenomena/<subject>`.

    It has no partitions.
    """

    name = "summary"
    folder = "reports"
    code_version = "4"
    key_names = ("experiment", "subject")
    is_partitioned = False
    load_options = ("table",)
    has_pages = True
    checks = (Check(every_condition_is_measured, is_hard=True),)

    def keys(self) -> list[tuple[str, ...]]:
        keys: list[tuple[str, ...]] = [(self.name, *key[1:]) for key in self._responses.keys()]
        compared = [(self.name, name) for name in dict.fromkeys(key[1] for key in keys)]
        shown = dict.fromkeys(key[2] for key in keys if key[1] in SHOWN_IN)
        return [*keys, *compared, *((self.name, PHENOMENA, subject) for subject in shown)]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [None]

    def upstream(self, target: Target) -> list[Target]:
        if _is_comparison(target):
            return [Target((*target.key, subject)) for subject in self.config.compared_in(target.key[1])]
        if _is_phenomena(target):
            experiments = [name for name in SHOWN_IN if target.key[2] in self._subjects_of(name)]
            return [Target((self.name, name, target.key[2])) for name in experiments]
        key = (ResponsesStage.name, *target.key[1:])
        return [Target(key, partition) for partition in self._responses.partitions(key)]

    def settings(self, target: Target) -> dict[str, Any]:
        if _is_comparison(target) or _is_phenomena(target):
            return {}
        experiment = self.config.experiments[target.key[1]]
        groups = {} if experiment.group_by is None else {"group_by": experiment.group_by}
        return {"readout": experiment.readout.model_dump(mode="json"), **groups}

    def conditions(self, target: Target) -> list[Target]:
        """Return the responses that a summary is made from, directly or through other summaries."""
        if _is_comparison(target) or _is_phenomena(target):
            return [condition for summary in self.upstream(target) for condition in self.upstream(summary)]
        return self.upstream(target)

    def parse_path(self, parts: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
        key = (self.name, *parts[:1]) if list(parts[1:2]) == [ALL_SUBJECTS] else (self.name, *parts[:2])
        return key, None  # What follows is a file of the report.

    def tags(self, key: tuple[str, ...]) -> dict[str, str]:
        return super().tags(key) if len(key) == 2 else self._responses.tags(key)

    def _subjects_of(self, experiment: str) -> list[str]:
        return self.config.subjects_of(experiment) if experiment in self.config.experiments else []

    def describe(self, key: tuple[str, ...]) -> str:
        own = self.description(key)
        after = f"\n\n{escape_markdown(own)}" if own else ""
        if len(key) == 2:
            return (
                f"{', '.join(self.config.compared_in(key[1]))} in the experiment {key[1]} side by side: accuracy, "
                "what is read from time courses and what was fitted, one row a subject and condition, and as a "
                f"picture.{after}"
            )
        if key[1] == PHENOMENA:
            return (
                f"What {key[2]} shows of what visual cortex shows, read from its experiments: contrast response, onset "
                "transient, latency, repetition suppression, temporal summation, masking; as a table, and as a "
                "picture beside the ranges of cortex."
            )
        return (
            f"The experiment {key[1]} on {key[2]}: accuracy, confidence and each layer's response over time as a tidy "
            "table (`condition, time, layer, measure, value`), the tuning and what was fitted to it, and all as "
            f"pictures.{after}"
        )

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

    def output(self, target: Target) -> Path:
        return self.paths.report(*target.key[1:])

    def tables(self, target: Target) -> tuple[str, ...]:
        """Return the names of a target's tables; the first is the one that `load` gives by default."""
        if _is_phenomena(target):
            return _PHENOMENA_TABLES
        if _is_comparison(target):
            return _COMPARISON_TABLES
        return _TABLES if self.config.experiments[target.key[1]].group_by is None else (*_TABLES, GROUPS)

    def pictures(self, target: Target) -> list[str]:
        """Return the names of a target's pictures, without their suffix, the one to look at first at the start."""
        if _is_phenomena(target):
            return ["phenomena"]
        if _is_comparison(target):
            return ["comparison"]
        is_grid = len(self.config.experiments[target.key[1]].parameters) > 1
        return [*(["heat_map"] if is_grid else []), "summary", "time_courses", "tuning"]

    def digest(self, target: Target, folder: Path) -> str:
        """Digest the tables in a folder, for the data version; the pictures follow from the tables."""
        return digest_json({name: sha256_file(folder / f"{name}.csv") for name in self.tables(target)})

    def read_record(self, target: Target) -> Record | None:
        return read_record(self.output(target) / "record.json", target)

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "record.json"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build_one(target, inputs) for target in targets]

    @property
    def _responses(self) -> ResponsesStage:
        return self.stages.of(ResponsesStage)

    def _summarize(self, target: Target, inputs: dict[Target, Record]) -> Summary:
        responses = self._responses
        if _is_phenomena(target):
            return summarize_phenomena(
                {t.key[1]: self._read(t, inputs[t], ("tuning", "fits", "time_courses")) for t in self.upstream(target)}
            )
        experiment = self.config.experiments[target.key[1]]
        if _is_comparison(target):
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
        if _is_comparison(target) or _is_phenomena(target):
            return
        chosen = pick_evenly(self.upstream(target), CONDITIONS_FILMED)
        try:
            films = self._responses.films(chosen, 1)
            strips = [
                replace(film.strip(width=64), title=str(condition.partition))
                for condition, film in zip(chosen, films, strict=True)
            ]
            sheet = draw_sheet(strips, "/".join(target.key[1:]))
            about = f"Film strips, a row for each condition. {'. '.join(film.alt_text for film in films)}."
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


def _is_comparison(target: Target) -> bool:
    return len(target.key) == 2


def _is_phenomena(target: Target) -> bool:
    return len(target.key) == 3 and target.key[1] == PHENOMENA
