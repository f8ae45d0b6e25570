"""The phenomena of a subject in one figure: the numbers of its network beside the ranges of visual cortex."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dynvision.analysis.cortex import KnownRange, find_range
from dynvision.analysis.figures.style import BLUE, GREY, VERMILION, WIDTH, name_layer, styled
from dynvision.system.escaping import escape_mathtext

__all__ = ["PANELS", "Panel", "draw_phenomena", "select_rows"]


@dataclass(frozen=True)
class Panel:
    """A panel of the figure: a row for each layer, and one or two numbers of it.

    Attributes:
        phenomenon: The phenomenon.
        measures: The numbers; each begins the measure's name in the table, so that `latency` finds `latency_ms`, too.
        names: What distinguishes them; empty if there is one.
        label: The axis.
        limits: Beyond these values the axis does not go; what lies beyond stands at its edge as an arrow.
        is_log: Whether the axis is logarithmic.
    """

    phenomenon: str
    measures: tuple[str, ...]
    label: str
    limits: tuple[float, float]
    names: tuple[str, ...] = ()
    is_log: bool = False


PANELS = (
    Panel("contrast response", ("c50",), "$c_{50}$ (contrast)", (0.01, 10.0), is_log=True),
    Panel("contrast response", ("n",), "exponent $n$", (0.0, 6.0)),
    Panel("onset transient", ("transient_ratio",), "peak / sustained response", (0.0, 5.0)),
    Panel(
        "latency falls with contrast",
        ("lowest", "highest"),
        "latency",
        (0.0, 200.0),
        ("lowest contrast", "highest contrast"),
    ),
    Panel(
        "repetition suppression",
        ("recovery_shortest", "recovery_longest"),
        "recovery of second response",
        (-0.5, 2.5),
        ("shortest interval", "longest interval"),
    ),
    Panel("temporal summation", ("doubling_highest",), "integral / that of half the duration", (0.0, 4.0)),
    Panel(
        "backward masking",
        ("accuracy_shortest", "accuracy_longest"),
        "accuracy",
        (0.0, 1.0),
        ("shortest gap", "longest gap"),
    ),
    Panel("long presentations", ("accuracy_best", "accuracy_last"), "accuracy", (0.0, 1.0), ("best step", "last step")),
    Panel("accuracy", ("accuracy",), "accuracy, highest contrast", (0.0, 1.0)),
)
"""The panels, from left to right and from top to bottom."""

_COLUMNS = 3
_COLORS, _MARKERS = (VERMILION, BLUE), ("o", "s")
_BAND = "0.86"
_MOST_LAYERS = 12


def select_rows(table: pd.DataFrame, panel: Panel) -> list[pd.DataFrame]:
    """Return the rows of each number of a panel; without those that have no value."""
    of_phenomenon = table[(table["phenomenon"] == panel.phenomenon) & np.isfinite(table["value"].astype(float))]
    names = of_phenomenon["measure"].astype(str)
    is_named = [
        names.str.endswith(f"_{measure}") if measure in ("lowest", "highest") else names == measure
        for measure in panel.measures
    ]
    return [of_phenomenon[chosen] for chosen in is_named]


@styled
def draw_phenomena(table: pd.DataFrame) -> Figure:
    """Draw the phenomena of a subject, a panel for each number, with the range of visual cortex as a band.

    Args:
        table: The table of `dynvision.analysis.phenomena.list_phenomena`.
    """
    layers = [str(name) for name in dict.fromkeys(table["layer"].dropna()) if name != "output"][:_MOST_LAYERS]
    rows = -(-len(PANELS) // _COLUMNS)
    height = 1.35 + 0.17 * max(3, len(layers))
    figure = Figure(figsize=(WIDTH, rows * height), layout="constrained")
    for axes, panel in zip(figure.subplots(rows, _COLUMNS).ravel(), PANELS, strict=False):
        parts = select_rows(table, panel)
        is_accuracy = panel.label.startswith("accuracy")
        axes.set_title(panel.phenomenon)
        if any(map(len, parts)):
            _draw_panel(axes, panel, parts, ["output"] if is_accuracy else layers)
        else:
            _say_missing(axes, table[table["phenomenon"] == panel.phenomenon])
    named = len(set(table["layer"].dropna()) - {"output"})
    cut = f" The first {len(layers)} of {named} layers." if named > len(layers) else ""
    figure.supxlabel(
        f"Grey band: the range in visual cortex. Bars: 95 % intervals. An arrow: beyond the axis.{cut}",
        fontsize=8,
        color=GREY,
    )
    return figure


def _draw_panel(axes: Any, panel: Panel, parts: Sequence[pd.DataFrame], layers: Sequence[str]) -> None:
    band = find_range(panel.phenomenon, panel.measures[0])
    low, high = _choose_limits(panel, parts, band)
    if band is not None:
        axes.axvspan(max(band.low, low), min(band.high, high), color=_BAND, linewidth=0, zorder=0)
    for number, rows in enumerate(parts):
        is_pair = len(parts) > 1
        style = {"color": _COLORS[number] if is_pair else BLUE, "marker": _MARKERS[number]}
        shift = (0.16 if number else -0.16) if is_pair else 0.0
        for row in rows.to_dict(orient="records"):
            if row["layer"] in layers:
                _draw_number(axes, row, layers.index(row["layer"]) + shift, (low, high), style)
        axes.plot([], [], linestyle="", label=panel.names[number] if panel.names else "", **style)
    if panel.is_log:
        axes.set_xscale("log")
    names = [] if layers == ["output"] else [name_layer(layer) for layer in layers]
    known = f"\ncortex: {band.text}" if band is not None else ""
    label = f"{panel.label}{_name_unit(panel, parts)}{known}"
    axes.set(xlim=(low, high), ylim=(len(layers) - 0.4, -0.6), xlabel=label)
    axes.set_yticks(range(len(names)), names)
    if panel.names:
        # Above the panel, where no number can lie below it.
        axes.set_title(panel.phenomenon, pad=17)
        axes.legend(
            ncols=2, fontsize=7, loc="lower left", bbox_to_anchor=(-0.04, 0.97), handletextpad=0.1, columnspacing=0.8
        )


def _choose_limits(panel: Panel, parts: Sequence[pd.DataFrame], band: KnownRange | None) -> tuple[float, float]:
    """Return the ends of an axis: they hold all values and the band, as far as the panel's limits allow."""
    values = pd.concat(parts)[["value", "low", "high"]].to_numpy(np.float64).ravel()
    found = [value for value in values if np.isfinite(value)]
    if panel.label.startswith("accuracy"):
        return -0.03, 1.03
    found += [end for end in (band.low, band.high) if np.isfinite(end)] if band is not None else []
    if panel.is_log:
        found = [value for value in found if value > 0]
        return max(panel.limits[0], min(found) / 1.5), min(panel.limits[1], max(found) * 1.5)
    room = 0.08 * (max(found) - min(0.0, *found)) or 1.0
    return max(panel.limits[0], min(0.0, *found)), min(panel.limits[1], max(found) + room)


def _draw_number(axes: Any, row: dict[Any, Any], y: float, limits: tuple[float, float], style: dict[str, Any]) -> None:
    value = float(row["value"])
    if not limits[0] <= value <= limits[1]:
        edge, marker = (limits[1], ">") if value > limits[1] else (limits[0], "<")
        axes.plot([edge], [y], linestyle="", clip_on=False, color=style["color"], marker=marker)
        return
    ends = [float(row[name]) for name in ("low", "high")]
    if any(map(np.isfinite, ends)):
        low, high = (
            np.clip(end if np.isfinite(end) else edge, *limits) for end, edge in zip(ends, limits, strict=True)
        )
        axes.plot([low, high], [y, y], color=style["color"], linewidth=1.2)
    axes.plot([value], [y], linestyle="", **style)


def _name_unit(panel: Panel, parts: Sequence[pd.DataFrame]) -> str:
    if panel.label != "latency":
        return ""
    names = pd.concat(parts)["measure"].astype(str)
    return " (ms)" if names.str.startswith("latency_ms").any() else " (steps)"


def _say_missing(axes: Any, rows: pd.DataFrame) -> None:
    notes = [str(note) for note in dict.fromkeys(rows["note"]) if note]
    text = notes[0] if notes else "not measured"
    axes.text(
        0.5,
        0.5,
        "\n".join(textwrap.wrap(escape_mathtext(text), 34)),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=7.5,
        color=GREY,
    )
    axes.set(xticks=[], yticks=[])
