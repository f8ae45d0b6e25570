"""Which responses there are: an experiment's conditions on its subjects, from what they follow, and where they lie."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dynvision.config.conditions import (
    all_conditions,
    condition_text,
    parse_condition,
    presentation_of,
)
from dynvision.config.subjects import choose_standardization
from dynvision.experiments.order import OrderedTrials
from dynvision.experiments.plan import count_states
from dynvision.experiments.stores.store import RECORD, count_batches
from dynvision.keys import Condition, GroupSeed, find_levels
from dynvision.records import Record, read_record
from dynvision.stages.base import Stage
from dynvision.stages.models import ModelsStage
from dynvision.stages.processed import ProcessedStage
from dynvision.stimuli.presentation import Presentation
from dynvision.system.escaping import escape_markdown
from dynvision.targets import Target

__all__ = ["ResponseTargets"]


class ResponseTargets(Stage):
    """The conditions of experiments on subjects, as the configuration has them."""

    name = folder = "responses"
    code_version = "5"
    key_names = ("experiment", "subject")

    def keys(self) -> list[tuple[str, ...]]:
        experiments = self.config.experiments
        return [(self.name, name, subject) for name in experiments for subject in self.config.subjects_of(name)]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [condition_text(c) for c in all_conditions(self.config.experiments[key[1]])]

    def parse(self, key: tuple[str, ...], text: str) -> str:
        return condition_text(parse_condition(self.config.experiments[key[1]], text, "/".join(key)))

    def upstream(self, target: Target) -> list[Target]:
        subject = self.config.subjects[target.key[2]]
        trained_as = str(GroupSeed(subject.network_group, subject.seed))
        images = self.stages.of(ProcessedStage).images(subject.dataset, self.config.shown(target.key[2]))
        return [
            Target((ModelsStage.name, subject.model, subject.network_dataset), trained_as),
            images,
        ]

    def parse_path(self, parts: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
        key, partition = super().parse_path(parts)
        return key, None if partition is None else partition.removesuffix(".zarr")

    def dimensions(self, key: tuple[str, ...]) -> dict[str, list[str]]:
        return self.config.experiments[key[1]].levels()

    def levels(self, target: Target) -> dict[str, str]:
        return dict(self.condition(target))

    def partition_at(self, key: tuple[str, ...], levels: Mapping[str, str]) -> str:
        return str(Condition({name: levels[name] for name in self.config.experiments[key[1]].parameters}))

    def tags(self, key: tuple[str, ...]) -> dict[str, str]:
        subject = self.config.subjects[key[2]]
        return {**super().tags(key), "model": subject.model, "dataset": subject.dataset}

    def describe(self, key: tuple[str, ...]) -> str:
        own = self.description(key)
        return (
            f"Responses of {key[2]} in the experiment {key[1]} ({self.config.experiments[key[1]].data_loader}): every "
            "recorded layer over time as Zarr, dimensions (sample, time, channel[, y, x]), one store per condition, "
            "time in steps."
        ) + (f"\n\n{escape_markdown(own)}" if own else "")

    def selectors_of(self, key: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.config.experiments[key[1]].parameters)

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        valid = self.config.experiments[key[1]].levels()
        wanted = {name: set(find_levels(name, value, valid[name])) for name, value in options.items()}
        return [t for t in super().select(key) if all(self.levels(t)[n] in chosen for n, chosen in wanted.items())]

    def settings(self, target: Target) -> dict[str, Any]:
        _, experiment_name, subject_name = target.key
        experiment, subject = self.config.experiments[experiment_name], self.config.subjects[subject_name]
        standardization = choose_standardization(self.config, subject)
        statistics = standardization.statistics if standardization else None
        record = self.config.record(experiment_name, subject_name)
        run = self.config.run(experiment_name, subject_name)
        # The memory budget can change results only if no `batch_size` is set: it sets the batch size then.
        budget = {"memory_budget"} if record.batch_size is None else set()
        presentation: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self.presentation(target))))
        trials = self._trials(target.key)
        images = {"images_of_other_class": list(trials.other_class)} if trials.other_class else {}
        states = {"states_held": count_states(experiment.n_conditions)} if budget else {}
        # What says nothing new is left out, so that existing responses stay up to date.
        by = {"standardized_by": standardization.of} if standardization and standardization.of != "dataset" else {}
        matched = {"match": subject.match} if subject.match is not None else {}
        return {
            **states,
            **images,
            **by,
            **matched,
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
        """Return the settings that the responses depend on: all but the readout, which is applied to stored scores."""
        return {key: value for key, value in self.settings(target).items() if key != "readout"}

    def condition(self, target: Target) -> Condition:
        """Return the level of each swept parameter."""
        return Condition(parse_condition(self.config.experiments[target.key[1]], str(target.partition), str(target)))

    def presentation(self, target: Target) -> Presentation:
        """Return what is shown when, without the idle steps before it."""
        experiment, subject = self.config.experiments[target.key[1]], self.config.subjects[target.key[2]]
        return presentation_of(experiment, dict(self.condition(target)), subject)

    def _trials(self, key: tuple[str, ...]) -> OrderedTrials:
        """Return the images of a trial; only programs show several."""
        experiment = self.config.experiments[key[1]]
        if "program" not in experiment.data_args:
            return OrderedTrials()
        if key[1] not in self._trials_of_programs:
            shown = (presentation_of(experiment, condition) for condition in all_conditions(experiment))
            self._trials_of_programs[key[1]] = OrderedTrials.of(shown)
        return self._trials_of_programs[key[1]]

    @cached_property
    def _trials_of_programs(self) -> dict[str, OrderedTrials]:
        """The trials of each experiment that was asked for: every one of its conditions needs those of all."""
        return {}

    def output(self, target: Target) -> Path:
        return self.paths.responses(target.key[1], target.key[2], str(target.partition))

    def read_record(self, target: Target) -> Record | None:
        return read_record(self.output(target) / RECORD, target)

    def describe_unfinished(self, target: Target) -> str:
        batches = count_batches(self.output(target))
        noun = "batch" if batches == 1 else "batches"
        return f"{batches} {noun} of its recording {'is' if batches == 1 else 'are'} on the disk" if batches else ""

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / RECORD]

    def _versions(self, target: Target, inputs: dict[Target, Record]) -> dict[str, str]:
        return {str(upstream): inputs[upstream].data_version for upstream in self.upstream(target)}
