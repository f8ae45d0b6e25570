"""Checks of the names of swept parameters and placeholders, which become dimensions and columns of results."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.config.checks.reserved_names import RESERVED_PARAMETERS
from dynvision.config.sweeps import find_placeholders
from dynvision.errors import ConfigError
from dynvision.stimuli.names import canonical_argument
from dynvision.stimuli.presentation import Presentation

if TYPE_CHECKING:
    from dynvision.config.experiments import ExperimentConfig
    from dynvision.config.schema import Config

__all__ = ["check_parameters"]


def check_parameters(config: Config) -> None:
    """Check that results can tell every swept parameter from everything else in them.

    Raises:
        ConfigError: If a parameter has the name of a dimension, variable or column of results, two names mean the same
            parameter, or a placeholder has the name of a setting of programs; the message names file and key.
    """
    file = config.folder / "config_experiments.yaml"
    for name, experiment in config.experiments.items():
        _check_names(file, name, experiment)
        _check_placeholders(file, name, experiment)


def _check_names(file: Path, name: str, experiment: ExperimentConfig) -> None:
    where = f"{file}: experiment_config.{name}.parameter"
    for parameter in experiment.parameters:
        if parameter in RESERVED_PARAMETERS:
            raise ConfigError(
                f"{where}: '{parameter}' is the name of a dimension, a column or a keyword of the results. Give the "
                f"setting another name, such as '{parameter}_level'."
            )
    full = {canonical_argument(parameter) for parameter in experiment.parameters}
    if len(full) < len(experiment.parameters):
        names = " and ".join(f"'{parameter}'" for parameter in experiment.parameters)
        raise ConfigError(f"{where}: {names} are two names of one setting, '{full.pop()}'. Keep one of them.")


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
