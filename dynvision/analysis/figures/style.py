"""The look of figures: colours that everyone can tell apart, readable sizes, reproducible files."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from dynvision.stimuli.names import canonical_argument
from dynvision.system.escaping import escape_mathtext
from dynvision.system.files import write_bytes

__all__ = [
    "BLUE",
    "GREY",
    "MARKERS",
    "VERMILION",
    "WIDTH",
    "color_layers",
    "color_levels",
    "count_columns",
    "label_parameter",
    "label_time",
    "name_layer",
    "pick_levels",
    "save_figure",
    "styled",
    "tag_level",
]

WIDTH = 8.0
"""The width of a figure in inches; if it is shown 700 pixels wide, text of 9 points is 11 pixels high."""

GREY = "0.35"

_LONGEST_TITLE = 28
"""The most characters of a panel's title, where three panels stand side by side."""

BLUE, VERMILION = "#0072B2", "#D55E00"

_DISTINCT = (BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe & Ito (Color universal design, 2008), without yellow, which is too light for lines."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Shapes of points, so that lines in one panel differ in more than their colour."""

_STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2.0,
    "svg.hashsalt": "dynvision",
    "svg.fonttype": "none",
}

_TITLES = {
    "stimulus_contrast": "contrast",
    "stimulus_duration": "stimulus duration",
    "interval_duration": "interval",
    "intro_duration": "intro",
    "ssnr": "ssnr (signal share)",
    "noise_type": "noise",
}

Draw = TypeVar("Draw", bound=Callable[..., Figure])


def styled(draw: Draw) -> Draw:
    """Make a function draw in the style of this project, whatever the settings of matplotlib are."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Save a figure as PNG and as SVG; the same figure gives the same bytes.

    Args:
        figure: The figure.
        folder: Where the files are written; existing ones are replaced.
        name: The name of both files, without the ending.

    Returns:
        The files: `<name>.png`, 200 pixels an inch, and `<name>.svg`, with text as text.

    Raises:
        OSError: If a file cannot be written.
    """
    paths, layout = [], figure.get_layout_engine()
    # Without a date, so that the same figure gives the same bytes.
    for ending, settings in (("png", {"dpi": 200}), ("svg", {"metadata": {"Date": None}})):
        buffer = io.BytesIO()
        with mpl.rc_context(_STYLE):
            figure.savefig(buffer, format=ending, facecolor="white", **settings)
        figure.set_layout_engine("none")  # What was arranged for the first file stays for the second.
        write_bytes(folder / f"{name}.{ending}", buffer.getvalue())
        paths.append(folder / f"{name}.{ending}")
    figure.set_layout_engine(layout)
    return paths


def color_levels(levels: Iterable[Any], second: bool = False) -> dict[Any, Any]:
    """Return a colour for each level of a parameter, from dark to light; levels that are names get distinct colours.

    Args:
        levels: The levels in the order of the experiment; repeated ones count once.
        second: Whether it is the second parameter, which has another range of colours.
    """
    distinct = list(dict.fromkeys(levels))
    if any(isinstance(level, str) for level in distinct) and len(distinct) <= len(_DISTINCT):
        return dict(zip(distinct, _DISTINCT, strict=False))
    spread = mpl.colormaps["plasma" if second else "viridis"](np.linspace(0.0, 0.85, max(len(distinct), 2)))
    return dict(zip(distinct, spread, strict=False))


def color_layers(layers: Sequence[str]) -> dict[str, Any]:
    """Return a colour for each layer: a distinct one, or one by depth if there are too many layers."""
    if len(layers) <= len(_DISTINCT):
        return dict(zip(layers, _DISTINCT, strict=False))
    return dict(zip(layers, mpl.colormaps["viridis"](np.linspace(0.0, 0.9, len(layers))), strict=True))


def count_columns(names: Iterable[object], most: int, width: float = WIDTH) -> int:
    """Return how many names stand side by side in a legend above the panels.

    Args:
        names: The names.
        most: How many at most.
        width: The width of the figure in inches.
    """
    shown = [str(name) for name in names]
    widest = 0.55 + 0.085 * max(map(len, shown), default=0)  # the line or marker, and a letter of 8.5 points
    return max(1, min(most, len(shown), int(width / widest)))


def label_parameter(parameter: str, times_in_ms: bool) -> str:
    """Return the label of an axis along a parameter: its name, and for a duration the unit."""
    full = canonical_argument(parameter)
    title = _TITLES.get(full, escape_mathtext(parameter.replace("_", " ")))
    return f"{title} ({'ms' if times_in_ms else 'steps'})" if full.endswith("_duration") else title


def label_time(dt: float | None) -> str:
    """Return the label of an axis of time, which is 0 at the onset of the stimulus."""
    return f"time from onset ({'steps' if dt is None else 'ms'})"


def tag_level(parameter: str, level: Any, times_in_ms: bool) -> str:
    """Return a level with its parameter for a title, such as `duration 20 steps`."""
    if isinstance(level, str):
        return escape_mathtext(level.replace("_", " "))
    if not canonical_argument(parameter).endswith("_duration"):
        return escape_mathtext(f"{parameter} {level}")
    return f"{parameter} {level} " + ("ms" if times_in_ms else "step" if level == 1 else "steps")


def pick_levels(levels: Sequence[Any], most: int = 12) -> list[Any]:
    """Return the levels that a legend names: all, or `most` of them, evenly spread from the first to the last."""
    if len(levels) <= most:
        return list(levels)
    return [levels[i] for i in np.unique(np.linspace(0, len(levels) - 1, most).round().astype(int))]


def name_layer(layer: str) -> str:
    """Return the title of a layer's panel: its name, of a long one the beginning and the end."""
    if len(layer) > _LONGEST_TITLE:
        layer = f"{layer[:8]}…{layer[9 - _LONGEST_TITLE :]}"
    return escape_mathtext(layer)
