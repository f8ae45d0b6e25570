"""The figure of tuning curves: accuracy and numbers of each layer against the swept parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dynvision.analysis.courses import NUMBERS
from dynvision.analysis.figures.panels import (
    MOST_LAYERS,
    choose_layer,
    draw_marks,
    draw_tuned,
    draw_unity,
    label_number,
    say_why_empty,
    set_levels,
    start_at_zero,
)
from dynvision.analysis.figures.style import (
    GREY,
    MARKERS,
    WIDTH,
    color_layers,
    color_levels,
    count_columns,
    label_parameter,
    name_layer,
    pick_levels,
    styled,
)
from dynvision.analysis.figures.time_courses import draw_level_legend
from dynvision.analysis.measures import OUTPUT, find_responses
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis

__all__ = ["draw_tuning"]

_COLUMNS = 3


@styled
def draw_tuning(result: ExperimentAnalysis) -> Figure:
    """Draw accuracy, the numbers that all layers share, and each layer's main number against the swept parameter.

    Points are measured values with the standard error over trials or samples. A number that layers share is left out
    where a layer's response is not above what noise alone reaches. Points are joined by lines if no curve is
    fitted. A triangle at the axis marks the half point of a fitted curve, and a bar its confidence interval. The dotted
    line is chance. Without an accuracy its panel is left out. With two parameters there is a curve for each level of
    the second.
    """
    colors = color_layers(result.layers)
    second = color_levels(result.tuning[result.across], second=True) if result.across else None
    panels = _list_panels(result)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for position, (axes, (content, name)) in enumerate(zip(grid, panels, strict=False)):
        _draw_panel(axes, result, content, name, colors, second)
        if content == "layer" and position % columns and name != result.layers[0]:
            axes.set_ylabel("")
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if second is not None and result.across is not None:
        draw_level_legend(figure, result.across, second, result.has_times_in_ms, has_markers=True)
    elif result.analysis.shared:
        handles = [
            Line2D([], [], color=colors[name], marker=MARKERS[i % len(MARKERS)], lw=1.5, label=name_layer(name))
            for i, name in enumerate(result.layers)
        ]
        names_in_row = count_columns((handle.get_label() for handle in handles), 7)
        figure.legend(handles=handles, loc="outside upper center", ncols=names_in_row, columnspacing=1.2)
    return figure


def _list_panels(result: ExperimentAnalysis) -> list[tuple[str, str]]:
    """List what the panels show, and of which number or layer."""
    panels = [("accuracy", OUTPUT)] if result.has_accuracy else []
    panels += [("shared", name) for name in result.analysis.shared]
    curve = result.analysis.curve_of("layers")
    if curve is not None and result.fits["parameter"].eq(curve.mark).any():
        panels.append(("marks", curve.mark))
    return panels + [("layer", name) for name in pick_levels(result.layers, MOST_LAYERS)]


def _draw_panel(
    axes: Any,
    result: ExperimentAnalysis,
    content: str,
    name: str,
    colors: Mapping[str, Any],
    second: Mapping[Any, Any] | None,
) -> None:
    curve = result.analysis.curve_of("layers")
    if content == "accuracy":
        draw_tuned(axes, result, OUTPUT, "accuracy", second or GREY)
        axes.set_title("accuracy")
    elif content == "shared":
        _draw_shared(axes, result, name, colors, second)
    elif content == "marks" and curve is not None:
        draw_marks(axes, result, curve, result.analysis.main, result.layers, second or colors, result.across)
        axes.set_ylabel(f"{curve.mark_label}: {label_parameter(result.along, result.has_times_in_ms)}")
    else:
        draw_tuned(axes, result, name, result.analysis.main, second or colors[name])
        axes.set_title(name_layer(name), fontweight="bold")


def _draw_shared(
    axes: Any,
    result: ExperimentAnalysis,
    name: str,
    colors: Mapping[str, Any],
    second: Mapping[Any, Any] | None,
) -> None:
    """Draw one number of all layers; with two parameters that of the most telling layer, a line for each level.

    Conditions without a response above that of noise are left out: the time or share of noise means nothing.
    """
    column = f"{name}_ms" if NUMBERS[name].per_step and result.dt is not None else name
    lines = [(result.tuning, layer, color) for layer, color in colors.items()]
    title = name
    if second is not None and result.across is not None:
        layer = choose_layer(result)
        parts = result.tuning.groupby(result.across, sort=False)
        lines = [(part, layer, second[level]) for level, part in parts]
        title = f"{name} of {name_layer(layer)}"
    positions = set_levels(axes, result)
    is_empty = True
    for number, (rows, layer, color) in enumerate(lines):
        rows = rows[find_responses(rows, layer)]
        x = [positions[v] for v in rows[result.along]]
        shape = f"{MARKERS[number % len(MARKERS)]}-"
        axes.errorbar(x, rows[f"{column}/{layer}"], rows[f"{column}_sem/{layer}"], fmt=shape, color=color, lw=1.2)
        is_empty &= not rows[f"{column}/{layer}"].notna().any()
    axes.set_title(title)
    axes.set_ylabel(label_number(name, result))
    if is_empty:
        say_why_empty(axes, result)
    else:
        draw_unity(axes, name)
        start_at_zero(axes)
