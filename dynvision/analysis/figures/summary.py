"""The summary of an experiment in one figure, and the heat map of two parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dynvision.analysis.figures.panels import choose_layer, draw_tuned, label_number
from dynvision.analysis.figures.style import GREY, WIDTH, color_levels, label_parameter, name_layer, styled, tag_level
from dynvision.analysis.figures.time_courses import (
    draw_course_panel,
    draw_level_legend,
    draw_time_courses,
    strip_height,
)
from dynvision.analysis.figures.tuning import draw_tuning
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.system.escaping import escape_mathtext

__all__ = ["MOST_VALUES", "draw_figures", "draw_heat_map", "draw_summary", "name_figures"]

MOST_VALUES = 80
"""Conditions of a heat map that have their value written in their cell."""


def name_figures(parameters: list[str]) -> list[str]:
    """Return the names of an experiment's figures, which are those of their files without the ending."""
    return ["summary", "time_courses", "tuning", *(["heat_map"] if len(parameters) > 1 else [])]


def draw_figures(result: ExperimentAnalysis) -> dict[str, Figure]:
    """Draw all figures of an experiment, by name."""
    draw = {
        "summary": draw_summary,
        "time_courses": draw_time_courses,
        "tuning": draw_tuning,
        "heat_map": draw_heat_map,
    }
    return {name: draw[name](result) for name in name_figures([result.along, *filter(None, [result.across])])}


@styled
def draw_summary(result: ExperimentAnalysis) -> Figure:
    """Draw a triptych: time courses of the most telling layer over the presentation, its tuning, and accuracy.

    Without an accuracy there are two panels.
    With two parameters the time courses are those at the last level of the second. See `choose_layer`.
    """
    layer = choose_layer(result)
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    heights = [1, strip_height(result.presentations.values())]
    widths = [1.15, 1, 1] if result.has_accuracy else [1.15, 1]
    grid = figure.add_gridspec(2, len(widths), width_ratios=widths, height_ratios=heights)
    middle = figure.add_subplot(grid[:, 1])
    colors = color_levels(result.tuning[result.along])
    second = color_levels(result.tuning[result.across], second=True) if result.across else None
    conditions, suffix = result.tuning, ""
    if result.across is not None:
        last = result.tuning[result.across].iloc[-1]
        conditions = result.tuning[result.tuning[result.across] == last]
        suffix = f", {tag_level(result.across, last, result.has_times_in_ms)}"
    left = draw_course_panel((grid[0, 0], grid[1, 0]), result, conditions, layer, colors)
    left.set(title=f"{name_layer(layer)}{suffix}", ylabel="mean response")
    draw_tuned(middle, result, layer, result.analysis.main, second or GREY)
    middle.set_title(name_layer(layer))
    if result.has_accuracy:
        right = figure.add_subplot(grid[:, 2])
        draw_tuned(right, result, OUTPUT, "accuracy", second or GREY)
        right.set_title("accuracy")
        if second is None:
            _color_points(right, result, "accuracy", colors)
    if second is None:
        _color_points(middle, result, f"{result.analysis.main}/{layer}", colors)
        draw_level_legend(figure, result.along, colors, result.has_times_in_ms)
    else:
        draw_level_legend(figure, result.along, colors, result.has_times_in_ms, "outside upper left", 4)
        where = "outside upper right"
        draw_level_legend(figure, str(result.across), second, result.has_times_in_ms, where, 3, has_markers=True)
    return figure


@styled
def draw_heat_map(result: ExperimentAnalysis) -> Figure:
    """Draw accuracy if there is one, and the main number of the most telling layer, over both parameters.

    Raises:
        ValueError: If the experiment sweeps one parameter only.
    """
    if result.across is None:
        raise ValueError("a heat map needs two swept parameters")
    layer, main = choose_layer(result), result.analysis.main
    levels = list(dict.fromkeys(result.tuning[result.across]))
    figure = Figure(figsize=(WIDTH, max(2.6, 1.2 + 0.42 * len(levels))), layout="constrained")
    panels: list[tuple[str, str, tuple[float, float] | None]] = [
        (f"{main}/{layer}", f"{name_layer(layer)}: {label_number(main, result)}", None)
    ]
    if result.has_accuracy:
        panels.insert(0, ("accuracy", "accuracy", (0.0, 1.0)))
    grid_of_axes = figure.subplots(1, len(panels), squeeze=False).ravel()
    for axes, (column, title, limits) in zip(grid_of_axes, panels, strict=True):
        grid = result.tuning.pivot(index=result.across, columns=result.along, values=column)
        grid = grid.loc[levels, list(dict.fromkeys(result.tuning[result.along]))]
        low, high = limits or (None, None)
        image = axes.imshow(grid, cmap="cividis", vmin=low, vmax=high, aspect="auto", origin="lower")
        _write_values(axes, grid.to_numpy(np.float64), image)
        axes.set_xticks(range(grid.shape[1]), [escape_mathtext(v) for v in grid.columns])
        axes.set_yticks(range(grid.shape[0]), [escape_mathtext(v) for v in grid.index])
        axes.set_xlabel(label_parameter(result.along, result.has_times_in_ms))
        axes.set_ylabel(label_parameter(result.across, result.has_times_in_ms))
        axes.set_title(title)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, shrink=0.9)
    return figure


def _write_values(axes: Any, values: Any, image: Any) -> None:
    if values.size > MOST_VALUES:
        return
    for (row, column), value in np.ndenumerate(values):
        is_dark = np.isfinite(value) and image.norm(value) < 0.5
        axes.text(
            column, row, f"{value:.2g}", ha="center", va="center", fontsize=8, color="white" if is_dark else "black"
        )


def _color_points(axes: Any, result: ExperimentAnalysis, column: str, colors: Any) -> None:
    """Draw each point again in the colour of its condition, over the grey one."""
    levels = list(dict.fromkeys(result.tuning[result.along]))
    is_number = not any(isinstance(level, str) for level in levels)
    places = [float(level) if is_number else levels.index(level) for level in result.tuning[result.along]]
    inks = [colors[level] for level in result.tuning[result.along]]
    axes.scatter(places, result.tuning[column].to_numpy(np.float64), s=36, c=inks, zorder=4)
