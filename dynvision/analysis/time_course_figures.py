"""Time courses: the response of each layer in each condition, over the presentation drawn as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dynvision.analysis.experiment import ExperimentAnalysis
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.style import GREY, WIDTH, color_levels, label_parameter, styled, tag_levels
from dynvision.data.schedule import VOID, Presentation

__all__ = ["draw_course_panel", "draw_level_legend", "draw_time_courses"]

_COLUMNS = 3


@styled
def draw_time_courses(result: ExperimentAnalysis) -> Figure:
    """Mean response over time for each layer, and accuracy: one line a condition, its colour the level.

    Shaded is the standard error over samples. The bars under the axes show when an image is there: one bar where all
    conditions have the same timing, else one each in its colour. With two parameters there is a column for each level
    of the second.
    """
    names = [*result.layers, OUTPUT]
    colors = color_levels(result.tuning[result.along])
    if result.across is None:
        columns = min(_COLUMNS, len(names))
        rows = -(-len(names) // columns)
        figure = Figure(figsize=(WIDTH, 0.6 + 2.0 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, (axes, name) in enumerate(zip(grid, names, strict=False)):
            draw_course_panel(axes, result, result.tuning, name, colors, is_left=place % columns == 0)
            axes.set_title("accuracy" if name == OUTPUT else name)
        for axes in grid[len(names) :]:
            axes.set_axis_off()
    else:
        levels = list(dict.fromkeys(result.tuning[result.across]))
        width = max(WIDTH, 0.7 + 1.75 * len(levels))
        figure = Figure(figsize=(width, 0.6 + 1.7 * len(names)), layout="constrained")
        table = figure.subplots(len(names), len(levels), squeeze=False, sharey="row")
        across = label_parameter(result.across, result.has_times_in_ms)
        for row, name in zip(table, names, strict=True):
            for place, (axes, level) in enumerate(zip(row, levels, strict=True)):
                part = result.tuning[result.tuning[result.across] == level]
                draw_course_panel(axes, result, part, name, colors, is_left=place == 0, is_bottom=name == OUTPUT)
                if name == names[0]:
                    axes.set_title(f"{across} {level}")
                if place == 0:
                    axes.set_ylabel("accuracy" if name == OUTPUT else f"{name}\nmean response")
    draw_level_legend(figure, result.along, colors, result.has_times_in_ms)
    return figure


def draw_course_panel(
    axes: Any,
    result: ExperimentAnalysis,
    conditions: pd.DataFrame,
    layer: str,
    colors: Mapping[Any, Any],
    is_left: bool = True,
    is_bottom: bool = True,
) -> None:
    """Draw a layer's time courses in some conditions, with the presentation under the axis.

    Args:
        axes: Where.
        result: The experiment.
        conditions: Rows of the tuning table.
        layer: The layer, or the output for accuracy.
        colors: The colour of each level.
        is_left: Name the vertical axis.
        is_bottom: Name the time axis.
    """
    measure = "accuracy" if layer == OUTPUT else "mean"
    scale = result.dt or 1.0
    courses = result.courses[result.courses["layer"] == layer]
    for condition, level in zip(conditions["condition"], conditions[result.along], strict=True):
        rows = courses[courses["condition"] == condition]
        line = rows[rows["measure"] == measure]
        axes.plot(line["time"] * scale, line["value"], color=colors[level], clip_on=measure != "accuracy")
        error = rows[rows["measure"] == "sem"]["value"].to_numpy()
        if len(error):
            low, high = line["value"] - error, line["value"] + error
            axes.fill_between(line["time"] * scale, low, high, color=colors[level], alpha=0.2, lw=0)
    if measure == "accuracy":
        axes.axhline(result.tuning["chance"].iloc[0], color="0.5", ls=":", lw=1)
        axes.set_ylim(0, 1.0)
    if is_left:
        axes.set_ylabel("accuracy" if measure == "accuracy" else "mean response")
    shown = [result.presentations[name] for name in conditions["condition"]]
    strip = _draw_presentations(axes, shown, [colors[v] for v in conditions[result.along]], scale)
    if is_bottom:
        strip.set_xlabel("time (steps)" if result.dt is None else "time (ms)")


def draw_level_legend(
    figure: Figure, parameter: str, colors: Mapping[Any, Any], times_in_ms: bool, place: str = "outside upper center"
) -> None:
    """Name the colour of each level above the panels."""
    named = tag_levels(list(colors))
    handles = [Line2D([], [], color=colors[level], lw=2.5, label=str(level)) for level in named]
    figure.legend(
        handles=handles,
        loc=place,
        ncols=min(len(handles), 8),
        title=label_parameter(parameter, times_in_ms),
        handlelength=1.2,
        columnspacing=1.2,
        title_fontsize=9,
    )


def _draw_presentations(axes: Any, presentations: Sequence[Presentation], colors: Sequence[Any], scale: float) -> Any:
    """Draw when an image is shown, in a strip under the axes that carries the time axis; gives the strip."""
    timings: dict[tuple[int, ...], list[Any]] = {}
    for presentation, color in zip(presentations, colors, strict=True):
        timings.setdefault(tuple(presentation.frames.tolist()), []).append(color)
    height = min(0.32, 0.06 + 0.035 * (len(timings) - 1))
    strip = axes.inset_axes([0, -0.03 - height, 1, height], sharex=axes)
    for row, (frames, shared) in enumerate(timings.items()):
        color = shared[0] if len(timings) > 1 else GREY
        for start, stop, frame in _runs(np.asarray(frames)):
            # The second image of a trial is paler than the first.
            left, width = (start - 0.5) * scale, (stop - start) * scale
            strip.barh(row, width, 0.8, left, color=color, alpha=1.0 if frame % 2 == 0 else 0.5, lw=0)
    strip.set_ylim(len(timings) - 0.5, -0.5)
    strip.set_yticks([])
    for side in ("left", "bottom"):
        strip.spines[side].set_visible(False)
    axes.set_xlim(-0.5 * scale, (len(next(iter(timings))) - 0.5) * scale)
    axes.tick_params(labelbottom=False)
    return strip


def _runs(frames: Any) -> list[tuple[int, int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(frames)) + 1).tolist(), len(frames)]
    return [(a, b, int(frames[a])) for a, b in zip(edges[:-1], edges[1:], strict=True) if frames[a] != VOID]
