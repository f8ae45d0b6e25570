"""How pictures look: colours that everyone can tell apart, sizes that can be read, files that come out alike."""

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

__all__ = [
    "GREY",
    "WIDTH",
    "color_layers",
    "color_levels",
    "label_parameter",
    "pick_levels",
    "save_figure",
    "styled",
    "tag_level",
]

WIDTH = 8.0
"""Inches: text of 9 points is 11 pixels high where a picture is 700 pixels wide."""

GREY = "0.35"

_DISTINCT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's palette, without the yellow that is too light for lines."""

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
    "svg.fonttype": "path",
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
    """Draw in the style of this project, whatever the settings of matplotlib are."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Save a figure as PNG and as SVG; the same figure gives the same bytes.

    Returns:
        The files: `<name>.png`, 200 pixels an inch, and `<name>.svg`, with letters as outlines.
    """
    from dynvision.system.files import write_bytes

    paths = []
    # The date would make every file another one.
    for kind, settings in (("png", {"dpi": 200}), ("svg", {"metadata": {"Date": None}})):
        buffer = io.BytesIO()
        with mpl.rc_context(_STYLE):
            figure.savefig(buffer, format=kind, facecolor="white", **settings)
        write_bytes(folder / f"{name}.{kind}", buffer.getvalue())
        paths.append(folder / f"{name}.{kind}")
    return paths


def color_levels(levels: Iterable[Any], second: bool = False) -> dict[Any, Any]:
    """A colour for each level of a parameter, dark to light in their order; names get colours without an order.

    Args:
        levels: In the order of the experiment.
        second: Of the second parameter, which has other colours.
    """
    found = list(dict.fromkeys(levels))
    if any(isinstance(level, str) for level in found) and len(found) <= len(_DISTINCT):
        return dict(zip(found, _DISTINCT, strict=False))
    spread = mpl.colormaps["plasma" if second else "viridis"](np.linspace(0.0, 0.85, max(len(found), 2)))
    return dict(zip(found, spread, strict=False))


def color_layers(layers: Sequence[str]) -> dict[str, Any]:
    """A colour for each layer; by depth where there are more than can be told apart."""
    if len(layers) <= len(_DISTINCT):
        return dict(zip(layers, _DISTINCT, strict=False))
    return dict(zip(layers, mpl.colormaps["viridis"](np.linspace(0.0, 0.9, len(layers))), strict=True))


def label_parameter(parameter: str, times_in_ms: bool) -> str:
    """What an axis along a parameter says: its name and unit."""
    full = canonical_argument(parameter)
    title = _TITLES.get(full, parameter.replace("_", " "))
    return f"{title} ({'ms' if times_in_ms else 'steps'})" if full.endswith("_duration") else title


def tag_level(parameter: str, level: Any, times_in_ms: bool) -> str:
    """A level with its parameter, for a title: `duration 20 steps`."""
    if isinstance(level, str):
        return level.replace("_", " ")
    if not canonical_argument(parameter).endswith("_duration"):
        return f"{parameter} {level}"
    return f"{parameter} {level} " + ("ms" if times_in_ms else "step" if level == 1 else "steps")


def pick_levels(levels: Sequence[Any], most: int = 12) -> list[Any]:
    """The levels that a legend names: all, or evenly some of many with the first and the last."""
    if len(levels) <= most:
        return list(levels)
    return [levels[i] for i in np.unique(np.linspace(0, len(levels) - 1, most).round().astype(int))]
