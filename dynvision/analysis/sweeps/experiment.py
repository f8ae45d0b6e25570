"""The analysis of a whole experiment: tables from its stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dynvision.analysis.courses import NUMBERS, Course, find_onsets
from dynvision.analysis.measures import OUTPUT, measure_tuning, read_step_duration
from dynvision.analysis.sweeps import Curve, SweepAnalysis, choose_analysis
from dynvision.config.experiments import Readout
from dynvision.stimuli.presentation import Presentation

__all__ = ["ExperimentAnalysis", "analyse_experiment", "fit_sweep"]


@dataclass(frozen=True)
class ExperimentAnalysis:
    """What an experiment says of one subject.

    Attributes:
        table: `condition, <parameters>, time, layer, measure, value`, all measures.
        tuning: One row a condition: accuracy, and `<number>/<layer>` for what the analysis reads from time courses.
        fits: One row for each fitted parameter: `layer, measure, [<second parameter>,] parameter, value, low, high, …`.
        courses: What pictures of time courses show: mean response and accuracy with the time in ms and what is shown.
        analysis: How it was analysed.
        along: The parameter along which.
        across: The other swept parameter, or `None`.
        dt: Milliseconds a step, where known.
        presentations: What was shown in each condition.
    """

    table: pd.DataFrame
    tuning: pd.DataFrame
    fits: pd.DataFrame
    courses: pd.DataFrame
    analysis: SweepAnalysis
    along: str
    across: str | None
    dt: float | None
    presentations: dict[str, Presentation]

    @property
    def layers(self) -> list[str]:
        """The recorded layers, in order."""
        return [name.removeprefix("peak/") for name in self.tuning.columns if name.startswith("peak/")]

    @property
    def has_times_in_ms(self) -> bool:
        """Whether the durations of the experiment are given in ms."""
        return any(p.dt is not None for p in self.presentations.values())


def analyse_experiment(
    stores: Sequence[tuple[Mapping[str, str], Path, Presentation]], readout: Readout
) -> ExperimentAnalysis:
    """Measure all conditions of an experiment and do what its swept parameter asks for.

    Args:
        stores: The level of each parameter, the store, and what was shown.
        readout: How predictions become one accuracy.
    """
    table, tuning = measure_tuning(stores, readout)
    presentations = dict(zip(tuning["condition"], (p for _, _, p in stores), strict=True))
    analysis, along, across = choose_analysis(list(stores[0][0]))
    dt = read_step_duration(stores[0][1])
    if dt is None:
        dt = stores[0][2].dt
    tuning = _add_numbers(tuning, table, presentations, analysis, dt)
    fits = fit_sweep(tuning, analysis, along, across)
    courses = _time_courses(table, presentations, dt)
    return ExperimentAnalysis(table, tuning, fits, courses, analysis, along, across, dt, presentations)


def fit_sweep(tuning: pd.DataFrame, analysis: SweepAnalysis, along: str, across: str | None) -> pd.DataFrame:
    """Fit the analysis's curves along one parameter, for each level of the other.

    Args:
        tuning: One row a condition.
        analysis: What is fitted.
        along: The parameter along which.
        across: The other one.
    """
    columns = ["layer", "measure", *([across] if across else []), "model", "parameter", "value", "low", "high"]
    rows: list[dict[str, Any]] = []
    parts: list[tuple[dict[str, Any], pd.DataFrame]] = [({}, tuning)]
    if across:
        parts = [({across: level}, part) for level, part in tuning.groupby(across, sort=False)]
    for curve in analysis.curves if pd.api.types.is_numeric_dtype(tuning[along]) else ():
        for layer, measure, column in _fitted(tuning, analysis, curve):
            for level, part in parts:
                fit = curve.fit(part[along].to_numpy(np.float64), part[column].to_numpy(np.float64), part)
                rows += [{"layer": layer, "measure": measure, **level, **row} for row in fit.rows()]
    return pd.DataFrame(rows, columns=[*columns, "r2", "levels", "note"])


def _fitted(tuning: pd.DataFrame, analysis: SweepAnalysis, curve: Curve) -> list[tuple[str, str, str]]:
    """What a curve is fitted to: layer, measure, column."""
    if curve.of == "accuracy":
        return [(OUTPUT, "accuracy", "accuracy")]
    columns = [name for name in tuning.columns if name.startswith(f"{analysis.main}/")]
    return [(name.partition("/")[2], analysis.main, name) for name in columns]


def _add_numbers(
    tuning: pd.DataFrame,
    table: pd.DataFrame,
    presentations: Mapping[str, Presentation],
    analysis: SweepAnalysis,
    dt: float | None,
) -> pd.DataFrame:
    """Add what the analysis reads from each layer's mean response: `<number>/<layer>`, durations in ms too."""
    layers = [name for name in table["layer"].unique() if name != OUTPUT]
    values = {
        key: rows["value"].to_numpy()
        for key, rows in table[table["measure"].isin(["mean", "sem"])].groupby(["condition", "layer", "measure"])
    }
    columns: dict[str, list[float]] = {}
    for name in dict.fromkeys(("response", *analysis.numbers)):
        for layer in layers:
            rest = tuning[f"rest/{layer}"] if f"rest/{layer}" in tuning else np.zeros(len(tuning))
            for condition, resting in zip(tuning["condition"], rest, strict=True):
                onsets = find_onsets(presentations[condition])
                course = Course(values[condition, layer, "mean"], onsets, float(resting))
                number = NUMBERS[name].read(course)
                columns.setdefault(f"{name}/{layer}", []).append(number)
                if NUMBERS[name].per_step and dt is not None:
                    columns.setdefault(f"{name}_ms/{layer}", []).append(number * dt)
                if name == "response":
                    step = course.peak_step()
                    sem = float("nan") if step is None else float(values[condition, layer, "sem"][step])
                    columns.setdefault(f"response_sem/{layer}", []).append(sem)
    return pd.concat([tuning, pd.DataFrame(columns)], axis=1)


def _time_courses(table: pd.DataFrame, presentations: Mapping[str, Presentation], dt: float | None) -> pd.DataFrame:
    drawn = ((table["layer"] == OUTPUT) & (table["measure"] == "accuracy")) | (
        (table["layer"] != OUTPUT) & (table["measure"].isin(["mean", "sem"]))
    )
    courses = table[drawn].reset_index(drop=True)
    place = list(courses.columns).index("time") + 1
    shown = {name: (p.frames, p.contrasts) for name, p in presentations.items()}
    pairs = list(zip(courses["condition"], courses["time"], strict=True))
    courses.insert(place, "shown", [int(shown[c][0][t]) for c, t in pairs])
    courses.insert(
        place + 1, "contrast_shown", [float(shown[c][1][t]) if shown[c][0][t] >= 0 else 0.0 for c, t in pairs]
    )
    if dt is not None:
        courses.insert(place, "time_ms", courses["time"] * dt)
    return courses
