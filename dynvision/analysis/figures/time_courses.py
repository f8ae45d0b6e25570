"""The figure of time courses: each layer's response in each condition, above bars that show the presentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from dynvision.analysis.figures.panels import MOST_LAYERS
from dynvision.analysis.figures.style import (
    GREY,
    MARKERS,
    WIDTH,
    color_levels,
    count_columns,
    label_parameter,
    label_time,
    name_layer,
    pick_levels,
    styled,
    tag_level,
)
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import find_time_zero
from dynvision.stimuli.timeline import find_showings
from dynvision.system.escaping import escape_mathtext

__all__ = ["MOST_LINES", "draw_course_panel", "draw_level_legend", "draw_showings", "draw_time_courses", "strip_height"]

_COLUMNS = 3

MOST_LINES = 24
"""Levels that have a line in a panel; more could not be told apart, and take a second for each hundred."""


@styled
def draw_time_courses(result: ExperimentAnalysis) -> Figure:
    """Draw each layer's mean response over time, and the accuracy if there is one, with a line for each condition.

    Of more than `MOST_LINES` levels so many are drawn, evenly chosen.

    The colour of a line is the level of its condition, and the shade around it the standard error over samples. The
    bars under the axes show when an image is shown: one bar if all conditions have the same timing, otherwise one for
    each timing in the colour of its condition. With two parameters there is a column for each level of the second.
    """
    colors = color_levels(result.tuning[result.along])
    figure = _draw_layers(result, colors) if result.across is None else _draw_table(result, result.across, colors)
    draw_level_legend(figure, result.along, colors, result.has_times_in_ms)
    return figure


def draw_course_panel(
    cells: tuple[SubplotSpec, SubplotSpec],
    result: ExperimentAnalysis,
    conditions: pd.DataFrame,
    layer: str,
    colors: Mapping[Any, Any],
    is_bottom: bool = True,
    sharey: Axes | None = None,
) -> Axes:
    """Draw a layer's time courses in some conditions, with the presentation under the axis.

    Args:
        cells: The cells of the figure for the panel and for the strip of bars under it.
        result: The experiment.
        conditions: The conditions, as rows of the tuning table; of more than `MOST_LINES` levels some are drawn.
        layer: The layer, or `OUTPUT` for accuracy.
        colors: The colour of each level.
        is_bottom: Whether to label the time axis.
        sharey: Another panel, whose vertical axis is shared.

    Returns:
        The axes of the panel.
    """
    drawn = pick_levels(list(dict.fromkeys(conditions[result.along])), MOST_LINES)
    conditions = conditions[conditions[result.along].isin(drawn)]
    measure = "accuracy" if layer == OUTPUT else "mean"
    scale = result.dt or 1.0
    shown = [result.presentations[name] for name in conditions["condition"]]
    axes, strip = _add_axes(cells, sharey)
    courses = dict(tuple(result.courses[result.courses["layer"] == layer].groupby("condition", sort=False)))
    for condition, level in zip(conditions["condition"], conditions[result.along], strict=True):
        rows = courses[condition]
        line = rows[rows["measure"] == measure]
        axes.plot(line["time"] * scale, line["value"], color=colors[level], clip_on=measure != "accuracy")
        error = rows[rows["measure"] == "sem"]["value"].to_numpy()
        if len(error):
            low, high = line["value"] - error, line["value"] + error
            axes.fill_between(line["time"] * scale, low, high, color=colors[level], alpha=0.2, lw=0)
    if measure == "accuracy":
        axes.axhline(result.tuning["chance"].iloc[0], color="0.5", ls=":", lw=1)
        axes.set_ylim(0, 1.0)
    draw_showings(strip, shown, [colors[v] for v in conditions[result.along]], scale)
    zeros = [find_time_zero(presentation) for presentation in shown]
    ends = [presentation.n_timesteps - zero for presentation, zero in zip(shown, zeros, strict=True)]
    axes.set_xlim(-max(zeros) * scale, max(ends) * scale)
    strip.tick_params(labelbottom=is_bottom)
    if is_bottom:
        strip.set_xlabel(label_time(result.dt))
    return axes


def draw_level_legend(
    figure: Figure,
    parameter: str,
    colors: Mapping[Any, Any],
    times_in_ms: bool,
    location: str = "outside upper center",
    columns: int = 8,
    *,
    has_markers: bool = False,
) -> None:
    """Name the colour of each level above the panels.

    Args:
        figure: The figure.
        parameter: The parameter of the levels.
        colors: The colour of each level.
        times_in_ms: Whether durations are in ms.
        location: Where the legend is; at the left or right it leaves room for a second one.
        columns: How many names a row has.
        has_markers: Whether levels differ in the shape of their points, too.
    """
    named = pick_levels(list(colors))
    shapes = {level: MARKERS[i % len(MARKERS)] if has_markers else "" for i, level in enumerate(colors)}
    handles = [
        Line2D([], [], color=colors[level], lw=2.5, marker=shapes[level], label=escape_mathtext(level))
        for level in named
    ]
    figure.legend(
        handles=handles,
        loc=location,
        ncols=count_columns(named, columns, WIDTH if "center" in location else WIDTH / 2),
        title=label_parameter(parameter, times_in_ms),
        handlelength=1.2,
        columnspacing=1.2,
        title_fontsize=9,
    )


def _list_names(result: ExperimentAnalysis) -> list[str]:
    """List what is drawn: the layers, of very many some, and the output if there is an accuracy."""
    return [*pick_levels(result.layers, MOST_LAYERS), *([OUTPUT] if result.has_accuracy else [])]


def _draw_layers(result: ExperimentAnalysis, colors: Mapping[Any, Any]) -> Figure:
    """Draw a panel for each layer."""
    names = _list_names(result)
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    strip = strip_height(result.presentations.values())
    figure = Figure(figsize=(WIDTH, 0.6 + (1.9 + 1.4 * strip) * rows), layout="constrained")
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[1, strip] * rows)
    for position, name in enumerate(names):
        row, column = divmod(position, columns)
        cells = (grid[2 * row, column], grid[2 * row + 1, column])
        is_bottom = position + columns >= len(names)
        axes = draw_course_panel(cells, result, result.tuning, name, colors, is_bottom)
        axes.set_title("accuracy" if name == OUTPUT else name_layer(name))
        if position % columns == 0:
            axes.set_ylabel("accuracy" if name == OUTPUT else "mean response")
    return figure


def _draw_table(result: ExperimentAnalysis, across: str, colors: Mapping[Any, Any]) -> Figure:
    """Draw a row for each layer, and a column for each level of the second parameter."""
    names, levels = _list_names(result), list(dict.fromkeys(result.tuning[across]))
    size = (max(WIDTH, 0.7 + 1.6 * len(levels)), 0.8 + 1.45 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    strip = max(strip_height(p) for p in _by_level(result, across).values())
    grid = figure.add_gridspec(2 * len(names), len(levels), height_ratios=[1, strip] * len(names))
    for row, name in enumerate(names):
        first: Axes | None = None
        for column, level in enumerate(levels):
            part = result.tuning[result.tuning[across] == level]
            cells = (grid[2 * row, column], grid[2 * row + 1, column])
            axes = draw_course_panel(cells, result, part, name, colors, row == len(names) - 1, first)
            if row == 0:
                axes.set_title(tag_level(across, level, result.has_times_in_ms))
            if first is None:
                first = axes
                axes.set_ylabel("accuracy" if name == OUTPUT else f"{name_layer(name)}\nmean response")
            else:
                axes.tick_params(labelleft=False)
    return figure


def strip_height(presentations: Iterable[Presentation]) -> float:
    """Return the height of the strip of bars relative to that of its panel; there is a bar for each timing."""
    return min(0.32, 0.07 + 0.03 * (len({_showings(p) for p in presentations}) - 1))


def draw_showings(strip: Axes, presentations: Sequence[Presentation], colors: Sequence[Any], scale: float) -> None:
    """Draw when an image is shown: one bar for each timing.

    Args:
        strip: The axes under a panel.
        presentations: One for each condition.
        colors: The colour of each; a bar that several conditions share is grey.
        scale: The duration of a step on the axis.
    """
    timings: dict[tuple[tuple[int, int, int], ...], list[Any]] = {}
    for presentation, color in zip(presentations, colors, strict=True):
        timings.setdefault(_showings(presentation), []).append(color)
    for row, (showings, shared) in enumerate(timings.items()):
        color = shared[0] if len(timings) > 1 else GREY
        for start, stop, frame in showings:
            # The second image of a trial is paler than the first.
            left, width = start * scale, (stop - start) * scale
            strip.barh(row, width, 0.8, left, color=color, alpha=1.0 if frame % 2 == 0 else 0.5, lw=0)
    strip.set_ylim(len(timings) - 0.5, -0.5)


def _showings(presentation: Presentation) -> tuple[tuple[int, int, int], ...]:
    """Return when each image is shown: from and to, in steps from time zero, and which image."""
    zero = find_time_zero(presentation)
    return tuple((start - zero, stop - zero, frame) for start, stop, frame in find_showings(presentation.frames))


def _by_level(result: ExperimentAnalysis, across: str) -> dict[Any, list[Presentation]]:
    groups = result.tuning.groupby(across, sort=False)["condition"]
    return {level: [result.presentations[name] for name in names] for level, names in groups}


def _add_axes(cells: tuple[SubplotSpec, SubplotSpec], sharey: Axes | None) -> tuple[Axes, Axes]:
    """Add a panel, and the strip under it that has the time axis."""
    figure: Any = cells[0].get_gridspec().figure  # type: ignore[attr-defined]  # it is a GridSpec of a figure
    axes = figure.add_subplot(cells[0], sharey=sharey)
    strip = figure.add_subplot(cells[1], sharex=axes)
    axes.tick_params(labelbottom=False)
    strip.tick_params(length=2)
    strip.set_yticks([])
    for side in ("left", "bottom"):
        strip.spines[side].set_visible(False)
    return axes, strip
