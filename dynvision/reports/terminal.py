"""The numbers of a summary that matter, as a text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dynvision.analysis.courses import NUMBERS
from dynvision.analysis.fits import format_estimate
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.sweeps import choose_analysis
from dynvision.analysis.sweeps.experiment import list_layers
from dynvision.reports.numbers import format_measured
from dynvision.reports.tables import name_levels

__all__ = ["describe_numbers"]


def describe_numbers(tuning: pd.DataFrame, fits: pd.DataFrame, parameters: Sequence[str]) -> str:
    """Return accuracy and the first layer's main number in each condition as a table, and below it what was fitted.

    Args:
        tuning: The tuning table; of several subjects with a column `subject`.
        fits: What was fitted.
        parameters: The swept parameters.
    """
    analysis, along, across = choose_analysis(parameters, tuning)
    layer, main = next(iter(list_layers(tuning)), ""), analysis.main
    names = [*(["subject"] if "subject" in tuning else []), *parameters]
    head = [*names, *(["accuracy"] if "accuracy" in tuning else []), *([f"{layer}: {main}"] if layer else [])]
    rows = []
    for row in tuning.to_dict(orient="records"):
        cells = name_levels(names, row)
        if "accuracy" in tuning:
            cells.append(format_measured(row["accuracy"], row["accuracy_sem"]))
        if layer:
            cells.append(format_measured(row[f"{main}/{layer}"], row.get(f"{main}_sem/{layer}")))
        rows.append(cells)
    legend = f"{layer}: {NUMBERS[main].label}. ± is the standard error over images." if layer else ""
    levels = pd.to_numeric(tuning[along], errors="coerce")
    lines = _say_fits(fits, [curve.mark for curve in analysis.curves], layer, main, levels, across)
    return "\n".join([*_align([head, *rows]), *filter(None, [legend]), *lines])


def _say_fits(
    fits: pd.DataFrame, marks: Sequence[str], layer: str, main: str, levels: pd.Series[float], across: str | None
) -> list[str]:
    """Say the half point of each curve, with its interval; with two parameters at each level of the second."""
    shown = float(levels[levels > 0].min()), float(levels.max())
    is_told = (fits["layer"].eq(layer) & fits["measure"].eq(main)) | fits["layer"].eq(OUTPUT)
    lines = []
    for row in fits[is_told & fits["parameter"].isin(list(marks))].to_dict(orient="records"):
        subject = f"{row['subject']}, " if "subject" in row else ""
        subject += f"{across} {name_levels([across], row)[0]}, " if across is not None and across in row else ""
        name = "accuracy" if row["layer"] == OUTPUT else row["layer"]
        estimate = format_estimate(row["value"], row["low"], row["high"], *shown)
        interval = ", 95 % interval" if "," in estimate else ""
        lines.append(f"{subject}{name}: {str(row['parameter']).replace('_', ' ')} {estimate}{interval}")
    return lines


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows whose columns are aligned: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join([row[0].ljust(widths[0]), *cells[1:]]) for row, cells in zip(rows, aligned, strict=True)]
