"""Tuning curves: points with error bars, fitted curves, and the mark of each with its confidence interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dynvision.analysis.courses import NUMBERS
from dynvision.analysis.figures.style import GREY, WIDTH, color_layers, color_levels, label_parameter, styled
from dynvision.analysis.figures.time_courses import draw_level_legend
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.sweeps import Curve
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis

__all__ = ["choose_layer", "draw_marks", "draw_tuned", "draw_tuning", "label_number", "set_levels"]

_COLUMNS = 3


@styled
def draw_tuning(result: ExperimentAnalysis) -> Figure:
    """Accuracy, what layers can be compared in, and each layer's main number against the swept parameter.

    Points are measured, with the standard error over trials or samples; lines without a fit join them. A fitted curve
    is marked where it has its half point (triangle at the axis), with the confidence interval as a bar. The dotted
    line is chance. With two parameters each level of the second is a curve.
    """
    analysis, layers = result.analysis, result.layers
    colors = color_layers(layers)
    second = color_levels(result.tuning[result.across], second=True) if result.across else None
    of_layers = analysis.curve_of("layers")
    panels: list[tuple[str, str]] = [("accuracy", OUTPUT)]
    panels += [("shared", name) for name in analysis.shared]
    if of_layers is not None and result.fits["parameter"].eq(of_layers.mark).any():
        panels.append(("marks", of_layers.mark))
    panels += [("layer", name) for name in layers]
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, (axes, (kind, name)) in enumerate(zip(grid, panels, strict=False)):
        if kind == "accuracy":
            draw_tuned(axes, result, OUTPUT, "accuracy", second or GREY)
            axes.set_title("accuracy")
        elif kind == "shared":
            _draw_shared(axes, result, name, colors, second)
        elif kind == "marks" and of_layers is not None:
            draw_marks(axes, result.fits, of_layers, layers, second or colors, result.across)
            axes.set_ylabel(f"{of_layers.mark_label}: {label_parameter(result.along, result.has_times_in_ms)}")
        else:
            draw_tuned(axes, result, name, analysis.main, second or colors[name])
            axes.set_title(name, color="black" if second else colors[name], fontweight="bold")
            if place % columns and name != layers[0]:
                axes.set_ylabel("")
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if second is not None and result.across is not None:
        draw_level_legend(figure, result.across, second, result.has_times_in_ms)
    elif analysis.shared:
        handles = [Line2D([], [], color=colors[n], marker="o", lw=1.5, label=n) for n in layers]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(layers), 7), columnspacing=1.2)
    return figure


def draw_tuned(axes: Any, result: ExperimentAnalysis, layer: str, measure: str, colors: Any) -> None:
    """Draw one number against the swept parameter, with what was fitted to it.

    Args:
        axes: Where.
        result: The experiment.
        layer: The layer, or the output.
        measure: `accuracy`, or a number of the layer.
        colors: One colour; or one for each level of the second parameter.
    """
    tuning = result.tuning
    column = "accuracy" if layer == OUTPUT else f"{measure}/{layer}"
    errors = "accuracy_sem" if layer == OUTPUT else f"{measure}_sem/{layer}"
    curve = result.analysis.curve_of("accuracy" if layer == OUTPUT else "layers")
    groups: list[tuple[Any, pd.DataFrame, Any]] = [(None, tuning, colors)]
    if result.across is not None and isinstance(colors, Mapping):
        groups = [(level, part, colors[level]) for level, part in tuning.groupby(result.across, sort=False)]
    positions = set_levels(axes, result)
    for level, part, color in groups:
        fits = result.fits[(result.fits["layer"] == layer) & (result.fits["measure"] == measure)]
        if level is not None:
            fits = fits[fits[result.across] == level]
        x = np.array([positions[v] for v in part[result.along]], dtype=np.float64)
        is_fitted = curve is not None and fits["value"].notna().any()
        error = part.get(errors)
        axes.errorbar(x, part[column], error, fmt="o" if is_fitted else "o-", color=color, lw=1.2)
        if is_fitted and curve is not None:
            _draw_fit(axes, curve, fits, x, color, is_named=level is None)
    if not np.isfinite(tuning[column].to_numpy(np.float64)).any():
        axes.text(0.5, 0.6, "no response above baseline", transform=axes.transAxes, ha="center", color=GREY, fontsize=8)
    if layer == OUTPUT:
        for chance in tuning["chance"].unique():
            axes.axhline(chance, color="0.5", ls=":", lw=1)
        axes.set_ylim(0, 1.04)
        axes.set_ylabel("accuracy")
    else:
        axes.set_ylabel(label_number(measure, result))
        _draw_one(axes, measure)


def draw_marks(
    axes: Any,
    fits: pd.DataFrame,
    curve: Curve,
    layers: Sequence[str],
    colors: Mapping[Any, Any],
    group: str | None,
) -> None:
    """Draw a fitted parameter of each layer with its confidence interval.

    Args:
        axes: Where.
        fits: The table of fits.
        curve: Whose mark is drawn.
        layers: In order.
        colors: The colour of each layer; or of each level of `group`.
        group: A column of the fits whose levels stand side by side.
    """
    marks = fits[fits["parameter"] == curve.mark]
    levels = list(colors) if group else [None]
    fitted = [layer for layer in layers if layer in set(marks["layer"])]
    for place, layer in enumerate(fitted):
        for number, level in enumerate(levels):
            rows = marks[(marks["layer"] == layer) & ((marks[group] == level) if group else True)]
            for value, low, high in rows[["value", "low", "high"]].to_numpy(np.float64):
                x = place + 0.5 * ((number + 0.5) / len(levels) - 0.5)
                interval = np.nan_to_num([[value - low], [high - value]])
                axes.errorbar(x, value, interval, fmt="o", color=colors[level if group else layer])
    axes.set_xticks(range(len(fitted)), fitted, rotation=30 if len(fitted) > 4 else 0)
    axes.set_xlim(-0.6, len(fitted) - 0.4)
    axes.set_ylim(0, None)
    axes.set_title(f"{curve.mark_label} of each layer")
    axes.set_ylabel(curve.mark_label)


def label_number(name: str, result: ExperimentAnalysis) -> str:
    """What an axis says of a number that is read from time courses, with its unit."""
    number = NUMBERS[name]
    if not number.per_step:
        return number.label
    return f"{number.label} ({'steps' if result.dt is None else 'ms'})"


def set_levels(axes: Any, result: ExperimentAnalysis) -> dict[Any, float]:
    """Prepare the axis of the swept parameter; gives the place of each level, names one after the other."""
    levels = list(dict.fromkeys(result.tuning[result.along]))
    axes.set_xlabel(label_parameter(result.along, result.has_times_in_ms))
    if not pd.api.types.is_numeric_dtype(result.tuning[result.along]):
        axes.set_xticks(range(len(levels)), [str(v) for v in levels], rotation=30 if len(levels) > 3 else 0)
        return {level: float(place) for place, level in enumerate(levels)}
    if len(levels) == 1:
        axes.set_xticks(levels)
    elif result.analysis.is_log and min(levels) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return {level: float(level) for level in levels}


def choose_layer(result: ExperimentAnalysis) -> str:
    """The layer in which conditions differ most: the range of its main number over the error of its response.

    Both are relative: range over mean, standard error over samples over peak response.

    Layers whose mean goes below 0 (class scores, not rates) are left out where there are others; of equals, the deepest
    is taken.
    """
    least = result.courses[result.courses["measure"] == "mean"].groupby("layer", sort=False)["value"].min()
    rates = [layer for layer in result.layers if least[layer] >= 0] or result.layers

    def contrast_of(layer: str) -> float:
        names = (f"{name}/{layer}" for name in (result.analysis.main, "response", "response_sem"))
        main, response, error = (result.tuning[name].to_numpy(np.float64) for name in names)
        if not (np.isfinite(main).all() and np.isfinite(response).all() and np.nanmean(error**2) > 0):
            return 0.0
        relative_error = np.sqrt(np.nanmean(error**2)) / max(float(np.abs(response).mean()), 1e-12)
        return float(np.ptp(main) / max(float(np.abs(main).mean()), 1e-12) / relative_error)

    return max(reversed(rates), key=contrast_of)


def _draw_shared(
    axes: Any,
    result: ExperimentAnalysis,
    name: str,
    colors: Mapping[str, Any],
    second: Mapping[Any, Any] | None,
) -> None:
    """One number for all layers; with two parameters, of the layer that tells most, a line for each level."""
    column = f"{name}_ms" if NUMBERS[name].per_step and result.dt is not None else name
    if second is not None and result.across is not None:
        layer = choose_layer(result)
        positions = set_levels(axes, result)
        for level, part in result.tuning.groupby(result.across, sort=False):
            x = [positions[v] for v in part[result.along]]
            axes.plot(x, part[f"{column}/{layer}"], "o-", color=second[level], lw=1.2)
        axes.set_title(f"{name} of {layer}")
    else:
        positions = set_levels(axes, result)
        x = [positions[v] for v in result.tuning[result.along]]
        for layer, color in colors.items():
            axes.plot(x, result.tuning[f"{column}/{layer}"], "o-", color=color, lw=1.2)
        axes.set_title(name)
    axes.set_ylabel(label_number(name, result))
    axes.set_ylim(0, None)
    _draw_one(axes, name)


def _draw_one(axes: Any, name: str) -> None:
    if name == "adaptation":
        axes.axhline(1, color="0.5", ls=":", lw=1)


def _draw_fit(axes: Any, curve: Curve, fits: pd.DataFrame, x: Any, color: Any, is_named: bool) -> None:
    found = {str(r["parameter"]): r for r in fits.to_dict(orient="records")}
    parameters = {name: float(row["value"]) for name, row in found.items()}
    value, low, high = (float(found[curve.mark][name]) for name in ("value", "low", "high"))
    is_log = axes.get_xscale() == "log"
    fine = np.geomspace(x.min(), x.max(), 200) if is_log else np.linspace(x.min(), x.max(), 200)
    axes.plot(fine, curve.function(fine, **parameters), color=color)
    is_inside = x.min() <= value <= x.max()
    if is_inside:
        under = axes.get_xaxis_transform()
        height = float(curve.function(np.array([value]), **parameters)[0])
        bottom, top = axes.get_ylim()  # it may grow, so the line begins far below
        line = {"color": color, "lw": 0.8, "ls": "--", "scalex": False, "scaley": False}
        axes.plot([value] * 2, [bottom - 5 * (top - bottom), height], **line)
        axes.plot(value, 0.03, "^", color=color, transform=under, ms=6, zorder=5)
        ends = np.clip(np.where(np.isnan([low, high]), value, [low, high]), x.min(), x.max())
        axes.plot(ends, [0.03, 0.03], color=color, transform=under, lw=3.5, alpha=0.4, solid_capstyle="butt")
    if is_named:
        interval = "" if np.isnan(low) else f"\n[{low:.3g}, {high:.3g}]"
        where = "" if is_inside else "\n(extrapolated)"
        text = f"{curve.mark_label} = {value:.3g}{interval}{where}"
        drawn = curve.function(fine, **parameters)
        if drawn[len(drawn) // 3] - drawn[0] < (drawn[-1] - drawn[0]) / 2:
            axes.text(0.04, 0.97, text, transform=axes.transAxes, va="top", fontsize=7.5)
        else:  # it rises early: there is room below
            axes.text(0.97, 0.18, text, transform=axes.transAxes, ha="right", fontsize=7.5)
