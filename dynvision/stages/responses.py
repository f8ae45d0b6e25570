"""Responses: what a network does when it is shown images, one partition for each condition."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.data.schedule import Presentation
from dynvision.experiments.conditions import Condition, all_conditions, condition_text, parse_condition, presentation_of
from dynvision.files import make_directory, read_json, replace_directory, write_json
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.stages.models import model_partition
from dynvision.targets import Target

__all__ = ["ResponsesStage"]


class ResponsesStage(Stage):
    """`responses/<experiment>/<subject>`, partitions `<param>=<level>[,<param>=<level>]`."""

    name = "responses"
    code_version = "1"
    builds_many = True

    def keys(self) -> list[tuple[str, ...]]:
        experiments = self.config.experiments
        return [("responses", name, subject) for name in experiments for subject in self.config.subjects_of(name)]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [condition_text(c) for c in all_conditions(self.config.experiments[key[1]])]

    def parse_partition(self, key: tuple[str, ...], text: str) -> str:
        return condition_text(parse_condition(self.config.experiments[key[1]], text, "/".join(key)))

    def upstream(self, target: Target) -> list[Target]:
        subject = self.config.subjects[target.key[2]]
        model = Target(("models", subject.model, subject.dataset), model_partition(subject.trained_on, subject.seed))
        stage = "processed" if self.config.data.use_ffcv else "interim"
        return [model, Target((stage, subject.dataset), f"test_{subject.group}")]

    def settings(self, target: Target) -> dict[str, Any]:
        _, experiment_name, subject_name = target.key
        experiment, subject = self.config.experiments[experiment_name], self.config.subjects[subject_name]
        statistics = self.config.data.data_statistics.get(subject.dataset)
        record = self.config.record(experiment_name, subject_name)
        presentation: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self.presentation(target))))
        return {
            "presentation": presentation,
            "condition": self.condition(target),
            "idle": experiment.idle,
            "status": experiment.status,
            "record": record.model_dump(mode="json"),
            "statistics": statistics.model_dump(mode="json") if statistics else None,
        }

    def condition(self, target: Target) -> Condition:
        """The level of each swept parameter."""
        return parse_condition(self.config.experiments[target.key[1]], str(target.partition), str(target))

    def presentation(self, target: Target) -> Presentation:
        """What is shown when, without the idle steps before."""
        return presentation_of(
            self.config.experiments[target.key[1]], self.condition(target), self.config.subjects[target.key[2]]
        )

    def output(self, target: Target) -> Path:
        return self.paths.responses(target.key[1], target.key[2], str(target.partition))

    def read_record(self, target: Target) -> Record | None:
        path = self.output(target) / "record.json"
        content = read_json(path)
        return Record.from_dict(content, path) if content else None

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "record.json"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        self.show(targets, inputs)
        return self.verify(targets)

    def show(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> None:
        """Show the stimuli of all targets and write their responses, not yet in place."""
        from dynvision.experiments.recording import SweepRecording

        start = time.perf_counter()
        recording = SweepRecording(self, targets, inputs)
        writers = recording.run()
        seconds = round(time.perf_counter() - start, 3)
        for target, writer in zip(targets, writers, strict=True):
            record = make_record(
                target,
                code_version=self.code_version,
                config=self.settings(target),
                inputs={str(upstream): inputs[upstream].data_version for upstream in self.upstream(target)},
                content=writer.content,
                details={**recording.details(target), "seconds": round(seconds / len(targets), 3)},
            )
            writer.finish(record.to_dict())

    def verify(self, targets: Sequence[Target]) -> list[Record]:
        """Read back what `show` wrote, and put it in place."""
        from dynvision.experiments.store import RECORD, partial_path, verify_store

        records = []
        for target in targets:
            store = self.output(target)
            folder = partial_path(store)
            pending = verify_store(folder)
            record = Record.from_dict(pending["record"], folder)
            n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            record = Record(**{**record.to_dict(), "details": {**record.details, "bytes": n_bytes}})
            write_json(folder / RECORD, record.to_dict())
            replace_directory(folder, store)
            records.append(record)
        return records

    def clear_partial(self, target: Target) -> Path:
        """Remove what an interrupted run of this target left, and make room for a new one."""
        from dynvision.experiments.store import partial_path

        folder = partial_path(self.output(target))
        make_directory(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
        return folder
