"""Tables of a summary as they stand on its page: the tuning, what was fitted, phenomena, groups of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from dynvision.analysis.courses import NUMBERS
from dynvision.analysis.fits import CONFIDENCE, format_estimate
from dynvision.analysis.measures import find_responses
from dynvision.analysis.sweeps import choose_analysis
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis, list_layers
from dynvision.reports.content import Table
from dynvision.reports.numbers import NONE, format_interval, format_measured, format_number

__all__ = [
    "MODELS",
    "count_labelled",
    "list_fits",
    "list_layer",
    "list_main_numbers",
    "list_phenomena",
    "name_levels",
]

MODELS = {"naka_rushton": "Naka–Rushton", "weibull": "Weibull"}
"""The names of fitted curves for people."""

_SYMBOLS = {"r_max": "R max", "half_point": "half point"}
_INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"
_WEAK = "°"


def name_levels(parameters: Sequence[str], row: Mapping[Any, Any]) -> list[str]:
    """Return the level of each parameter as a text."""
    return [str(row[name]) if isinstance(row[name], str) else format_number(row[name]) for name in parameters]


def count_labelled(tuning: pd.DataFrame) -> pd.Series[float]:
    """Return how many trials of each condition have a label, of which accuracy is read.

    Args:
        tuning: The tuning table; one of an earlier version does not say, and then these are all.
    """
    return tuning["accuracy_samples"] if "accuracy_samples" in tuning else tuning["samples"]


def list_main_numbers(tuning: pd.DataFrame, parameters: Sequence[str], names: Sequence[str] = ()) -> Table:
    """List accuracy and the main number of every layer, a row for each condition.

    Args:
        tuning: The tuning table.
        parameters: The swept parameters.
        names: Columns that name a row besides the parameters: that of the subjects.
    """
    main = choose_analysis(parameters, tuning)[0].main
    layers, has_accuracy = list_layers(tuning), "accuracy" in tuning
    weak = {layer: ~find_responses(tuning, layer) for layer in layers if f"response_null/{layer}" in tuning}
    rows, is_weak = [], False
    is_partly_labelled = bool((count_labelled(tuning) < tuning["samples"]).any())
    for number, row in enumerate(tuning.to_dict(orient="records")):
        cells = [*(str(row[name]) for name in names), *name_levels(parameters, row)]
        if has_accuracy:
            cells += [format_measured(row["accuracy"], row["accuracy_sem"]), format_number(row["chance"])]
            cells += [format_number(row.get("accuracy_samples"))] * is_partly_labelled
        cells.append(format_number(row["samples"]))
        for layer in layers:
            value = format_measured(row[f"{main}/{layer}"], row.get(f"{main}_sem/{layer}"))
            mark = layer in weak and bool(weak[layer].iloc[number]) and value != NONE
            cells.append(value + _WEAK * mark)
            is_weak |= mark
        rows.append(cells)
    scores = ["accuracy", "chance", *["n with a label"] * is_partly_labelled] if has_accuracy else []
    head = [*names, *parameters, *scores, "n", *(f"{layer}: {NUMBERS[main].label}" for layer in layers)]
    note = "± is the standard error over the n images or trials."
    if is_partly_labelled:
        note += " Accuracy and its error are over those with a label."
    if is_weak:
        note += f" {_WEAK} is no response: the peak is not larger than what noise alone reaches."
    caption = f"{'Accuracy and ' if has_accuracy else ''}{NUMBERS[main].label} in each condition"
    return Table(caption[0].upper() + caption[1:], head, rows, len(names) + len(parameters), note=note)


def list_layer(result: ExperimentAnalysis, layer: str) -> Table:
    """List all numbers that are read from the time courses of one layer, a row for each condition."""
    unit = "steps" if result.dt is None else "ms"
    columns = [
        (
            f"{name}_ms" if number.per_step and result.dt is not None else name,
            f"{number.label} ({unit})" if number.per_step else number.label,
        )
        for name, number in NUMBERS.items()
        if f"{name}/{layer}" in result.tuning
    ]
    if f"doubling/{layer}" in result.tuning:
        columns.append(("doubling", "integral / that of half the duration"))
    parameters = [result.along, *([result.across] if result.across else [])]
    head = [*parameters, *(label for _, label in columns)]
    rows = [
        [
            *name_levels(parameters, row),
            *(format_measured(row[f"{n}/{layer}"], row.get(f"{n}_sem/{layer}")) for n, _ in columns),
            format_number(row.get(f"response_null/{layer}")),
        ]
        for row in result.tuning.to_dict(orient="records")
    ]
    return Table(
        f"All numbers of {layer}",
        [*head, "peak that noise alone reaches"],
        rows,
        len(parameters),
        note="± is the standard error over images or trials. Responses are in units of the layer's output.",
        is_folded=True,
    )


def list_fits(fits: pd.DataFrame, tuning: pd.DataFrame, parameters: Sequence[str]) -> Iterator[Table]:
    """List what was fitted, a table for each curve and a row for each fit.

    A level that was not shown, such as a semisaturation contrast above 1, is written as the bound `> 1`.

    Args:
        fits: A row for each fitted parameter.
        tuning: The tuning table, for the levels that were shown.
        parameters: The swept parameters.
    """
    analysis, along, _ = choose_analysis(parameters, tuning)
    marks = {curve.mark for curve in analysis.curves}
    levels = pd.to_numeric(tuning[along], errors="coerce")
    shown = float(levels[levels > 0].min()), float(levels.max())
    names = [name for name in ("subject", "layer", "measure", *parameters) if name in fits]
    for model, part in fits.groupby("model", sort=False):
        found = [str(name) for name in part["parameter"].dropna().unique()]
        rows = []
        for key, fit in part.groupby(names, sort=False, dropna=False):
            cells = [_name_measure(text) for text in (key if isinstance(key, tuple) else (key,))]
            estimates = {str(row["parameter"]): row for row in fit.to_dict(orient="records")}
            for name in found:
                row = estimates.get(name)
                ends = (row["value"], row["low"], row["high"]) if row else None
                if ends is None:
                    cells.append(NONE)
                else:
                    cells.append(format_estimate(*ends, *shown) if name in marks else format_interval(*ends))
            first = fit.iloc[0]
            note = first["note"] if isinstance(first["note"], str) else ""
            rows.append([*cells, format_number(first["r2"]), format_number(first["levels"]), note])
        heads = [*names, *(_SYMBOLS.get(name, name) for name in found), "R²", "levels", "note"]
        if not any(row[-1] for row in rows):
            heads, rows = heads[:-1], [row[:-1] for row in rows]
        title = MODELS.get(str(model), str(model))
        yield Table(
            f"{title} fits: estimate [{_INTERVAL}]",
            heads,
            rows,
            len(names),
            words=(len(heads) - 1,) if heads[-1] == "note" else (),
            note="A bound such as > 1 or < 0.02 means: outside of the levels that were shown, so extrapolated.",
        )


def _name_measure(value: object) -> str:
    number = NUMBERS.get(str(value))
    return number.label if number is not None else str(value) if isinstance(value, str) else format_number(value)


def list_phenomena(table: pd.DataFrame) -> Table:
    """List the phenomena that a subject shows."""
    rows = [
        [
            *(str(row[name]) if isinstance(row[name], str) else NONE for name in ("phenomenon", "experiment")),
            *(
                str(row[name]).replace("_", " ") if isinstance(row[name], str) else NONE
                for name in ("layer", "measure")
            ),
            format_interval(row["value"], row["low"], row["high"]),
            str(row["note"] or ""),
        ]
        for row in table.to_dict(orient="records")
    ]
    head = ["phenomenon", "experiment", "layer", "number", f"value [{_INTERVAL}]", "note"]
    return Table("Phenomena of visual cortex, and the numbers that show them", head, rows, 4, words=(0, 1, 2, 3, 5))
