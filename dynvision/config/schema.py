"""The whole configuration; `dynvision.config.checking` checks the names that one file uses from another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from dynvision.config.datasets import count_classes
from dynvision.config.problems import first_problem
from dynvision.config.sections.compute import ComputeConfig
from dynvision.config.sections.data import DataConfig
from dynvision.config.sections.experiments import ExperimentConfig, Subject
from dynvision.config.sections.models import ModelConfig
from dynvision.config.sections.recording import RecordConfig, RunConfig
from dynvision.config.snapshot import Snapshot
from dynvision.config.values.names import Name, Section
from dynvision.errors import ConfigError, unknown_name
from dynvision.keys import SplitGroup

__all__ = ["Config", "ExperimentsFile", "ModelsFile"]


class ModelsFile(Section):
    """Everything in `config_models.yaml`."""

    models: dict[Name, ModelConfig] = Field(default_factory=dict)


class ExperimentsFile(Section):
    """Everything in `config_experiments.yaml`."""

    subjects: dict[Name, Subject] = Field(default_factory=dict)
    experiment_config: dict[Name, ExperimentConfig] = Field(default_factory=dict)


class Config(Section):
    """The files together; `check_config` checks every name in them.

    `snapshot` is the reading that it comes from; it is not there if the parts were made otherwise.
    """

    folder: Path
    data: DataConfig
    models: dict[str, ModelConfig]
    subjects: dict[str, Subject]
    experiments: dict[str, ExperimentConfig]
    compute: ComputeConfig = Field(default_factory=ComputeConfig)
    snapshot: Snapshot | None = Field(None, repr=False, exclude=True)

    @property
    def datasets(self) -> list[str]:
        """The names of the datasets, in the order of `data_resolution`; stimulus sets come last."""
        return list(self.data.data_resolution)

    def class_count(self, dataset: str) -> int | None:
        """Return how many classes a dataset has; `None` if only its images say so."""
        return count_classes(self.data, dataset)

    def shown(self, subject: str) -> SplitGroup:
        """Return the images that a subject is shown."""
        chosen = self.subjects[subject]
        return self.data.shown(chosen.dataset, chosen.group)

    def subjects_of(self, experiment: str) -> list[str]:
        """Return the names of the subjects that take part in an experiment."""
        chosen = self.experiments[experiment].subjects
        if chosen == "all":
            return [name for name, subject in self.subjects.items() if not subject.only_named]
        return chosen

    def compared_in(self, experiment: str) -> list[str]:
        """Return the names of the subjects that the summary of an experiment over all subjects puts side by side.

        These are the ones on the dataset `compare_on`; all of them, if it is not given or no subject is on it.
        """
        dataset, names = self.experiments[experiment].compare_on, self.subjects_of(experiment)
        return [name for name in names if self.subjects[name].dataset == dataset] or names

    def seeds(self, model: str, dataset: str) -> list[int]:
        """Return the seeds with which a model is trained on a dataset: 0, and those of the subjects."""
        used = {s.seed for s in self.subjects.values() if (s.model, s.network_dataset) == (model, dataset)}
        return sorted(used | {0})

    def record(self, experiment: str, subject: str) -> RecordConfig:
        """Return what is recorded: the settings of the experiment take precedence over those of the model."""
        model = self.models[self.subjects[subject].model]
        changes = self.experiments[experiment].record
        if not changes:
            return model.record
        settings = {**model.record.model_dump(), **changes}
        if settings["resolution"] != "unit" and "units" not in changes:
            settings["units"] = None
        try:
            return RecordConfig(**settings)
        except ValidationError as error:
            where = f"{self.folder / 'config_experiments.yaml'}: experiment_config.{experiment}.record"
            raise ConfigError(f"{where}, with subject '{subject}': {first_problem(error)}") from error

    def run(self, experiment: str, subject: str) -> RunConfig:
        """Return how an experiment is computed: its settings take precedence over those of the model."""
        model = self.models[self.subjects[subject].model]
        changes = self.experiments[experiment].run
        if not changes:
            return model.run
        try:
            return RunConfig(**{**model.run.model_dump(), **changes})
        except ValidationError as error:
            where = f"{self.folder / 'config_experiments.yaml'}: experiment_config.{experiment}.run"
            raise ConfigError(f"{where}, with subject '{subject}': {first_problem(error)}") from error

    def with_settings(self, experiment: str, settings: Mapping[str, Any]) -> Config:
        """Return the same configuration with other settings of `record` and `run` for one experiment.

        Raises:
            ConfigError: If there is no such setting, or it has an impossible value.
        """
        current = self.experiments[experiment]
        parts = {"record": dict(current.record), "run": dict(current.run)}
        fields = {"record": RecordConfig.model_fields, "run": RunConfig.model_fields}
        for name, value in settings.items():
            part = next((part for part, known in fields.items() if name in known), None)
            if part is None:
                raise unknown_name("setting", name, [*fields["record"], *fields["run"]], f"a run of {experiment}")
            parts[part][name] = value
        try:
            changed = ExperimentConfig(**{**current.model_dump(), **parts})
        except ValidationError as error:
            raise ConfigError(f"a run of {experiment}: {first_problem(error)}") from error
        whole = self.model_copy(update={"experiments": {**self.experiments, experiment: changed}})
        for subject in whole.subjects_of(experiment):
            whole.record(experiment, subject)
            whole.run(experiment, subject)
        return whole
