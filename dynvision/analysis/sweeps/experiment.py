"""The analysis of a whole experiment: from the stores of its conditions to tables."""

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
    """The results of an experiment with one subject.

    Attributes:
        table: All measures: `condition, <parameters>, time, layer, measure, value`, with the time in steps.
        tuning: One row for each condition: accuracy, and `<number>/<layer>` for each number read from time courses.
        fits: One row for each fitted parameter: `layer, measure, [<second parameter>,] parameter, value, low, high, …`.
        courses: The time courses that figures draw: mean response and accuracy, with the time in ms and the frame.
        analysis: How the sweep was analysed.
        along: The swept parameter along which it was analysed.
        across: The other swept parameter, or `None`.
        dt: Milliseconds a step, or `None` if unknown.
        presentations: The presentation of each condition, by the condition's text.
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
    """Measure all conditions of an experiment and analyse them along the swept parameter.

    Args:
        stores: For each condition the level of each parameter, the store, and the presentation.
        readout: How predictions become one accuracy.

    Raises:
        MissingError: If a store does not exist.
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
    """Fit the curves of an analysis along one parameter, for each level of the other.

    Args:
        tuning: The tuning table, one row for each condition.
        analysis: Which curves are fitted.
        along: The parameter along which they are fitted; nothing is fitted if its levels are names.
        across: The other parameter, or `None`.

    Returns:
        One row for each fitted parameter; see `ExperimentAnalysis.fits`.
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
    """Return what a curve is fitted to: layer, measure, column of the tuning table."""
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
    """Add the numbers of each layer's mean response: `<number>/<layer>`, and `<number>_ms/<layer>` for durations."""
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
    position = list(courses.columns).index("time") + 1
    shown = {name: (p.frames, p.contrasts) for name, p in presentations.items()}
    pairs = list(zip(courses["condition"], courses["time"], strict=True))
    courses.insert(position, "shown", [int(shown[c][0][t]) for c, t in pairs])
    courses.insert(
        position + 1, "contrast_shown", [float(shown[c][1][t]) if shown[c][0][t] >= 0 else 0.0 for c, t in pairs]
    )
    if dt is not None:
        courses.insert(position, "time_ms", courses["time"] * dt)
    return courses
