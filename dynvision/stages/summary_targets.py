"""Which summaries there are: of one subject, of all, of the phenomena. What they follow from, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.paths import ALL_SUBJECTS, PHENOMENA
from dynvision.records import Record, read_record
from dynvision.stages.base import Stage
from dynvision.stages.responses import ResponsesStage
from dynvision.stages.summarizing import GROUPS
from dynvision.system.escaping import escape_markdown
from dynvision.targets import Target

__all__ = ["SHOWN_IN", "SummaryTargets"]

SHOWN_IN = ("contrast", "duration", "interval", "stability", "masking")
"""The experiments from which the phenomena of a subject are read (`dynvision.analysis.phenomena`)."""

_TABLES = ("table", "tuning", "fits", "time_courses")
_COMPARISON_TABLES = ("table", "fits")
_PHENOMENA_TABLES = ("table",)


def is_comparison(target: Target) -> bool:
    """Whether a summary compares all subjects of an experiment."""
    return len(target.key) == 2


def is_phenomena(target: Target) -> bool:
    """Whether a summary says what a subject shows of what visual cortex shows."""
    return len(target.key) == 3 and target.key[1] == PHENOMENA


class SummaryTargets(Stage):
    """The summaries of experiments, as the configuration has them."""

    name = "summary"
    folder = "reports"
    code_version = "5"
    key_names = ("experiment", "subject")
    is_partitioned = False

    def keys(self) -> list[tuple[str, ...]]:
        keys: list[tuple[str, ...]] = [(self.name, *key[1:]) for key in self._responses.keys()]
        compared = [(self.name, name) for name in dict.fromkeys(key[1] for key in keys)]
        shown = dict.fromkeys(key[2] for key in keys if key[1] in SHOWN_IN)
        return [*keys, *compared, *((self.name, PHENOMENA, subject) for subject in shown)]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [None]

    def upstream(self, target: Target) -> list[Target]:
        if is_comparison(target):
            return [Target((*target.key, subject)) for subject in self.config.compared_in(target.key[1])]
        if is_phenomena(target):
            experiments = [name for name in SHOWN_IN if target.key[2] in self._subjects_of(name)]
            return [Target((self.name, name, target.key[2])) for name in experiments]
        key = (ResponsesStage.name, *target.key[1:])
        return [Target(key, partition) for partition in self._responses.partitions(key)]

    def settings(self, target: Target) -> dict[str, Any]:
        if is_comparison(target):
            return {}
        if is_phenomena(target):
            return {"version": 2}  # of its table and picture: only this summary changed
        experiment = self.config.experiments[target.key[1]]
        groups = {} if experiment.group_by is None else {"group_by": experiment.group_by}
        return {"readout": experiment.readout.model_dump(mode="json"), **groups}

    def conditions(self, target: Target) -> list[Target]:
        """Return the responses that a summary is made from, directly or through other summaries."""
        if is_comparison(target) or is_phenomena(target):
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

    def output(self, target: Target) -> Path:
        return self.paths.report(*target.key[1:])

    def tables(self, target: Target) -> tuple[str, ...]:
        """Return the names of a target's tables; the first is the one that `load` gives by default."""
        if is_phenomena(target):
            return _PHENOMENA_TABLES
        if is_comparison(target):
            return _COMPARISON_TABLES
        return _TABLES if self.config.experiments[target.key[1]].group_by is None else (*_TABLES, GROUPS)

    def pictures(self, target: Target) -> list[str]:
        """Return the names of a target's pictures, without their suffix, the one to look at first at the start."""
        if is_phenomena(target):
            return ["phenomena"]
        if is_comparison(target):
            return ["comparison"]
        experiment = self.config.experiments[target.key[1]]
        first = ["heat_map"] if len(experiment.parameters) > 1 else []
        last = [GROUPS] if experiment.group_by is not None else []
        return [*first, "summary", "time_courses", "tuning", *last]

    def read_record(self, target: Target) -> Record | None:
        return read_record(self.output(target) / "record.json", target)

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "record.json"]

    @property
    def _responses(self) -> ResponsesStage:
        return self.stages.of(ResponsesStage)
