"""Checks of what settings mean: what would go wrong silently, or only after a recording, is refused when it is read.

Names of swept parameters become dimensions and columns of results. Records keep the arguments of classes as JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynvision.config.networks import known_layers
from dynvision.config.schema import Config
from dynvision.config.sections.experiments import ExperimentConfig
from dynvision.config.sections.sweeps import find_placeholders
from dynvision.config.transform_checks import check_transforms
from dynvision.errors import ConfigError
from dynvision.reserved_names import GROUP_COLUMNS, RESERVED_PARAMETERS
from dynvision.stimuli.names import canonical_argument
from dynvision.stimuli.presentation import Presentation
from dynvision.system.json_values import why_not_json

__all__ = ["check_meaning"]


def check_meaning(config: Config) -> None:
    """Check what names, numbers and transforms mean once they are used.

    Raises:
        ConfigError: If results could not tell a parameter from another part of them, a value would not survive JSON, or
            a transform does not fit; the message names file and key.
    """
    _check_values(config)
    _check_parameters(config)
    check_transforms(config)


def _check_parameters(config: Config) -> None:
    """Check that results can tell every swept parameter from everything else in them.

    Raises:
        ConfigError: If a parameter has the name of a dimension, variable or column of results, two names mean the same
            parameter, or a placeholder has the name of a setting of programs; the message names file and key.
    """
    file = config.folder / "config_experiments.yaml"
    for name, experiment in config.experiments.items():
        _check_names(file, name, experiment)
        _check_layers(config, name)
        _check_placeholders(file, name, experiment)


def _check_names(file: Path, name: str, experiment: ExperimentConfig) -> None:
    where = f"{file}: experiment_config.{name}.parameter"
    for parameter in experiment.parameters:
        if parameter in RESERVED_PARAMETERS or (experiment.group_by is not None and parameter in GROUP_COLUMNS):
            raise ConfigError(
                f"{where}: '{parameter}' is the name of a dimension, a column or a keyword of the results. Give the "
                f"setting another name, such as '{parameter}_level'."
            )
    full = {canonical_argument(parameter) for parameter in experiment.parameters}
    if len(full) < len(experiment.parameters):
        names = " and ".join(f"'{parameter}'" for parameter in experiment.parameters)
        raise ConfigError(f"{where}: {names} are two names of one setting, '{full.pop()}'. Keep one of them.")


def _check_layers(config: Config, name: str) -> None:
    """Raise if a parameter has the name of a layer that is recorded, as far as the configuration tells."""
    for subject in config.subjects_of(name):
        if subject not in config.subjects or config.subjects[subject].model not in config.models:
            continue  # Names that do not exist are said later.
        network = config.models[config.subjects[subject].model]
        own = config.experiments[name].record.get("layers", [])
        layers = {*known_layers(network.class_path), *network.record.layers, *own}
        for parameter in config.experiments[name].parameters:
            if parameter in layers:
                where = f"{config.folder / 'config_experiments.yaml'}: experiment_config.{name}.parameter"
                raise ConfigError(
                    f"{where}: '{parameter}' is also a layer of the model of the subject '{subject}'. Give the setting "
                    f"another name, such as '{parameter}_level'."
                )


def _check_placeholders(file: Path, name: str, experiment: ExperimentConfig) -> None:
    """Raise if a placeholder is also a setting that presentations of programs take, so that it would mean both."""
    if "program" not in experiment.data_args:
        return
    taken = {"program", "n_timesteps", *_shared_settings()}
    for placeholder in find_placeholders(experiment.data_args["program"]):
        if canonical_argument(placeholder) in taken:
            raise ConfigError(
                f"{file}: experiment_config.{name}.data_args.program: the placeholder '${placeholder}' has the name of "
                f"a setting of every program. Give it another name, such as '${placeholder}_level'."
            )


def _shared_settings() -> set[str]:
    """Return the settings that every presentation has besides its segments, under their full names."""
    return {field.name for field in dataclasses.fields(Presentation) if field.name != "segments"}


def _check_values(config: Config) -> None:
    """Check that free values are those that a record can keep and compare.

    Raises:
        ConfigError: If a key or value is of a type that JSON does not have; the message names file and key.
    """
    for file, key, value in _free_values(config):
        try:
            reason = why_not_json(value)
        except RecursionError:
            reason = "it is nested too deeply, or contains itself"
        if reason is not None:
            raise ConfigError(f"{file}: {key}: {reason}")


def _free_values(config: Config) -> Iterator[tuple[Path, str, Any]]:
    """Yield file, key and content of each mapping whose values no schema describes."""
    data, models, experiments = (config.folder / f"config_{name}.yaml" for name in ("data", "models", "experiments"))
    for name, source in config.data.data_sources.items():
        yield data, f"data_sources.{name}.args", source.args
        yield data, f"data_sources.{name}.split_args", source.split_args or {}
    for name, model in config.models.items():
        yield models, f"models.{name}.args", model.args
    for name, experiment in config.experiments.items():
        yield experiments, f"experiment_config.{name}.data_args", experiment.data_args
