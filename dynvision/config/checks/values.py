"""Checks of the values that go to a class of the user's or into a presentation: records keep them as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.errors import ConfigError
from dynvision.system.json_values import why_not_json

if TYPE_CHECKING:
    from dynvision.config.schema import Config

__all__ = ["check_values"]


def check_values(config: Config) -> None:
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
