"""What films are drawn with: letters, colours, and pictures that are enlarged without being smoothed."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.system.escaping import show_text

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "FRAME",
    "GREY",
    "INK",
    "PALE",
    "PAPER",
    "color_of",
    "fit_text",
    "load_font",
    "say_averaging",
    "scale_picture",
]

PAPER, INK, GREY, PALE, FRAME = "#FFFFFF", "#1A1A1A", "#595959", "#D0D0D0", "#9A9A9A"

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The colours of the images of a trial: the palette of Okabe & Ito (Color universal design, 2008)."""


def color_of(image: int) -> str:
    """Return the colour of an image of a trial, counted from 0; that of none is pale."""
    return _COLORS[image % len(_COLORS)] if image >= 0 else PALE


@functools.cache
def load_font(size: int, is_bold: bool = False) -> Any:
    """Return the letters of the other figures, which are matplotlib's; Pillow's own if there are none."""
    from PIL import ImageFont

    spec = importlib.util.find_spec("matplotlib")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "mpl-data/fonts/ttf" / ("DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf")
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


def fit_text(text: str, font: Any, width: float) -> str:
    """Return a text that is no wider than `width` pixels: of a longer one the beginning, with `…`."""
    line = show_text(" ".join(text.split()), 500)
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def say_averaging(pixels: npt.NDArray[np.uint8], width: int) -> str:
    """Say that `scale_picture` averages pixels, and how many; empty if it does not.

    Args:
        pixels: Shape `[H, W]` or `[H, W, 3]`.
        width: Of the longer side.
    """
    times = max(pixels.shape[:2]) / width
    if round(1 / times) > 1 or times <= 1:
        return ""
    return f"drawn smaller, by the mean of {times:.1f} × {times:.1f} pixels or more: noise and fine detail look weaker"


def scale_picture(pixels: npt.NDArray[np.uint8], width: int) -> Image:
    """Bring a picture to about `width` pixels.

    A small one is enlarged by a whole number, so that every pixel stays a square; a large one is averaged.

    Args:
        pixels: Shape `[H, W]` or `[H, W, 3]`.
        width: Of the longer side.
    """
    from PIL import Image

    picture = Image.fromarray(pixels)
    longest = max(picture.size)
    times = max(1, round(width / longest))
    if longest <= width or times > 1:
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    size = (max(1, round(picture.width * width / longest)), max(1, round(picture.height * width / longest)))
    return picture.resize(size, Image.Resampling.BOX)
