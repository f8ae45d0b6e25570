"""Panels of tuning curves: points with error bars, fitted curves, and the mark of each with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dynvision.analysis.courses import NUMBERS
from dynvision.analysis.figures.style import GREY, MARKERS, label_parameter, name_layer
from dynvision.analysis.fits import format_estimate, is_shown
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.sweeps import Curve
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.system.escaping import escape_mathtext

__all__ = [
    "MOST_LAYERS",
    "choose_layer",
    "draw_marks",
    "draw_tuned",
    "draw_unity",
    "label_number",
    "say_why_empty",
    "set_levels",
    "start_at_zero",
]

MOST_LAYERS = 60
"""Layers that have a panel of their own; a figure of more would be larger than a picture can be."""

_MOST_DECADES = 2.0
"""Decades of a logarithmic axis up to which 2 and 5 are labelled, too."""

_ROW = 0.1
"""The height of a line of text in a panel, as a share of the panel's."""


def draw_tuned(axes: Any, result: ExperimentAnalysis, layer: str, measure: str, colors: Any) -> None:
    """Draw one number against the swept parameter, with the curve that was fitted to it.

    Args:
        axes: The axes to draw in.
        result: The experiment.
        layer: The layer, or `OUTPUT`.
        measure: `accuracy` for the output, a number of `NUMBERS` for a layer.
        colors: One colour, or one for each level of the second parameter.
    """
    tuning = result.tuning
    column = "accuracy" if layer == OUTPUT else f"{measure}/{layer}"
    errors = "accuracy_sem" if layer == OUTPUT else f"{measure}_sem/{layer}"
    curve = result.analysis.curve_of("accuracy" if layer == OUTPUT else "layers")
    groups: list[tuple[Any, pd.DataFrame, Any]] = [(None, tuning, colors)]
    if result.across is not None and isinstance(colors, Mapping):
        groups = [(level, part, colors[level]) for level, part in tuning.groupby(result.across, sort=False)]
    positions, fitted = set_levels(axes, result), []
    for number, (level, part, color) in enumerate(groups):
        fits = result.fits[(result.fits["layer"] == layer) & (result.fits["measure"] == measure)]
        if level is not None:
            fits = fits[fits[result.across] == level]
        x = np.array([positions[v] for v in part[result.along]], dtype=np.float64)
        part, x = part.iloc[np.argsort(x, kind="stable")], np.sort(x)
        is_fitted = curve is not None and fits["value"].notna().any()
        null = part.get(f"{measure}_null/{layer}")
        if null is not None and null.notna().any():
            # What noise alone reaches; a point inside of it is no response.
            band = GREY if level is None else color  # several bands overlap, and each belongs to a line
            axes.fill_between(x, 0, np.sign(part[column]) * null, color=band, alpha=0.15, lw=0, zorder=0)
        marker = MARKERS[number % len(MARKERS)]
        axes.errorbar(x, part[column], part.get(errors), fmt=marker if is_fitted else f"{marker}-", color=color, lw=1.2)
        if is_fitted and curve is not None:
            fitted.append((curve, fits, x, color, level is None))
    for curve, *drawn in fitted:  # The lines of the marks need the limits of all points.
        _draw_fit(axes, curve, *drawn)
    if not np.isfinite(tuning[column].to_numpy(np.float64)).any():
        say_why_empty(axes, result, layer)
    if layer == OUTPUT:
        for chance in tuning["chance"].dropna().unique():
            axes.axhline(chance, color="0.5", ls=":", lw=1)
        axes.set_ylim(0, 1.04)
        axes.set_ylabel("accuracy")
    else:
        axes.set_ylabel(label_number(measure, result))
        draw_unity(axes, measure)


def draw_marks(
    axes: Any,
    result: ExperimentAnalysis,
    curve: Curve,
    measure: str,
    layers: Sequence[str],
    colors: Mapping[Any, Any],
    group: str | None,
) -> None:
    """Draw a fitted parameter of each layer with its confidence interval, as far as it lies in the range shown.

    A parameter outside of that range is written as a bound, such as `> 1`. Bounds of one layer are written below each
    other, and above all marks.

    Args:
        axes: The axes to draw in.
        result: The experiment.
        curve: The curve whose mark is drawn.
        measure: The number to which it is fitted.
        layers: The layers, in order; those without a fit are left out.
        colors: The colour of each layer, or of each level of `group`.
        group: A column of the fits, whose levels are drawn next to each other.
    """
    marks = result.fits[(result.fits["parameter"] == curve.mark) & (result.fits["measure"] == measure)]
    shown = _range_shown(result.tuning[result.along].to_numpy(np.float64))
    levels = list(colors) if group else [None]
    fitted = [layer for layer in layers if layer in set(marks["layer"])]
    rows_above = 0
    for position, layer in enumerate(fitted):
        written = {"top": 0, "bottom": 0}
        for number, level in enumerate(levels):
            rows = marks[(marks["layer"] == layer) & ((marks[group] == level) if group else True)]
            for value, low, high in rows[["value", "low", "high"]].to_numpy(np.float64):
                x = position + 0.5 * ((number + 0.5) / len(levels) - 0.5)
                color = colors[level if group else layer]
                if is_shown(value, *shown):
                    ends = _clip_interval(value, low, high, shown)
                    marker = MARKERS[(number if group else layers.index(layer)) % len(MARKERS)]
                    axes.errorbar(x, value, [[value - ends[0]], [ends[1] - value]], fmt=marker, color=color)
                elif not np.isnan(value):
                    text = format_estimate(value, low, high, *shown)
                    side = "top" if value > shown[1] else "bottom"
                    y = 0.97 - _ROW * written[side] if side == "top" else 0.03 + _ROW * written[side]
                    under = axes.get_xaxis_transform()
                    # The name of a layer stands below it; levels of a group are told apart by colour.
                    axes.text(
                        x,
                        y,
                        text,
                        color=color if group else "black",
                        transform=under,
                        ha="center",
                        va=side,
                        fontsize=7.5,
                    )
                    written[side] += 1
        rows_above = max(rows_above, written["top"])
    axes.set_xticks(range(len(fitted)), [name_layer(layer) for layer in fitted], rotation=30 if len(fitted) > 4 else 0)
    axes.set_xlim(-0.6, len(fitted) - 0.4)
    start_at_zero(axes, rows_above)
    axes.set_title(f"{curve.mark_label} of each layer")
    axes.set_ylabel(curve.mark_label)


def label_number(name: str, result: ExperimentAnalysis) -> str:
    """Return the label of an axis for a number read from time courses, with its unit."""
    number = NUMBERS[name]
    if not number.per_step:
        return number.label
    return f"{number.label} ({'steps' if result.dt is None else 'ms'})"


def set_levels(axes: Any, result: ExperimentAnalysis) -> dict[Any, float]:
    """Prepare the axis of the swept parameter.

    Returns:
        The position of each level on the axis: its value, or its number if levels are names.
    """
    levels = list(dict.fromkeys(result.tuning[result.along]))
    axes.set_xlabel(label_parameter(result.along, result.has_times_in_ms))
    if not pd.api.types.is_numeric_dtype(result.tuning[result.along]):
        axes.set_xticks(range(len(levels)), [escape_mathtext(v) for v in levels], rotation=30 if len(levels) > 3 else 0)
        return {level: float(position) for position, level in enumerate(levels)}
    if len(levels) == 1:
        axes.set_xticks(levels)
    elif result.analysis.is_log and min(levels) > 0:
        axes.set_xscale("log")
        decades = math.log10(max(levels) / min(levels))
        # Of a wide range there is no room for more labels.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades <= _MOST_DECADES else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return {level: float(level) for level in levels}


def choose_layer(result: ExperimentAnalysis) -> str:
    """Return the layer in which conditions differ most: with the largest range of its main number, in standard errors.

    Both are relative: the range to the mean of the number, the standard error over samples to the peak response.
    Layers whose mean response falls below 0 (class scores, not rates) are left out if there are others. Of equal
    layers the deepest one is returned.
    """
    least = result.courses[result.courses["measure"] == "mean"].groupby("layer", sort=False)["value"].min()
    rates = [layer for layer in result.layers if least[layer] >= 0] or result.layers

    def contrast_of(layer: str) -> float:
        names = (f"{name}/{layer}" for name in (result.analysis.main, "response", "response_sem"))
        main, response, error = (result.tuning[name].to_numpy(np.float64) for name in names)
        square = np.nan_to_num(error) ** 2  # NaN for a single sample
        if not (np.isfinite(main).all() and np.isfinite(response).all() and square.any()):
            return 0.0
        relative_error = np.sqrt(square.sum() / np.isfinite(error).sum()) / max(float(np.abs(response).mean()), 1e-12)
        return float(np.ptp(main) / max(float(np.abs(main).mean()), 1e-12) / relative_error)

    return max(reversed(rates), key=contrast_of)


def start_at_zero(axes: Any, rows_above: int = 0) -> None:
    """Let the vertical axis start at 0, or below it at the lowest value, and end above the highest.

    Args:
        axes: The axes, with everything drawn in them.
        rows_above: How many lines of text need room at the top.
    """
    low, high = axes.dataLim.intervaly
    if np.isfinite(high) and high > 0:
        room = min(0.05 + _ROW * rows_above, 0.6)
        axes.set_ylim(min(low, 0) * 1.05, high / (1 - room))


def say_why_empty(axes: Any, result: ExperimentAnalysis, layer: str | None = None) -> None:
    """Write why a panel has no point: no class is named, no response is finite, or nothing responds.

    Args:
        axes: The axes, with nothing in them but their label.
        result: The experiment.
        layer: The layer, or `OUTPUT`; by default any.
    """
    columns = [f"response/{name}" for name in ([layer] if layer else result.layers) if name != OUTPUT]
    why = "no response above rest" if np.isfinite(result.tuning[columns]).any(axis=None) else "no finite response"
    axes.text(
        0.5, 0.6, why if columns else "no accuracy", transform=axes.transAxes, ha="center", color=GREY, fontsize=8
    )
    levels = result.tuning[result.along]
    if pd.api.types.is_numeric_dtype(levels) and levels.min() < levels.max():
        axes.set_xlim(levels.min(), levels.max())  # Without points they would be arbitrary.
    axes.set_yticks([])


def draw_unity(axes: Any, name: str) -> None:
    """Draw a dotted line at 1, if that is the neutral value of a number."""
    if NUMBERS[name].needs_second:
        axes.axhline(1, color="0.5", ls=":", lw=1)


def _draw_fit(axes: Any, curve: Curve, fits: pd.DataFrame, x: Any, color: Any, is_named: bool) -> None:
    rows = {str(row["parameter"]): row for row in fits.to_dict(orient="records")}
    parameters = {name: float(row["value"]) for name, row in rows.items()}
    value, low, high = (float(rows[curve.mark][name]) for name in ("value", "low", "high"))
    is_log = axes.get_xscale() == "log"
    fine = np.geomspace(x.min(), x.max(), 200) if is_log else np.linspace(x.min(), x.max(), 200)
    axes.plot(fine, curve.function(fine, **parameters), color=color)
    shown = _range_shown(x)
    if is_shown(value, *shown):
        _draw_mark(axes, curve, parameters, value, _clip_interval(value, low, high, shown), color)
    if is_named:
        estimate = format_estimate(value, low, high, *shown)
        equals = " " if estimate[0] in "<>" else " = "
        text = f"{curve.mark_label}{equals}{estimate}".replace(" [", "\n[").replace(" (", "\n(")
        _write_in_free_corner(axes, text, curve.function(fine, **parameters))


def _write_in_free_corner(axes: Any, text: str, drawn: Any) -> None:
    """Write on the left if a curve changes late, otherwise on the right; above it if it rises, below it if it falls."""
    rise = drawn[-1] - drawn[0]
    is_late = abs(drawn[len(drawn) // 3] - drawn[0]) < abs(rise) / 2
    is_above = is_late == (rise >= 0)
    x, align = (0.04, "left") if is_late else (0.97, "right")
    y, side = (0.97, "top") if is_above else (0.18, "bottom")
    axes.text(x, y, text, transform=axes.transAxes, ha=align, va=side, fontsize=7.5)


def _range_shown(levels: Any) -> tuple[float, float]:
    """Return the lowest level above 0, and the highest."""
    return float(levels[levels > 0].min(initial=np.inf)), float(levels.max())


def _clip_interval(value: float, low: float, high: float, shown: tuple[float, float]) -> Any:
    """Return the ends of an interval as far as they were shown; both are the value if there is no interval."""
    if np.isnan(low) and np.isnan(high):
        return np.array([value, value])
    return np.clip([np.nan_to_num(low, nan=shown[0]), np.nan_to_num(high, nan=shown[1])], *shown)


def _draw_mark(
    axes: Any, curve: Curve, parameters: Mapping[str, float], value: float, interval: Any, color: Any
) -> None:
    """Draw the mark of a curve as a dashed line and a triangle at the axis, and its interval as a bar."""
    under = axes.get_xaxis_transform()
    height = float(curve.function(np.array([value]), **parameters)[0])
    bottom, top = axes.get_ylim()  # The axis may still grow, so the line begins far below it.
    # Unlike a plotted line, an artist has no part in the limits of the axis.
    axes.add_artist(Line2D([value] * 2, [bottom - 5 * (top - bottom), height], color=color, lw=0.8, ls="--"))
    axes.plot(value, 0.03, "^", color=color, transform=under, ms=6, zorder=5)
    axes.plot(interval, [0.03, 0.03], color=color, transform=under, lw=3.5, alpha=0.4, solid_capstyle="butt")
