"""Pictures for the UI: what a stage draws, as PNG bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.records import Record
from dynvision.stages.base import Stage
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_target"]

DPI = 80


def draw_target(stage: Stage, target: Target, record: Record) -> dict[str, bytes]:
    """Draw what a target holds.

    Args:
        stage: The target's stage.
        target: The target.
        record: Its record.

    Returns:
        PNG images by title.
    """
    drawings = stage.draw(target, record)
    return {title: _shrink(d) if isinstance(d, Path) else _encode(d) for title, d in drawings.items()}


def _encode(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


def _shrink(path: Path) -> bytes:
    """Return a PNG file for the screen: half as wide, in 255 colours."""
    from PIL import Image

    with Image.open(path) as image:
        half = image.convert("RGB").resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    half.quantize(255).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
