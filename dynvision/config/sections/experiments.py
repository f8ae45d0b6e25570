"""Schema of `config_experiments.yaml`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from dynvision.config.sections.recording import RecordConfig, RunConfig
from dynvision.config.sections.stimulus_sets import ColumnName
from dynvision.config.sections.sweeps import fill_placeholders, find_placeholders, levels_of, values_of
from dynvision.config.values.limits import (
    MOST_LEVELS,
    MOST_STEPS,
    Amplitude,
    Pair,
    PlainSettings,
    PlainText,
    Seed,
    Steps,
)
from dynvision.config.values.names import LONGEST_NAME, Name, Section, check_name, repeats
from dynvision.errors import nearest_name
from dynvision.stimuli.names import ARGUMENT_ALIASES, canonical_argument, presentation_arguments
from dynvision.stimuli.noise import canonical_kind
from dynvision.stimuli.number_spelling import spell_numbers
from dynvision.system.escaping import show_text

__all__ = [
    "ExperimentConfig",
    "Readout",
    "Subject",
]


def _check_trained_on(value: object) -> str:
    """Check a group, or `<dataset>/<group>`."""
    parts = value.split("/") if isinstance(value, str) else [value]
    if len(parts) > 2:
        raise ValueError(f"'{show_text(str(value), 80)}' is neither a group nor <dataset>/<group>")
    return "/".join(check_name(part) for part in parts)


TrainedOn = Annotated[str, BeforeValidator(_check_trained_on)]


class Subject(Section):
    """A network, and the images that it is shown.

    `trained_on` is the group that the network is trained on; `<dataset>/<group>` if it is trained on another dataset
    than the one that it is shown. With `only_named: true` it takes part in those experiments alone that name it, and
    not where `subjects` is `all`.

    `match` says how labels stand to the network's outputs: `index` (label k is output k), `name` (a class and an output
    have the same name) or `none`. By default they match by index where the outputs are the shown dataset's classes.
    `standardize` says by whose mean and deviation images are standardized: those of the shown `dataset`, or those of
    the `network`'s own training. By default the dataset's, if it has any.
    """

    model: Name
    dataset: Name
    trained_on: TrainedOn = "all"
    group: Name = "all"
    seed: Seed = 0
    sensor_noise: Amplitude = Field(0.0, description="of presentations that set none of their own")
    match: Literal["index", "name", "none"] | None = Field(None, description="how labels stand to outputs")
    standardize: Literal["dataset", "network"] | None = Field(None, description="by whose mean and std")
    only_named: bool = Field(False, description="leave it out where an experiment shows all subjects")

    @property
    def network_dataset(self) -> str:
        """The dataset that the network belongs to: the one that it is trained on."""
        dataset, slash, _ = self.trained_on.partition("/")
        return dataset if slash else self.dataset

    @property
    def network_group(self) -> str:
        """The group of that dataset that the network is trained on."""
        return self.trained_on.rpartition("/")[2]


class Readout(Section):
    """How predictions over time become one accuracy.

    `choices: group` is a forced choice among the classes of the group, so that chance is one over their number; with
    `all` the network may answer with any class that it knows. If a trial shows several images, `image` says which one
    is to be named; windows are those of that image.
    """

    window: Literal["stimulus", "outro", "all", "late"] | Pair = "late"
    reduce: Literal["mean", "max", "last"] = "mean"
    choices: Literal["group", "all"] = "group"
    image: int = Field(0, ge=0, le=MOST_STEPS, description="which image of a trial is to be named, counted from 0")

    @field_validator("window")
    @classmethod
    def _window_is_ordered(cls, window: Any) -> Any:
        if not isinstance(window, str) and not 0 <= window[0] < window[1]:
            raise ValueError("window is [start, stop] in steps, with 0 ≤ start < stop")
        return window


_READOUT = Readout()  # pydantic would copy a default value for each experiment


class ExperimentConfig(Section):
    """An experiment: a presentation with one or two swept parameters.

    A list in `data_args` is a sweep. A program is swept through the settings that its placeholders `$name` stand for.
    With `parameter: program` several programs are swept, each of them under a name. The description is for people: it
    is shown with the assets of the experiment, and nothing follows from it.
    """

    description: PlainText | None = None

    parameter: Name | list[Name]
    data_loader: PlainText
    data_args: PlainSettings
    status: str = "trained"
    subjects: Literal["all"] | list[Name] = "all"
    compare_on: Name | None = Field(None, description="compare only subjects on this dataset, if there are any")
    group_by: ColumnName | None = Field(None, description="a column about the images: responses by its values")
    idle: Steps = Field(0, description="void steps before the trial, which are not recorded")
    readout: Readout = Field(default_factory=lambda: _READOUT)
    record: PlainSettings = Field(default_factory=dict, description="replaces settings of the model")
    run: PlainSettings = Field(default_factory=dict, description="replaces settings of the model")

    @field_validator("data_args")
    @classmethod
    def _numbers_have_one_spelling(cls, data_args: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return spell_numbers(str(info.data.get("data_loader", "")), data_args)

    @field_validator("record")
    @classmethod
    def _record_is_known(cls, record: dict[str, Any]) -> dict[str, Any]:
        _check_keys(record, RecordConfig)
        # Only a part of the settings may be here (units, but the resolution in the model): `Config` checks the whole.
        RecordConfig(**{**({"resolution": "unit"} if "units" in record else {}), **record})
        return record

    @field_validator("run")
    @classmethod
    def _run_is_known(cls, run: dict[str, Any]) -> dict[str, Any]:
        _check_keys(run, RunConfig)
        RunConfig(**{**({"mixed_precision": True} if "dtype" in run else {}), **run})
        return run

    @field_validator("subjects")
    @classmethod
    def _there_are_subjects(cls, subjects: Literal["all"] | list[str]) -> Literal["all"] | list[str]:
        if not subjects:
            raise ValueError("the list is empty, so nothing would be shown; write 'all', or name subjects")
        return subjects

    @field_validator("status")
    @classmethod
    def _status_is_known(cls, status: str) -> str:
        if status not in ("init", "trained") and not re.fullmatch(r"trained-epoch=[1-9]\d{0,5}", status):
            raise ValueError(f"status '{status}' is not one of init, trained, trained-epoch=N")
        return status

    @model_validator(mode="after")
    def _sweep_is_whole(self) -> ExperimentConfig:
        names = self.parameters
        if not 1 <= len(names) <= 2 or len(set(names)) != len(names):
            raise ValueError("parameter is one name or two different ones")
        full = [canonical_argument(k) for k in self.data_args]
        if twice := repeats(full):
            raise ValueError(f"data_args gives {', '.join(sorted(twice))} twice, under two of its names")
        wanted = {canonical_argument(p) for p in names}
        swept = {canonical_argument(k) for k, v in self.data_args.items() if _is_sweep(k, v)}
        if missing := wanted - swept:
            needed = "several programs by name" if missing == {"program"} else "a list of levels"
            raise ValueError(f"data_args needs {needed} for {', '.join(sorted(missing))}{self._nearest_of(missing)}")
        if extra := swept - wanted:
            raise ValueError(f"a list in data_args is a sweep: name {', '.join(sorted(extra))} in 'parameter'")
        self._check_levels()
        return self

    def _nearest_of(self, missing: set[str]) -> str:
        """Name the setting that no presentation has, which may be a misspelling of a missing one."""
        known = {*presentation_arguments(), *find_placeholders(self.data_args.get("program"))}
        unknown = next((name for name in self.data_args if name not in known), None)
        names = [name for full in sorted(missing) for name in (full, *ARGUMENT_ALIASES.get(full, ()))]
        return "" if unknown is None else f"; there is no setting '{unknown}'. {nearest_name(unknown, names)}"

    def _check_levels(self) -> None:
        for name, value in self.data_args.items():
            if _is_sweep(name, value) and len(value) > MOST_LEVELS:
                raise ValueError(f"'{name}' has {len(value)} levels; {MOST_LEVELS} at most")
        for parameter, setting in self._sweeps().items():
            levels = levels_of(setting)
            # Levels become file names, in which capital letters may make no difference.
            values = [str(float(x) + 0.0) if _is_number(x) else x.lower() for x in levels]
            if not levels or len(set(values)) != len(values):
                raise ValueError(f"the levels of '{parameter}' are empty or repeat")
            if canonical_argument(parameter) == "noise_type" and (
                twice := repeats([canonical_kind(x) for x in levels])
            ):
                raise ValueError(f"the levels of '{parameter}' name '{twice[0]}' twice, once by another of its names")
            if bad := next((x for x in levels if not re.fullmatch(r"[A-Za-z0-9_.+-]+", x)), None):
                shown = show_text(bad, 80)
                raise ValueError(f"the level '{shown}' of '{parameter}' becomes a file name: letters, digits, . + - _")
            if len(longest := max(levels, key=len)) > LONGEST_NAME:
                shown = f"the level '{longest[:20]}…' of '{parameter}'"
                raise ValueError(f"{shown} has {len(longest)} characters; {LONGEST_NAME} at most")

    @property
    def parameters(self) -> list[str]:
        """The swept parameters, under the names that `parameter` gives."""
        return [self.parameter] if isinstance(self.parameter, str) else list(self.parameter)

    @cached_property
    def swept(self) -> Mapping[str, Mapping[str, Any]]:
        """The value of each level of each swept parameter, in order; levels are written as in partition keys.

        It is made once, because each of thousands of conditions looks its levels up in it.
        """
        return {parameter: values_of(setting) for parameter, setting in self._sweeps().items()}

    @property
    def n_conditions(self) -> int:
        """How many combinations of levels there are."""
        return math.prod(map(len, self.swept.values()))

    def levels(self) -> dict[str, list[str]]:
        """Return the levels of each swept parameter, written as in partition keys."""
        return {parameter: list(values) for parameter, values in self.swept.items()}

    def _sweeps(self) -> dict[str, Any]:
        """Return the setting of each swept parameter: a list of levels, or programs by name."""
        by_name = {canonical_argument(k): v for k, v in self.data_args.items()}
        return {parameter: by_name[canonical_argument(parameter)] for parameter in self.parameters}

    def arguments(self, condition: Mapping[str, str]) -> dict[str, Any]:
        """Return the settings of the presentation in one condition, under their full names.

        Args:
            condition: The level of each swept parameter, as in the partition key.

        Raises:
            ValueError: If a placeholder of the program has no value.
        """
        settings = self.values(condition)
        if "program" in settings:
            names = {canonical_argument(name): name for name in find_placeholders(settings["program"])}
            values = {names.get(name, name): value for name, value in settings.items()}
            settings["program"] = fill_placeholders(settings["program"], values)
            settings = {name: value for name, value in settings.items() if name not in names}
        return settings

    def level_values(self, condition: Mapping[str, str]) -> dict[str, Any]:
        """Return the levels of a condition as numbers, or as names if they are names."""
        values = self.values(condition)
        levels = {parameter: values[canonical_argument(parameter)] for parameter in condition}
        return {name: condition[name] if isinstance(value, list) else value for name, value in levels.items()}

    def values(self, condition: Mapping[str, str]) -> dict[str, Any]:
        """Return all settings in one condition under full names, also those of the program's placeholders."""
        settings = {canonical_argument(k): v for k, v in self.data_args.items()}
        swept = {canonical_argument(parameter): values for parameter, values in self.swept.items()}
        for parameter, level in condition.items():
            name = canonical_argument(parameter)
            settings[name] = swept[name][level]
        return settings


def _check_keys(settings: dict[str, Any], section: type[Section]) -> None:
    for name in settings:
        if name not in section.model_fields:
            raise ValueError(f"unknown key '{name}'. {nearest_name(name, section.model_fields)}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_sweep(name: str, value: Any) -> bool:
    """Whether a setting is swept: it is a list, or, because a program is a list itself, several named programs."""
    return isinstance(value, dict) if name == "program" else isinstance(value, list)
