"""The analysis of a whole experiment: from the stores of its conditions to tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dynvision.analysis.evoked import Measured, compare_integrals
from dynvision.analysis.fits import Values
from dynvision.analysis.measures import OUTPUT, measure_tuning
from dynvision.analysis.sweeps import Curve, SweepAnalysis, choose_analysis
from dynvision.config.sections.experiments import Readout
from dynvision.experiments.reading import open_store, read_step_duration
from dynvision.stimuli.names import canonical_argument
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import find_time_zero

__all__ = ["ExperimentAnalysis", "analyse_experiment", "fit_sweep", "list_layers"]

_SAME_DURATION = 0.04
"""How far half of a duration may be from another, as a share: 17 ms are half of 33 ms on a screen of 60 Hz."""


@dataclass(frozen=True)
class ExperimentAnalysis:
    """The results of an experiment with one subject.

    Attributes:
        table: All measures: `condition, <parameters>, time, layer, measure, value`. The time is that of a step's end,
            in steps from the onset of the stimulus (`dynvision.stimuli.showings`).
        tuning: One row for each condition: accuracy, if there is one; `<number>/<layer>` for each number read from time
            courses, and `<number>_sem/<layer>`, its standard error over samples; and `response_null/<layer>`, the size
            of the peak that noise alone would reach.
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
        return list_layers(self.tuning)

    @property
    def has_accuracy(self) -> bool:
        """Whether there is an accuracy: labels match the network's classes."""
        return "accuracy" in self.tuning

    @property
    def has_times_in_ms(self) -> bool:
        """Whether the durations of the experiment are given in ms."""
        return any(p.dt is not None for p in self.presentations.values())


def list_layers(tuning: pd.DataFrame) -> list[str]:
    """Return the layers of a tuning table, in order."""
    return [name.removeprefix("peak/") for name in tuning.columns if name.startswith("peak/")]


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
    table, tuning, integrals = measure_tuning(stores, readout)
    presentations = dict(zip(tuning["condition"], (p for _, _, p in stores), strict=True))
    analysis, along, across = choose_analysis(list(stores[0][0]), tuning)
    dt = read_step_duration(open_store(stores[0][1]).to_dataset()) or stores[0][2].dt
    tuning = pd.concat([tuning, *_sum_over_time(tuning, integrals, along, across)], axis=1)
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
        return [(OUTPUT, "accuracy", "accuracy")] if "accuracy" in tuning else []
    columns = [name for name in tuning.columns if name.partition("/")[0] in (analysis.main, *analysis.also_fitted)]
    return [(name.partition("/")[2], name.partition("/")[0], name) for name in columns]


def _sum_over_time(
    tuning: pd.DataFrame, integrals: Sequence[Mapping[str, Values]], along: str, across: str | None
) -> list[pd.DataFrame]:
    """Compare the integrals of durations with those of half of each, if durations are swept.

    Returns:
        The columns `doubling/<layer>` and `doubling_sem/<layer>`: ``∫R(2d) / ∫R(d)``, at the duration 2d; NaN where
        half of a duration was not shown. 2 is linear summation, less is subadditive. Durations that are whole frames
        of a screen, such as 17 and 33 ms, are half of each other within 4 %: for a pair d and D the ratio is raised to
        the power of ``log 2 / log(D/d)``, which gives 2 for a linear response.
    """
    if canonical_argument(along) != "stimulus_duration" or not pd.api.types.is_numeric_dtype(tuning[along]):
        return []
    levels = tuning[along].to_numpy(np.float64)
    others = tuning[across].tolist() if across else [None] * len(levels)
    halves = [
        _find_half(levels, [other == others[number] for other in others], number) for number in range(len(levels))
    ]
    columns: dict[str, list[float]] = {}
    for layer in integrals[0]:
        for number, half in enumerate(halves):
            doubled = Measured(float("nan"))
            if half is not None:
                doubled = compare_integrals(integrals[number][layer], integrals[half][layer])
                doubled = doubled.raised_to(np.log(2) / np.log(levels[number] / levels[half]))
            columns.setdefault(f"doubling/{layer}", []).append(doubled.value)
            columns.setdefault(f"doubling_sem/{layer}", []).append(doubled.sem)
    return [pd.DataFrame(columns)]


def _find_half(levels: Values, is_comparable: Sequence[bool], number: int) -> int | None:
    """Return which level is half of another, or closest to it; `None` if none is within 4 %."""
    distances = np.where(is_comparable, np.abs(2 * levels / levels[number] - 1), np.inf)
    nearest = int(distances.argmin())
    return nearest if distances[nearest] <= _SAME_DURATION else None


def _time_courses(table: pd.DataFrame, presentations: Mapping[str, Presentation], dt: float | None) -> pd.DataFrame:
    drawn = ((table["layer"] == OUTPUT) & (table["measure"] == "accuracy")) | (
        (table["layer"] != OUTPUT) & (table["measure"].isin(["mean", "sem", "evoked", "evoked_sem"]))
    )
    courses = table[drawn].reset_index(drop=True)
    position = list(courses.columns).index("time") + 1
    shown = {name: (p.frames, p.contrasts, find_time_zero(p)) for name, p in presentations.items()}
    steps = [
        (shown[condition], time + shown[condition][2] - 1)
        for condition, time in zip(courses["condition"], courses["time"], strict=True)
    ]
    courses.insert(position, "shown", [int(frames[t]) for (frames, _, _), t in steps])
    courses.insert(
        position + 1,
        "contrast_shown",
        [float(contrasts[t]) if frames[t] >= 0 else 0.0 for (frames, contrasts, _), t in steps],
    )
    if dt is not None:
        courses.insert(position, "time_ms", courses["time"] * dt)
    return courses
