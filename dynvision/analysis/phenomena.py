"""Phenomena of visual cortex, read from the experiments of a subject: one table for any network.

Each phenomenon is read from the tables of one experiment, by its name in the configuration that is shipped. What these
numbers are in cortex, with sources, is in the documentation (What the networks show).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dynvision.analysis.measures import OUTPUT, find_responses
from dynvision.stimuli.names import canonical_argument

__all__ = ["COLUMNS", "PHENOMENA", "Phenomenon", "Tables", "list_phenomena"]

COLUMNS = ("phenomenon", "experiment", "layer", "measure", "value", "low", "high", "note")
"""The columns of the table. The ends of the interval are at 95 %, and NaN where none is known."""

_Z = 1.959964
"""The normal quantile of a 95 % interval."""


@dataclass(frozen=True)
class Tables:
    """What the summary of an experiment has.

    Attributes:
        parameters: The swept parameters.
        tuning: One row for each condition.
        fits: One row for each fitted parameter.
        courses: The time courses.
        has_times_in_ms: Whether the levels of durations and intervals are in ms; otherwise they are steps.
    """

    parameters: tuple[str, ...]
    tuning: pd.DataFrame
    fits: pd.DataFrame
    courses: pd.DataFrame
    has_times_in_ms: bool = False

    def name_duration(self, level: float) -> str:
        """Write a level that is a duration, with its unit."""
        return f"{level:g} " + ("ms" if self.has_times_in_ms else "step" if level == 1 else "steps")

    @property
    def layers(self) -> list[str]:
        """The recorded layers, in order."""
        return [name.removeprefix("peak/") for name in self.tuning.columns if name.startswith("peak/")]

    def sorted(self) -> pd.DataFrame:
        """Return the tuning in the order of the swept parameter."""
        return self.tuning.sort_values(self.parameters[0], ignore_index=True)


Row = dict[str, Any]
Rows = Iterator[Row]


@dataclass(frozen=True)
class Phenomenon:
    """A phenomenon and the experiment that shows it.

    Attributes:
        name: Its name in the table.
        experiment: The name of the experiment.
        parameter: What the experiment sweeps; `None` if it does not matter.
        needs: The number without which it cannot be read; empty if it needs none.
        read: Reads the rows, without the phenomenon's and the experiment's name, from the tables of the experiment.
    """

    name: str
    experiment: str
    parameter: str | None
    read: Callable[[Tables], Rows]
    needs: str = ""

    def fits(self, tables: Tables) -> bool:
        """Tell whether an experiment sweeps what the phenomenon is read from, with levels that are numbers."""
        if self.parameter is None:
            return True
        swept = tuple(canonical_argument(p) for p in tables.parameters)
        is_number = pd.api.types.is_numeric_dtype(tables.tuning[tables.parameters[0]])
        has_number = not self.needs or any(name.startswith(f"{self.needs}/") for name in tables.tuning.columns)
        return swept == (canonical_argument(self.parameter),) and is_number and has_number


def list_phenomena(tables: Mapping[str, Tables]) -> pd.DataFrame:
    """List all phenomena of a subject.

    Args:
        tables: The summaries of the subject's experiments, by the experiment's name; those without a phenomenon are not
            used.

    Returns:
        The table with `COLUMNS`. A phenomenon whose experiment is missing, or sweeps something else, has one row
        without a value that says so. Where labels do not match the network's classes, phenomena of accuracy have none.
    """
    rows: list[Row] = []
    for phenomenon in PHENOMENA:
        common = {"phenomenon": phenomenon.name, "experiment": phenomenon.experiment}
        shown = tables.get(phenomenon.experiment)
        if shown is None or not phenomenon.fits(shown):
            note = f"not shown: the subject has no experiment '{phenomenon.experiment}'"
            if phenomenon.parameter:
                note += f" that sweeps {phenomenon.parameter}"
            rows.append({**common, "note": note})
        else:
            rows += [{**common, **row} for row in phenomenon.read(shown)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.assign(note=table["note"].fillna(""))


def _row(layer: str, measure: str, value: float, sem: float = np.nan, note: str = "") -> Row:
    return {
        "layer": layer,
        "measure": measure,
        "value": float(value),
        "low": float(value) - _Z * float(sem),
        "high": float(value) + _Z * float(sem),
        "note": note,
    }


def _contrast_response(tables: Tables) -> Rows:
    fits = tables.fits[tables.fits["measure"] == "response"]
    for layer in tables.layers:
        of_layer = fits[fits["layer"] == layer]
        chosen = of_layer[of_layer["parameter"].isin(["c50", "n"])]
        for fit in (chosen if len(chosen) else of_layer).to_dict(orient="records"):
            measure = fit["parameter"] if isinstance(fit["parameter"], str) else "c50"
            yield {"layer": layer, "measure": measure, **{name: fit[name] for name in ("value", "low", "high", "note")}}
        if len(chosen):
            yield _row(layer, "r2", chosen["r2"].iloc[0])


def _transient(tables: Tables) -> Rows:
    """Peak over sustained response at the highest contrast."""
    highest = tables.sorted().iloc[-1]
    for layer in tables.layers:
        ratio, error = highest[f"sustained_ratio/{layer}"], highest[f"sustained_ratio_sem/{layer}"]
        with np.errstate(divide="ignore"):
            yield _row(layer, "transient_ratio", 1 / np.float64(ratio), error / np.float64(ratio) ** 2)


def _latency(tables: Tables) -> Rows:
    """Latency at the lowest contrast with a response above its null, and at the highest."""
    unit = "_ms" if any(name.startswith("latency_ms/") for name in tables.tuning.columns) else ""
    for layer in tables.layers:
        rows = tables.sorted()
        rows = rows[find_responses(rows, layer) & rows[f"latency/{layer}"].notna()]
        if len(rows) < 2:
            yield _row(layer, f"latency{unit}_highest", np.nan, note="fewer than two contrasts have a response")
            continue
        for name, row in (("lowest", rows.iloc[0]), ("highest", rows.iloc[-1])):
            value, error = row[f"latency{unit}/{layer}"], row[f"latency{unit}_sem/{layer}"]
            yield _row(layer, f"latency{unit}_{name}", value, error, note=f"at contrast {row[tables.parameters[0]]:g}")


def _repetition(tables: Tables) -> Rows:
    """What the second showing adds after the shortest and the longest interval, and the plain ratio of the peaks."""
    rows = tables.sorted()
    for layer in tables.layers:
        for measure in ("recovery", "adaptation"):
            for name, row in (("shortest", rows.iloc[0]), ("longest", rows.iloc[-1])):
                value, error = row[f"{measure}/{layer}"], row[f"{measure}_sem/{layer}"]
                after = tables.name_duration(row[tables.parameters[0]])
                note = f"after {after}" if np.isfinite(value) else f"no response to the first image, after {after}"
                yield _row(layer, f"{measure}_{name}", value, error, note=note)


def _summation(tables: Tables) -> Rows:
    """The integral at each duration over that at half of it; the highest of them."""
    rows = tables.sorted()
    for layer in tables.layers:
        ratios = rows[f"doubling/{layer}"]
        if not ratios.notna().any():
            yield _row(layer, "doubling_highest", np.nan, note="no duration is twice another")
            continue
        highest = rows.iloc[int(np.nanargmax(ratios.to_numpy(np.float64)))]
        note = f"to {tables.name_duration(highest[tables.parameters[0]])}"
        yield _row(layer, "doubling_highest", highest[f"doubling/{layer}"], highest[f"doubling_sem/{layer}"], note)


def _long_presentation(tables: Tables) -> Rows:
    """Accuracy at the last step of the longest presentation, and its best at any step of it."""
    if "accuracy" not in tables.tuning:
        return
    courses = tables.courses[(tables.courses["layer"] == OUTPUT) & (tables.courses["measure"] == "accuracy")]
    shown = courses[courses["shown"] >= 0]
    longest = shown.groupby("condition")["time"].max().idxmax() if len(shown) else None
    course = shown[shown["condition"] == longest].sort_values("time")
    if not len(course) or not course["value"].notna().any():
        yield _row(OUTPUT, "accuracy_lost", np.nan, note="no accuracy is known")
        return
    last, best = course["value"].iloc[-1], course["value"].max()
    yield _row(OUTPUT, "accuracy_best", best)
    yield _row(OUTPUT, "accuracy_last", last, note=f"at step {course['time'].iloc[-1]:g}")
    yield _row(OUTPUT, "accuracy_lost", best - last)


def _masking(tables: Tables) -> Rows:
    if "accuracy" not in tables.tuning:
        return
    rows = tables.sorted()
    for name, row in (("shortest", rows.iloc[0]), ("longest", rows.iloc[-1])):
        gap = tables.name_duration(row[tables.parameters[0]])
        note = f"after a gap of {gap}; chance is {row['chance']:.3g}"
        yield _row(OUTPUT, f"accuracy_{name}", row["accuracy"], row["accuracy_sem"], note)


def _accuracy(tables: Tables) -> Rows:
    if "accuracy" not in tables.tuning:
        return
    highest = tables.sorted().iloc[-1]
    note = f"at contrast {highest[tables.parameters[0]]:g}"
    yield _row(OUTPUT, "accuracy", highest["accuracy"], highest["accuracy_sem"], note)
    fits = tables.fits[(tables.fits["measure"] == "accuracy") & (tables.fits["parameter"].isin(["half_point"]))]
    for fit in fits.to_dict(orient="records"):
        yield {"layer": OUTPUT, "measure": "half_point", **{n: fit[n] for n in ("value", "low", "high", "note")}}


PHENOMENA: tuple[Phenomenon, ...] = (
    Phenomenon("contrast response", "contrast", "contrast", _contrast_response),
    Phenomenon("onset transient", "contrast", "contrast", _transient),
    Phenomenon("latency falls with contrast", "contrast", "contrast", _latency),
    Phenomenon("repetition suppression", "interval", "interval", _repetition, needs="recovery"),
    Phenomenon("long presentations", "stability", None, _long_presentation),
    Phenomenon("temporal summation", "duration", "duration", _summation),
    Phenomenon("backward masking", "masking", "gap", _masking),
    Phenomenon("accuracy", "contrast", "contrast", _accuracy),
)
"""The phenomena, in the order of the table."""
