"""Summary: tables and pictures over all conditions of an experiment and subject."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.files import make_directory, read_json, replace_directory, sha256_file, temporary_sibling, write_json
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.stages.responses import ResponsesStage
from dynvision.targets import Target

__all__ = ["SummaryStage"]

FILES = ("table.parquet", "table.csv", "tuning.csv", "time_courses.png", "tuning.png")


class SummaryStage(Stage):
    """`summary/<experiment>/<subject>`, no partitions."""

    name = "summary"
    code_version = "1"

    def keys(self) -> list[tuple[str, ...]]:
        return [("summary", *key[1:]) for key in self._responses().keys()]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [None]

    def upstream(self, target: Target) -> list[Target]:
        key = ("responses", *target.key[1:])
        return [Target(key, partition) for partition in self._responses().partitions(key)]

    def settings(self, target: Target) -> dict[str, Any]:
        return {"readout": self.config.experiments[target.key[1]].readout.model_dump(mode="json")}

    def output(self, target: Target) -> Path:
        return self.paths.report(target.key[1], target.key[2])

    def read_record(self, target: Target) -> Record | None:
        folder = self.output(target)
        content = read_json(folder / "record.json")
        whole = all((folder / name).is_file() for name in FILES)
        return Record.from_dict(content, folder / "record.json") if content and whole else None

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "record.json"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record], force: bool = False) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def _responses(self) -> ResponsesStage:
        return ResponsesStage(self.config, self.paths)

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        from dynvision.analysis.figures import draw_time_courses, draw_tuning, save_figure
        from dynvision.analysis.measures import measure_tuning

        start = time.perf_counter()
        responses = self._responses()
        experiment = self.config.experiments[target.key[1]]
        conditions = self.upstream(target)
        stores = [(responses.condition(t), responses.output(t), responses.presentation(t)) for t in conditions]
        table, tuning = measure_tuning(stores, experiment.readout)
        folder = self.output(target)
        make_directory(folder.parent)
        temporary = temporary_sibling(folder)
        temporary.mkdir()
        try:
            table.to_parquet(temporary / "table.parquet", index=False)
            table.to_csv(temporary / "table.csv", index=False)
            tuning.to_csv(temporary / "tuning.csv", index=False)
            presentations = {str(t.partition): p for t, (_, _, p) in zip(conditions, stores, strict=True)}
            figure = draw_time_courses(table, experiment.parameters, presentations)
            save_figure(figure, temporary / "time_courses.png")
            save_figure(draw_tuning(tuning, experiment.parameters), temporary / "tuning.png")
            record = make_record(
                target,
                code_version=self.code_version,
                config=self.settings(target),
                inputs={str(t): inputs[t].data_version for t in conditions},
                content=sha256_file(temporary / "table.csv"),
                details={
                    "rows": len(table),
                    "conditions": len(conditions),
                    "parameters": experiment.parameters,
                    "tuning": tuning.to_dict(orient="records"),
                    "seconds": round(time.perf_counter() - start, 3),
                },
            )
            write_json(temporary / "record.json", record.to_dict())
            replace_directory(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return record
