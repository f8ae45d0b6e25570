"""The whole configuration, and the checks of the names that one file uses from another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from dynvision.config.conditions import all_conditions, presentation_of
from dynvision.config.data import DataConfig, Name, Section
from dynvision.config.datasets import check_datasets, count_classes
from dynvision.config.experiments import ExperimentConfig, Subject
from dynvision.config.models import ModelConfig
from dynvision.config.recording import RecordConfig, RunConfig
from dynvision.config.snapshot import Snapshot
from dynvision.errors import ConfigError, unknown_name

__all__ = ["Config", "ExperimentsFile", "ModelsFile"]


class ModelsFile(Section):
    """Everything in `config_models.yaml`."""

    models: dict[Name, ModelConfig] = Field(default_factory=dict)


class ExperimentsFile(Section):
    """Everything in `config_experiments.yaml`."""

    subjects: dict[Name, Subject] = Field(default_factory=dict)
    experiment_config: dict[Name, ExperimentConfig] = Field(default_factory=dict)


class Config(Section):
    """The three files together; `check_names` checks every name in them.

    `snapshot` is the reading that it comes from; it is not there if the parts were made otherwise.
    """

    folder: Path
    data: DataConfig
    models: dict[str, ModelConfig]
    subjects: dict[str, Subject]
    experiments: dict[str, ExperimentConfig]
    snapshot: Snapshot | None = Field(None, repr=False, exclude=True)

    @property
    def datasets(self) -> list[str]:
        """The names of the datasets, in the order of `data_resolution`."""
        return list(self.data.data_resolution)

    def class_count(self, dataset: str) -> int | None:
        """Return how many classes a dataset has; `None` if only its images say so."""
        return count_classes(self.data, dataset)

    def subjects_of(self, experiment: str) -> list[str]:
        """Return the names of the subjects that take part in an experiment."""
        chosen = self.experiments[experiment].subjects
        return list(self.subjects) if chosen == "all" else chosen

    def seeds(self, model: str, dataset: str) -> list[int]:
        """Return the seeds with which a model is trained on a dataset: 0, and those of the subjects."""
        used = {s.seed for s in self.subjects.values() if (s.model, s.dataset) == (model, dataset)}
        return sorted(used | {0})

    def record(self, experiment: str, subject: str) -> RecordConfig:
        """Return what is recorded: the settings of the experiment take precedence over those of the model."""
        model = self.models[self.subjects[subject].model]
        changes = self.experiments[experiment].record
        settings = {**model.record.model_dump(), **changes}
        if settings["resolution"] != "unit" and "units" not in changes:
            settings["units"] = None
        try:
            return RecordConfig(**settings)
        except ValidationError as error:
            where = f"{self.folder / 'config_experiments.yaml'}: experiment_config.{experiment}.record"
            raise ConfigError(f"{where}, with subject '{subject}': {_first_message(error)}") from error

    def run(self, experiment: str, subject: str) -> RunConfig:
        """Return how an experiment is computed: its settings take precedence over those of the model."""
        model = self.models[self.subjects[subject].model]
        try:
            return RunConfig(**{**model.run.model_dump(), **self.experiments[experiment].run})
        except ValidationError as error:
            where = f"{self.folder / 'config_experiments.yaml'}: experiment_config.{experiment}.run"
            raise ConfigError(f"{where}, with subject '{subject}': {_first_message(error)}") from error

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
            raise ConfigError(f"a run of {experiment}: {_first_message(error)}") from error
        whole = self.model_copy(update={"experiments": {**self.experiments, experiment: changed}})
        for subject in whole.subjects_of(experiment):
            whole.record(experiment, subject)
            whole.run(experiment, subject)
        return whole

    def check_names(self) -> None:
        """Check every name that refers to another entry.

        Raises:
            UnknownNameError: If a name does not exist; the message names file, key and nearest name.
            ConfigError: If something does not fit its dataset, experiment or model.
        """
        self._check_data()
        for name, model in self.models.items():
            self._check_training(name, model)
        for name, subject in self.subjects.items():
            where = f"{self.folder / 'config_experiments.yaml'}: subjects.{name}"
            _check("model", subject.model, self.models, f"{where}.model")
            _check("dataset", subject.dataset, self.datasets, f"{where}.dataset")
            groups = self.data.groups(subject.dataset)
            _check("class group", subject.trained_on, groups, f"{where}.trained_on")
            _check("class group", subject.group, groups, f"{where}.group")
            if subject.dataset not in self.data.data_statistics:
                raise ConfigError(
                    f"{where}.dataset: '{subject.dataset}' has no data_statistics in config_data.yaml. A subject needs "
                    "the mean and std of its images: contrast fades towards the mean grey."
                )
        for name in self.experiments:
            where = f"{self.folder / 'config_experiments.yaml'}: experiment_config.{name}"
            chosen = self.subjects_of(name)
            for subject_name in chosen:
                _check("subject", subject_name, self.subjects, f"{where}.subjects")
                if chosen.count(subject_name) > 1:
                    raise ConfigError(f"{where}.subjects: '{subject_name}' is listed twice")
                self.record(name, subject_name)
                self.run(name, subject_name)
            self._check_presentations(name, where)

    def _check_training(self, name: str, model: ModelConfig) -> None:
        if model.training is None:
            return
        where = f"{self.folder / 'config_models.yaml'}: models.{name}.training"
        for dataset in model.training.datasets:
            _check("dataset", dataset, self.datasets, f"{where}.datasets")
        for dataset in self.datasets:
            preset = model.training.for_dataset(dataset).transform
            if preset is not None:
                _check("transform preset", preset, self.data.transform_presets, f"{where}.transform")

    def _check_data(self) -> None:
        where = self.folder / "config_data.yaml"
        for key in ("data_statistics", "bit_depth", "data_groups", "data_sources", "class_index_files", "write_mode"):
            for dataset in getattr(self.data, key):
                _check("dataset", dataset, self.datasets, f"{where}: {key}")
        for dataset in self.data.mounts():
            _check("dataset", dataset, self.datasets, f"{where}: mounted_datasets")
        check_datasets(self.data, where)

    def _check_presentations(self, name: str, where: str) -> None:
        experiment = self.experiments[name]
        lengths = set()
        for condition in all_conditions(experiment):
            try:
                presentation = presentation_of(experiment, condition)
                presentation.window(experiment.readout.window, experiment.readout.image)
            except (ValueError, TypeError) as error:
                raise ConfigError(f"{where}.data_args: {error}") from error
            if experiment.readout.image >= presentation.n_images:
                raise ConfigError(
                    f"{where}.readout.image: {experiment.readout.image} is to be named, but a trial shows "
                    f"{presentation.n_images} image(s), counted from 0"
                )
            self._check_step_length(name, where, presentation.dt)
            lengths.add(presentation.n_timesteps)
        if len(lengths) > 1:
            raise ConfigError(
                f"{where}.data_args: the conditions last {', '.join(map(str, sorted(lengths)))} steps; those of one "
                "experiment have one length, so that their responses can be compared step by step. Set n_timesteps."
            )

    def _check_step_length(self, name: str, where: str, dt: float | None) -> None:
        for subject in self.subjects_of(name):
            model = self.subjects[subject].model
            own = self.models[model].args.get("dt")
            if dt is not None and own is not None and float(own) != float(dt):
                raise ConfigError(
                    f"{where}.data_args.dt: {dt:g} ms, but a step of the model '{model}' (subject '{subject}') is "
                    f"{own:g} ms. Give both the same."
                )


def _first_message(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")


def _check(noun: str, name: str, valid: object, where: str) -> None:
    if name not in valid:  # type: ignore[operator]
        raise unknown_name(noun, name, valid, where)  # type: ignore[arg-type]
