"""The conditions of an experiment: every combination of the levels of its swept parameters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from dynvision.config.sections.experiments import ExperimentConfig, Subject
from dynvision.errors import UnknownNameError, unknown_name
from dynvision.keys import Condition, find_level
from dynvision.stimuli.names import canonical_argument, make_presentation
from dynvision.stimuli.presentation import Presentation

__all__ = ["all_conditions", "condition_text", "describe_parameters", "parse_condition", "presentation_of"]

_DURATIONS = frozenset({"n_timesteps", "stimulus_duration", "intro_duration", "interval_duration"})
"""Settings of a presentation that are durations: in steps, or in ms if `dt` is set."""


def all_conditions(experiment: ExperimentConfig) -> list[Condition]:
    """Return every condition of an experiment; the first parameter varies slowest."""
    levels = experiment.levels()
    combinations = itertools.product(*levels.values())
    return [Condition(dict(zip(levels, combination, strict=True))) for combination in combinations]


def condition_text(condition: Mapping[str, str]) -> str:
    """Write the level of each parameter as paths and targets have it: `contrast=0.5,duration=20`."""
    return str(Condition(condition))


def parse_condition(experiment: ExperimentConfig, text: str, where: str = "") -> Condition:
    """Read `contrast=0.5,duration=20`, in any order, or a bare level if one parameter is swept.

    Args:
        experiment: The experiment whose parameters and levels are valid.
        text: The text.
        where: What named the condition, for the message.

    Raises:
        UnknownNameError: If a parameter or level does not exist, or a parameter is missing or given twice. The message
            names the nearest valid name.
    """
    levels = experiment.swept
    parts = text.split(",")
    if len(levels) == 1 and len(parts) == 1 and "=" not in text:
        parts = [f"{next(iter(levels))}={text}"]
    given: dict[str, str] = {}
    for part in parts:
        parameter, _, level = part.partition("=")
        if parameter not in levels:
            raise unknown_name("parameter", parameter, levels, where)
        known = find_level(level, levels[parameter])
        if known is None:
            raise unknown_name(f"level of '{parameter}'", level, levels[parameter], where)
        if parameter in given:
            raise UnknownNameError(f"{where}: '{text}' gives '{parameter}' twice")
        given[parameter] = known
    if missing := [p for p in levels if p not in given]:
        example = Condition({p: next(iter(values)) for p, values in levels.items()})
        raise UnknownNameError(f"{where}: '{text}' gives no level for '{missing[0]}'. Write it like '{example}'.")
    return Condition({parameter: given[parameter] for parameter in levels})


def presentation_of(
    experiment: ExperimentConfig, condition: Mapping[str, str], subject: Subject | None = None
) -> Presentation:
    """Return the presentation of one condition, without the idle steps before it.

    Args:
        experiment: The experiment.
        condition: The level of each swept parameter.
        subject: Its sensor noise is added, unless the experiment sets its own.

    Raises:
        ValueError: If the settings make no presentation.
    """
    arguments = experiment.arguments(condition)
    if subject is not None:
        arguments = {"sensor_noise": subject.sensor_noise, **arguments}
    return make_presentation(experiment.data_loader, **arguments)


def describe_parameters(experiment: ExperimentConfig) -> dict[str, dict[str, str]]:
    """Return the long name and the unit of each swept parameter, as attributes of a coordinate.

    Durations are in steps, or in ms if `dt` is set; `dt` itself is in ms; other numbers have no dimension.
    """
    in_ms = any(canonical_argument(name) == "dt" for name in experiment.data_args)
    durations = _DURATIONS | set(_find_durations(experiment.data_args.get("program")))
    described = {}
    for name in experiment.parameters:
        full = canonical_argument(name)
        is_duration = full in durations or name in durations
        unit = "ms" if full == "dt" or (is_duration and in_ms) else "step" if is_duration else "1"
        described[name] = {"long_name": f"swept parameter: {full.replace('_', ' ')}", "units": unit}
    return described


def _find_durations(program: Any) -> Iterator[str]:
    """Yield the placeholders in a program that stand for durations: those of `void` and `image`."""
    if isinstance(program, Mapping):
        for key, value in program.items():
            if key in ("void", "image") and isinstance(value, str) and value.startswith("$"):
                yield value[1:]
            else:
                yield from _find_durations(value)
    elif isinstance(program, list):
        for entry in program:
            yield from _find_durations(entry)
