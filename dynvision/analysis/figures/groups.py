"""The figure of responses by a column about the images, such as the category of a stimulus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dynvision.analysis.courses import NUMBERS
from dynvision.analysis.figures.panels import MOST_LAYERS, set_levels
from dynvision.analysis.figures.style import (
    MARKERS,
    WIDTH,
    color_layers,
    count_columns,
    label_parameter,
    name_layer,
    pick_levels,
    styled,
    tag_level,
)
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.system.escaping import escape_mathtext

__all__ = ["draw_groups"]

_COLUMNS = 3

_MOST_LINES = 7
"""Values that have a line of their own, in colours that can be told apart; more are the rows of a heat map."""

_MOST_NAMED = 24
"""Rows of a heat map that are named."""


@styled
def draw_groups(groups: pd.DataFrame, result: ExperimentAnalysis) -> Figure:
    """Draw the response to the images of each value of a column against the swept parameter, a panel for each layer.

    Up to 7 values have a line each, with the standard error over images; more are the rows of a heat map. With two
    parameters the responses are those at the last level of the second.

    Args:
        groups: The table of `measure_groups`, with a row at least.
        result: The experiment.
    """
    suffix = ""
    if result.across is not None:
        last = groups[result.across].iloc[-1]
        groups = groups[groups[result.across] == last]
        suffix = f", {tag_level(result.across, last, result.has_times_in_ms)}"
    layers, values = (
        pick_levels(list(dict.fromkeys(groups["layer"])), MOST_LAYERS),
        list(dict.fromkeys(groups["value"])),
    )
    has_lines = len(values) <= _MOST_LINES
    columns = min(_COLUMNS, len(layers))
    rows = -(-len(layers) // columns)
    height = 2.2 if has_lines else min(5.0, 1.2 + 0.14 * len(values))
    figure = Figure(figsize=(WIDTH, 0.6 + height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    colors = color_layers([str(value) for value in values]) if has_lines else {}
    for position, (axes, layer) in enumerate(zip(grid, layers, strict=False)):
        part = groups[groups["layer"] == layer]
        if has_lines:
            _draw_lines(axes, part, result, values, colors)
        else:
            _draw_map(axes, figure, part, result, values, is_named=position % columns == 0)
        axes.set_title(f"{name_layer(layer)}{suffix}", fontweight="bold")
        if has_lines and position % columns == 0:
            axes.set_ylabel(NUMBERS["response"].label)
    for axes in grid[len(layers) :]:
        axes.set_axis_off()
    column = escape_mathtext(str(groups["column"].iloc[0]).replace("_", " "))
    if has_lines:
        handles = [
            Line2D([], [], color=colors[str(value)], marker=MARKERS[i], label=escape_mathtext(value, 28))
            for i, value in enumerate(values)
        ]
        columns = count_columns((handle.get_label() for handle in handles), 7)
        figure.legend(handles=handles, loc="outside upper center", ncols=columns, title=column)
    else:
        figure.suptitle(f"{NUMBERS['response'].label} by {column}", fontsize=9)
    return figure


def _draw_lines(
    axes: Any, part: pd.DataFrame, result: ExperimentAnalysis, values: Sequence[Any], colors: Mapping[str, Any]
) -> None:
    positions = set_levels(axes, result)
    for number, value in enumerate(values):
        rows = part[part["value"] == value]
        x = np.array([positions[level] for level in rows[result.along]], dtype=np.float64)
        order = np.argsort(x, kind="stable")
        y, error = (rows[name].to_numpy(np.float64)[order] for name in ("response", "sem"))
        axes.errorbar(x[order], y, error, fmt=f"{MARKERS[number]}-", color=colors[str(value)], lw=1.2)
    axes.axhline(0, color="0.8", lw=0.8, zorder=0)


def _draw_map(
    axes: Any, figure: Figure, part: pd.DataFrame, result: ExperimentAnalysis, values: Sequence[Any], is_named: bool
) -> None:
    levels = list(dict.fromkeys(part[result.along]))
    grid = part.pivot(index="value", columns=result.along, values="response").loc[list(values), levels]
    image = axes.imshow(grid.to_numpy(np.float64), cmap="cividis", aspect="auto", interpolation="nearest")
    named = pick_levels(range(len(values)), _MOST_NAMED)
    axes.set_yticks(named, [escape_mathtext(values[i], 20) for i in named] if is_named else [])
    ticks = pick_levels(range(len(levels)), 4)
    axes.set_xticks(ticks, [escape_mathtext(levels[i], 12) for i in ticks])
    axes.set_xlabel(label_parameter(result.along, result.has_times_in_ms))
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.9)
