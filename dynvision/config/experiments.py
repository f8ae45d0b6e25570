"""Schema of `config_experiments.yaml`."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from dynvision.config.data import Name, Section
from dynvision.config.recording import RecordConfig, RunConfig
from dynvision.config.sweeps import fill_places, find_places, levels_of, pick_level
from dynvision.errors import nearest_name
from dynvision.stimuli.names import canonical_argument

__all__ = [
    "ExperimentConfig",
    "Readout",
    "Subject",
]


class Subject(Section):
    """Which network looks at which images."""

    model: Name
    dataset: Name
    trained_on: Name = "all"
    group: Name = "all"
    seed: int = Field(0, ge=0)
    sensor_noise: float = Field(0.0, ge=0, description="of presentations that do not set their own")


class Readout(Section):
    """How predictions over time become one accuracy.

    `choices: group` is a forced choice among the classes that are shown, so that chance is one over
    their number; `all` lets the network answer with any class that it knows. Where a trial shows several images,
    `image` is the one whose class is right, and windows are those of that image.
    """

    window: Literal["stimulus", "outro", "all", "late"] | tuple[int, int] = "late"
    reduce: Literal["mean", "max", "last"] = "mean"
    choices: Literal["group", "all"] = "group"
    image: int = Field(0, ge=0, description="which image of a trial is to be named, counted from 0")

    @field_validator("window")
    @classmethod
    def _window_is_ordered(cls, window: Any) -> Any:
        if not isinstance(window, str) and not 0 <= window[0] < window[1]:
            raise ValueError("window is [start, stop] in steps, with 0 ≤ start < stop")
        return window


class ExperimentConfig(Section):
    """An experiment: a presentation with one or two swept parameters.

    A list in `data_args` is a sweep. A program is swept by the settings that its places `$name` stand for, or, as
    `parameter: program`, by giving each of several programs a name.
    """

    parameter: Name | list[Name]
    data_loader: str
    data_args: dict[str, Any]
    status: str = "trained"
    subjects: Literal["all"] | list[Name] = "all"
    idle: int = Field(0, ge=0, description="void steps before the trial that are not recorded")
    readout: Readout = Readout()
    record: dict[str, Any] = Field(default_factory=dict, description="over the model's own")
    run: dict[str, Any] = Field(default_factory=dict, description="over the model's own")

    @field_validator("record")
    @classmethod
    def _record_is_known(cls, record: dict[str, Any]) -> dict[str, Any]:
        _check_keys(record, RecordConfig)
        # Alone it may be half a setting (units without resolution); the two together are checked with the names.
        RecordConfig(**{**({"resolution": "unit"} if "units" in record else {}), **record})
        return record

    @field_validator("run")
    @classmethod
    def _run_is_known(cls, run: dict[str, Any]) -> dict[str, Any]:
        _check_keys(run, RunConfig)
        RunConfig(**{**({"mixed_precision": True} if "dtype" in run else {}), **run})
        return run

    @field_validator("status")
    @classmethod
    def _status_is_known(cls, status: str) -> str:
        if status not in ("init", "trained") and not re.fullmatch(r"trained-epoch=[1-9]\d*", status):
            raise ValueError(f"status '{status}' is not one of init, trained, trained-epoch=N")
        return status

    @model_validator(mode="after")
    def _sweep_is_whole(self) -> ExperimentConfig:
        names = self.parameters
        if not 1 <= len(names) <= 2 or len(set(names)) != len(names):
            raise ValueError("parameter is one name or two different ones")
        full = [canonical_argument(k) for k in self.data_args]
        if twice := {k for k in full if full.count(k) > 1}:
            raise ValueError(f"data_args gives {', '.join(sorted(twice))} twice, under two of its names")
        wanted = {canonical_argument(p) for p in names}
        swept = {canonical_argument(k) for k, v in self.data_args.items() if _is_sweep(k, v)}
        if missing := wanted - swept:
            kind = "several programs by name" if missing == {"program"} else "a list of levels"
            raise ValueError(f"data_args needs {kind} for {', '.join(sorted(missing))}")
        if extra := swept - wanted:
            raise ValueError(f"a list in data_args is a sweep: name {', '.join(sorted(extra))} in 'parameter'")
        self._check_levels()
        return self

    def _check_levels(self) -> None:
        for parameter, levels in self.levels().items():
            values = [str(float(x)) if _is_number(x) else x for x in levels]
            if not levels or len(set(values)) != len(values):
                raise ValueError(f"the levels of '{parameter}' are empty or repeat")
            if bad := [x for x in levels if not re.fullmatch(r"[\w.+-]+", x)]:
                raise ValueError(f"the level '{bad[0]}' of '{parameter}' becomes a file name: letters, digits, . + - _")

    @property
    def parameters(self) -> list[str]:
        """The swept parameters, as `parameter` names them."""
        return [self.parameter] if isinstance(self.parameter, str) else list(self.parameter)

    def levels(self) -> dict[str, list[str]]:
        """The levels of each swept parameter, written as in partition keys."""
        by_name = {canonical_argument(k): v for k, v in self.data_args.items()}
        return {p: levels_of(by_name[canonical_argument(p)]) for p in self.parameters}

    def arguments(self, condition: dict[str, str]) -> dict[str, Any]:
        """The presentation's settings in one condition, under their full names.

        Args:
            condition: The level of each swept parameter, as in the partition key.

        Raises:
            ValueError: A place of the program has no value.
        """
        settings = self.values(condition)
        if "program" in settings:
            places = {canonical_argument(name): name for name in find_places(settings["program"])}
            values = {places.get(name, name): value for name, value in settings.items()}
            settings["program"] = fill_places(settings["program"], values)
            settings = {name: value for name, value in settings.items() if name not in places}
        return settings

    def level_values(self, condition: dict[str, str]) -> dict[str, Any]:
        """The levels of a condition as the numbers or names that they are."""
        values = self.values(condition)
        held = {parameter: values[canonical_argument(parameter)] for parameter in condition}
        return {name: condition[name] if isinstance(value, list) else value for name, value in held.items()}

    def values(self, condition: dict[str, str]) -> dict[str, Any]:
        """The values of all settings in one condition, those of the program's places among them, under full names."""
        settings = {canonical_argument(k): v for k, v in self.data_args.items()}
        for parameter, level in condition.items():
            name = canonical_argument(parameter)
            settings[name] = pick_level(settings[name], level)
        return settings


def _check_keys(settings: dict[str, Any], kind: type[Section]) -> None:
    for name in settings:
        if name not in kind.model_fields:
            raise ValueError(f"unknown key '{name}'. {nearest_name(name, kind.model_fields)}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_sweep(name: str, value: Any) -> bool:
    """A list is a sweep, but a program is one itself; several programs are named."""
    return isinstance(value, dict) if name == "program" else isinstance(value, list)
