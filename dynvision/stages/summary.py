"""Summary: tables and pictures over all conditions of an experiment, of one subject and of all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.stages.responses import ResponsesStage
from dynvision.system.files import (
    digest_json,
    make_directory,
    read_json,
    replace_directory,
    sha256_file,
    temporary_sibling,
    write_json,
)
from dynvision.targets import Target

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["SummaryStage"]

_TABLES = ("table", "tuning", "fits", "time_courses")
_TABLES_OF_ALL = ("table", "fits")


class SummaryStage(Stage):
    """`summary/<experiment>/<subject>`, and `summary/<experiment>` over all subjects; no partitions."""

    name = "summary"
    code_version = "2"

    def keys(self) -> list[tuple[str, ...]]:
        keys: list[tuple[str, ...]] = [("summary", *key[1:]) for key in self._responses().keys()]
        return keys + [("summary", name) for name in dict.fromkeys(key[1] for key in keys)]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [None]

    def upstream(self, target: Target) -> list[Target]:
        if _is_of_all(target):
            return [Target((*target.key, subject)) for subject in self.config.subjects_of(target.key[1])]
        key = ("responses", *target.key[1:])
        return [Target(key, partition) for partition in self._responses().partitions(key)]

    def settings(self, target: Target) -> dict[str, Any]:
        if _is_of_all(target):
            return {}
        return {"readout": self.config.experiments[target.key[1]].readout.model_dump(mode="json")}

    def output(self, target: Target) -> Path:
        return self.paths.report(*target.key[1:])

    def tables(self, target: Target) -> tuple[str, ...]:
        """The names of a target's tables, the first being what it is loaded as."""
        return _TABLES_OF_ALL if _is_of_all(target) else _TABLES

    def pictures(self, target: Target) -> list[str]:
        """The names of a target's pictures, without their endings."""
        if _is_of_all(target):
            return ["comparison"]
        is_grid = len(self.config.experiments[target.key[1]].parameters) > 1
        return ["summary", "time_courses", "tuning", *(["heat_map"] if is_grid else [])]

    def digest(self, target: Target, folder: Path) -> str:
        """A digest of the tables in a folder, as it enters the data version; pictures follow from them."""
        return digest_json({name: sha256_file(folder / f"{name}.csv") for name in self.tables(target)})

    def read_record(self, target: Target) -> Record | None:
        folder = self.output(target)
        content = read_json(folder / "record.json")
        files = [f"{name}.{kind}" for name in self.tables(target) for kind in ("csv", "parquet")]
        files += [f"{name}.{kind}" for name in self.pictures(target) for kind in ("png", "svg")]
        whole = all((folder / name).is_file() for name in files)
        return Record.from_dict(content, folder / "record.json") if content and whole else None

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "record.json"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record], force: bool = False) -> list[Record]:
        return [
            self._compare(target, inputs) if _is_of_all(target) else self._analyse(target, inputs) for target in targets
        ]

    def _responses(self) -> ResponsesStage:
        return ResponsesStage(self.config, self.paths)

    def _analyse(self, target: Target, inputs: dict[Target, Record]) -> Record:
        from dynvision.analysis.figures.summary import draw_figures
        from dynvision.analysis.sweeps.experiment import analyse_experiment

        start = time.perf_counter()
        responses = self._responses()
        experiment = self.config.experiments[target.key[1]]
        conditions = self.upstream(target)
        stores = [(responses.condition(t), responses.output(t), responses.presentation(t)) for t in conditions]
        result = analyse_experiment(stores, experiment.readout)
        tables = (result.table, result.tuning, result.fits, result.courses)
        details = {
            "rows": len(result.table),
            "conditions": len(conditions),
            "parameters": experiment.parameters,
            "dt": result.dt,
            "tuning": _plain_rows(result.tuning),
            "fits": _plain_rows(result.fits),
        }
        return self._write(
            target, inputs, dict(zip(_TABLES, tables, strict=True)), draw_figures(result), details, start
        )

    def _compare(self, target: Target, inputs: dict[Target, Record]) -> Record:
        import pandas as pd

        from dynvision.analysis.figures.comparison import compare_subjects, draw_comparison

        start = time.perf_counter()
        experiment, responses = self.config.experiments[target.key[1]], self._responses()
        subjects = {t.key[2]: t for t in self.upstream(target)}
        tunings, fits = (
            {name: pd.read_parquet(self.output(t) / f"{table}.parquet") for name, t in subjects.items()}
            for table in ("tuning", "fits")
        )
        conditions = self.upstream(next(iter(subjects.values())))
        presentations = {str(t.partition): responses.presentation(t) for t in conditions}
        durations = {inputs[t].details["dt"] for t in subjects.values()}
        dt = durations.pop() if len(durations) == 1 else None
        result = compare_subjects(tunings, fits, experiment.parameters, presentations, dt)
        picture = draw_comparison(result, experiment.parameters)
        shown = [name for name in result.tuning.columns if "/" not in name]
        details = {
            "rows": len(result.tuning),
            "subjects": list(subjects),
            "conditions": len(conditions),
            "parameters": experiment.parameters,
            "tuning": _plain_rows(result.tuning[shown]),
            "fits": _plain_rows(result.fits),
        }
        tables = {"table": result.tuning, "fits": result.fits}
        return self._write(target, inputs, tables, {"comparison": picture}, details, start)

    def _write(
        self,
        target: Target,
        inputs: dict[Target, Record],
        tables: Mapping[str, pd.DataFrame],
        pictures: Mapping[str, Figure],
        details: dict[str, Any],
        start: float,
    ) -> Record:
        """Write tables, pictures and record beside their place, and put them there together."""
        from dynvision.analysis.figures.style import save_figure

        folder = self.output(target)
        make_directory(folder.parent)
        temporary = temporary_sibling(folder)
        temporary.mkdir()
        try:
            for name, table in tables.items():
                table.to_parquet(temporary / f"{name}.parquet", index=False)
                table.to_csv(temporary / f"{name}.csv", index=False)
            for name, figure in pictures.items():
                save_figure(figure, temporary, name)
            record = make_record(
                target,
                code_version=self.code_version,
                config=self.settings(target),
                inputs={str(t): inputs[t].data_version for t in self.upstream(target)},
                content=self.digest(target, temporary),
                details={
                    **details,
                    "files": {path.name: sha256_file(path) for path in sorted(temporary.iterdir())},
                    "seconds": round(time.perf_counter() - start, 3),
                },
            )
            write_json(temporary / "record.json", record.to_dict())
            replace_directory(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return record


def _is_of_all(target: Target) -> bool:
    return len(target.key) == 2


def _plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON holds them: `None` for what is no number."""
    rows = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return [{str(name): value for name, value in row.items()} for row in rows]
