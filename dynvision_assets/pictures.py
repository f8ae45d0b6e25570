"""Pictures for the UI: the figures of a stage as PNG bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.films.encoding import encode_picture
from dynvision.records import Record
from dynvision.stages.base import Stage
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture

__all__ = ["draw_target"]

DPI = 80
"""Resolution of the pictures, in dots per inch: sharp on a screen, and small enough for Dagster's database."""


SMALL = 50_000
"""Bytes of a PNG file that is shown as it is."""


def draw_target(stage: Stage, target: Target, record: Record) -> dict[str, bytes]:
    """Draw the content of a target.

    Args:
        stage: The target's stage.
        target: A finished target.
        record: Its record.

    Returns:
        The bytes of PNG images, by title.
    """
    return {
        title: _read(drawing) if isinstance(drawing, Path) else _encode(drawing)
        for title, drawing in stage.draw(target, record).items()
    }


def _read(path: Path) -> bytes:
    """Return a PNG file: as it is if it is small, otherwise as `_shrink` gives it."""
    return path.read_bytes() if path.stat().st_size <= SMALL else _shrink(path)


def _encode(figure: Figure | Picture) -> bytes:
    """Return a figure or a picture as PNG."""
    if not hasattr(figure, "savefig"):
        return encode_picture(figure, most_bytes=SMALL)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


def _shrink(path: Path) -> bytes:
    """Return a PNG file at half its size and in 255 colours, which is enough for the screen."""
    from PIL import Image

    with Image.open(path) as image:
        half = image.convert("RGB").resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    half.quantize(255).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
