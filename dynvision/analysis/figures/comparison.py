"""The subjects of one experiment compared: in one table, and in one figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure

from dynvision.analysis.figures.panels import MOST_LAYERS, draw_marks, draw_tuned
from dynvision.analysis.figures.style import (
    WIDTH,
    color_levels,
    label_parameter,
    name_layer,
    pick_levels,
    styled,
    tag_level,
)
from dynvision.analysis.figures.time_courses import draw_level_legend
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.sweeps import choose_analysis
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis, list_layers
from dynvision.stimuli.presentation import Presentation

__all__ = ["SUBJECT", "compare_subjects", "draw_comparison"]

SUBJECT = "subject"
"""The column that names the subject."""

_COLUMNS = 3


def compare_subjects(
    tunings: Mapping[str, pd.DataFrame],
    fits: Mapping[str, pd.DataFrame],
    parameters: Sequence[str],
    presentations: dict[str, Presentation],
    dt: float | None = None,
) -> ExperimentAnalysis:
    """Join the tables of all subjects of an experiment, as if the subject were a second parameter.

    Args:
        tunings: The tuning table of each subject. Numbers of a layer that a subject lacks become NaN.
        fits: The table of fits of each subject.
        parameters: The swept parameters.
        presentations: The presentation of each condition.
        dt: Milliseconds a step, if it is the same for all subjects.

    Returns:
        An analysis without `table` and `courses`, whose other tables begin with the column `subject`. The numbers of
        layers are in the order of the layers, also if a subject lacks some.
    """
    tuning, fitted = (
        pd.concat([table.assign(**{SUBJECT: name}) for name, table in tables.items()], ignore_index=True)
        for tables in (tunings, fits)
    )
    tuning, fitted = (t[[SUBJECT, *(c for c in t.columns if c != SUBJECT)]] for t in (tuning, fitted))
    layers = _merge_orders([list_layers(table) for table in tunings.values()])
    places = {layer: place for place, layer in enumerate(layers)}
    tuning = tuning[sorted(tuning.columns, key=lambda name: places.get(str(name).partition("/")[2], -1))]
    analysis, along, _ = choose_analysis(parameters, tuning)
    empty = pd.DataFrame()
    return ExperimentAnalysis(empty, tuning, fitted, empty, analysis, along, SUBJECT, dt, presentations)


@styled
def draw_comparison(result: ExperimentAnalysis, parameters: Sequence[str]) -> Figure:
    """Draw accuracy, the marks of fitted curves, and each layer's main number, in one colour for each subject.

    With two parameters only accuracy is drawn, in a panel for each level of the second; without an accuracy, the last
    layer instead.
    """
    colors = color_levels(result.tuning[SUBJECT])
    _, _, across = choose_analysis(parameters, result.tuning)
    panels = _panels(result) if across is None else list(dict.fromkeys(result.tuning[across]))
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        if across is not None:
            layer, measure = (OUTPUT, "accuracy") if result.has_accuracy else (result.layers[-1], result.analysis.main)
            draw_tuned(axes, _at_level(result, across, panel), layer, measure, colors)
            axes.set_title(tag_level(across, panel, result.has_times_in_ms))
        elif panel in ("layers", "accuracy_mark"):
            _draw_marks_of(axes, result, "layers" if panel == "layers" else "accuracy", colors)
        else:
            layer = OUTPUT if panel == "accuracy" else panel.removeprefix("layer/")
            draw_tuned(axes, result, layer, "accuracy" if layer == OUTPUT else result.analysis.main, colors)
            axes.set_title("accuracy" if layer == OUTPUT else name_layer(layer))
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    draw_level_legend(figure, SUBJECT, colors, result.has_times_in_ms, has_markers=True)
    return figure


def _merge_orders(orders: Sequence[Sequence[str]]) -> list[str]:
    """Return all names once, each after the one before it in its own order."""
    merged: list[str] = []
    for order in orders:
        after = 0
        for name in order:
            if name not in merged:
                merged.insert(after, name)
            after = merged.index(name) + 1
    return merged


def _draw_marks_of(
    axes: Any, result: ExperimentAnalysis, fitted: Literal["layers", "accuracy"], colors: Mapping[Any, Any]
) -> None:
    curve = result.analysis.curve_of(fitted)
    assert curve is not None
    layers, measure = (result.layers, result.analysis.main) if fitted == "layers" else ([OUTPUT], "accuracy")
    draw_marks(axes, result, curve, measure, layers, colors, SUBJECT)
    axes.set_ylabel(f"{curve.mark_label}: {label_parameter(result.along, result.has_times_in_ms)}")
    if fitted == "accuracy":
        axes.set(title=f"{curve.mark_label} of accuracy", xticks=[])


def _panels(result: ExperimentAnalysis) -> list[str]:
    marked = set(result.fits.loc[result.fits["value"].notna(), "parameter"])
    panels = ["accuracy"] if result.has_accuracy else []
    marks: tuple[tuple[Literal["layers", "accuracy"], str], ...] = (("accuracy", "accuracy_mark"), ("layers", "layers"))
    for fitted, name in marks:
        curve = result.analysis.curve_of(fitted)
        if curve is not None and curve.mark in marked:
            panels.append(name)
    return panels + [f"layer/{layer}" for layer in pick_levels(result.layers, MOST_LAYERS)]


def _at_level(result: ExperimentAnalysis, across: str, level: object) -> ExperimentAnalysis:
    fits = result.fits[result.fits[across] == level] if across in result.fits else result.fits
    return dataclasses.replace(result, tuning=result.tuning[result.tuning[across] == level], fits=fits)
