"""Responses: what a network does when it is shown images, one partition for each condition."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.config.conditions import all_conditions, condition_text, parse_condition, presentation_of
from dynvision.errors import DamagedFileError
from dynvision.experiments.plan import count_states
from dynvision.keys import Condition
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.stages.models import model_partition
from dynvision.stimuli.presentation import Presentation
from dynvision.system.files import make_directory, read_json, replace_directory, sync_tree, write_json
from dynvision.targets import Target

__all__ = ["ResponsesStage"]


class ResponsesStage(Stage):
    """`responses/<experiment>/<subject>`, partitions `<param>=<level>[,<param>=<level>]`."""

    name = "responses"
    code_version = "3"
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
        run = self.config.run(experiment_name, subject_name)
        # The budget decides over numbers only where it sets the size of batches.
        budget = {"memory_budget"} if record.batch_size is None else set()
        presentation: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self.presentation(target))))
        held = {"states_held": count_states(len(all_conditions(experiment)))} if budget else {}
        return {
            **held,
            "presentation": presentation,
            "condition": dict(self.condition(target)),
            "idle": experiment.idle,
            "status": experiment.status,
            "record": record.model_dump(mode="json"),
            "run": run.model_dump(mode="json", include={"dtype", "mixed_precision"} | budget),
            "statistics": statistics.model_dump(mode="json") if statistics else None,
            "readout": experiment.readout.model_dump(mode="json"),
        }

    def settings_of_numbers(self, target: Target) -> dict[str, Any]:
        """The settings that responses follow from: without the readout, which is applied to them later."""
        return {key: value for key, value in self.settings(target).items() if key != "readout"}

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

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record], force: bool = False) -> list[Record]:
        self.show(targets, inputs, force)
        return self.verify(targets)

    def show(self, targets: Sequence[Target], inputs: dict[Target, Record], force: bool = False) -> None:
        """Show the stimuli of all targets and write their responses, not yet in place.

        Where nothing but the readout changed, the scores that are there are read out again, unless forced.
        """
        from dynvision.experiments.recording import SweepRecording

        targets = [target for target in targets if force or not self._read_out_again(target, inputs)]
        if not targets:
            return
        start = time.perf_counter()
        recording = SweepRecording(self, targets, inputs, fresh=force)
        writers = recording.run()
        seconds = round(time.perf_counter() - start, 3)
        for target, writer in zip(targets, writers, strict=True):
            record = make_record(
                target,
                code_version=self.code_version,
                config=self.settings(target),
                inputs=self._versions(target, inputs),
                content=writer.content,
                details={**recording.details(target, writer), "seconds": round(seconds / len(targets), 3)},
            )
            writer.finish(record.to_dict(), recording.record.allow_nonfinite)

    def verify(self, targets: Sequence[Target]) -> list[Record]:
        """Read back what `show` wrote, and put it in place."""
        from dynvision.experiments.journal import JOURNAL
        from dynvision.experiments.store import RECORD, consolidate_store, partial_path, reject_partial, verify_store

        records = []
        for target in targets:
            store = self.output(target)
            folder = partial_path(store)
            if not folder.is_dir():
                records.append(self._require_current(target))
                continue
            try:
                pending = verify_store(folder)
            except DamagedFileError:
                reject_partial(store)  # What is damaged is not gone on with.
                raise
            consolidate_store(folder)
            record = Record.from_dict(pending["record"], folder)
            n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            record = Record(**{**record.to_dict(), "details": {**record.details, "bytes": n_bytes}})
            write_json(folder / RECORD, record.to_dict())
            (folder / JOURNAL).unlink(missing_ok=True)
            sync_tree(folder)
            replace_directory(folder, store)
            records.append(record)
        return records

    def _versions(self, target: Target, inputs: dict[Target, Record]) -> dict[str, str]:
        return {str(upstream): inputs[upstream].data_version for upstream in self.upstream(target)}

    def _require_current(self, target: Target) -> Record:
        record = self.read_record(target)
        if record is None or record.config != self.settings(target):
            raise DamagedFileError(
                f"{target}: the responses that were written are gone. Make it: dynvision make {target}"
            )
        return record

    def _read_out_again(self, target: Target, inputs: dict[Target, Record]) -> bool:
        """Bring accuracy and chance in the record up to date where only the readout changed."""
        from dynvision.analysis.measures import score_responses
        from dynvision.experiments.reading import open_store
        from dynvision.experiments.store import PENDING, RECORD, SCORES, digest_content, verify_store

        store, settings = self.output(target), self.settings(target)
        old, note = read_json(store / RECORD), read_json(store / PENDING)
        if old is None or note is None:
            return False
        try:
            record = Record.from_dict(old, store / RECORD)
        except DamagedFileError:
            return False
        same = self.settings_of_numbers(target)
        if (
            {key: value for key, value in record.config.items() if key != "readout"} != same
            or record.config.get("readout") == settings["readout"]
            or record.code_version != self.code_version
            or record.inputs != self._versions(target, inputs)
        ):
            return False
        readout = self.config.experiments[target.key[1]].readout
        try:
            verify_store(store, [SCORES])  # chunks that are gone would be read as NaN
            over_time, numbers = score_responses(open_store(store).to_dataset(), readout, self.presentation(target))
        except (OSError, ValueError, LookupError):
            return False  # The store is damaged; showing again replaces it.
        self.clear_partial(target)
        details = {
            **record.details,
            "accuracy": numbers["accuracy"],
            "accuracy_over_time": over_time.tolist(),
            "chance": numbers["chance"],
            "readout": settings["readout"],
        }
        again = make_record(
            target,
            code_version=self.code_version,
            config=settings,
            inputs=record.inputs,
            content=digest_content(note["digests"]),
            details=details,
        )
        write_json(store / RECORD, again.to_dict())
        return True

    def clear_partial(self, target: Target) -> Path:
        """Remove what an interrupted run of this target left, and make room for a new one."""
        from dynvision.experiments.store import partial_path

        folder = partial_path(self.output(target))
        make_directory(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
        return folder
