"""The conditions of an experiment: every combination of the swept parameters' levels."""

from __future__ import annotations

import itertools

from dynvision.config.experiments import ExperimentConfig, Subject
from dynvision.errors import UnknownNameError, unknown_name
from dynvision.stimuli.names import make_presentation
from dynvision.stimuli.presentation import Presentation

__all__ = ["all_conditions", "condition_text", "parse_condition", "presentation_of"]

Condition = dict[str, str]


def all_conditions(experiment: ExperimentConfig) -> list[Condition]:
    """Every condition of an experiment, the first parameter varying slowest."""
    levels = experiment.levels()
    return [dict(zip(levels, combination, strict=True)) for combination in itertools.product(*levels.values())]


def condition_text(condition: Condition) -> str:
    """Write a condition as in paths and targets: `contrast=0.5,duration=20`."""
    return ",".join(f"{parameter}={level}" for parameter, level in condition.items())


def parse_condition(experiment: ExperimentConfig, text: str, where: str = "") -> Condition:
    """Read `contrast=0.5,duration=20`, in any order, or a bare level where one parameter is swept.

    Raises:
        UnknownNameError: A parameter or level does not exist; the message names the nearest.
    """
    levels = experiment.levels()
    parts = text.split(",")
    if len(levels) == 1 and len(parts) == 1 and "=" not in text:
        parts = [f"{next(iter(levels))}={text}"]
    given: Condition = {}
    for part in parts:
        parameter, _, level = part.partition("=")
        if parameter not in levels:
            raise unknown_name("parameter", parameter, levels, where)
        if level not in levels[parameter]:
            raise unknown_name(f"level of '{parameter}'", level, levels[parameter], where)
        if parameter in given:
            raise UnknownNameError(f"{where}: '{text}' gives '{parameter}' twice")
        given[parameter] = level
    if missing := [p for p in levels if p not in given]:
        example = condition_text({p: values[0] for p, values in levels.items()})
        raise UnknownNameError(f"{where}: '{text}' gives no level for '{missing[0]}'. Write it like '{example}'.")
    return {parameter: given[parameter] for parameter in levels}


def presentation_of(experiment: ExperimentConfig, condition: Condition, subject: Subject | None = None) -> Presentation:
    """The presentation of one condition, without the idle steps that come before it.

    Args:
        experiment: The experiment.
        condition: The level of each swept parameter.
        subject: Whose sensor noise is added, unless the experiment sets its own.
    """
    arguments = experiment.arguments(condition)
    if subject is not None:
        arguments = {"sensor_noise": subject.sensor_noise, **arguments}
    return make_presentation(experiment.data_loader, **arguments)
